"""Evaluate and inference verbs: their flags, and the model that flag or spec names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.options import (
    PlaceType,
    WordType,
    common_options,
    example,
    find_model,
    key_option,
    log_notes,
    option,
    path_map_option,
    results_folder,
)
from bodyposenet.common.cli.printing import say
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.first_photos import import_for_photos
from bodyposenet.common.machine.imports import import_numba
from bodyposenet.common.model.files.bundled import PEOPLE, PRETRAINED, runnable_path
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.words import Device, InputType, LabelFormat, RunnerName
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bodyposenet.common.evaluation.false_positives import FalsePositives
    from bodyposenet.common.inference.inputs import NamedPhoto, NamedVideo
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.video.watch import Watch


def read_inference_spec(
    path: str | None, path_map: "PathMap", model: str | None, runner: RunnerName | None
) -> "tuple[InferenceSpec | None, Path]":
    """Read the inference spec, if one is named; and find the model: ``-m``'s, or the spec's, or the one that ships."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.inference import InferenceSpec

    spec = load_spec(path, InferenceSpec, path_map=path_map) if path else InferenceSpec()
    if path:
        log_notes(spec, path)
    name = model or spec.model_path or PEOPLE
    if model is None:
        told = f"taking model_path of {path}, {name}" if spec.model_path else f"taking {name}"
        click.echo(f"note: -m is not given; {told}", err=True)
    return (spec if path else None), _find_runnable(name, spec, runner)


def _find_runnable(name: str, spec: "InferenceSpec", runner: RunnerName | None) -> Path:
    """A model's file; of those that came with the package the exported form, which has the last stage only."""
    if name.startswith(PRETRAINED) and spec.output_stage_to_use is None:
        return runnable_path(name, runner or spec.runner)
    return find_model(name)


def inference_flags(function: Any) -> Any:
    """Add the flags of verbs that run a network: spec, model, runner and device."""
    text = "What to compute on; auto is a GPU where the model's library can use one."
    function = option("--device", default="auto", type=WordType(Device), help=text)(function)
    text = "What runs an ONNX model on a processor: the fastest that is right, or the same on every machine (exact)."
    text += "  [default: runner of the spec, else BODYPOSENET_RUNNER, else auto]"
    function = option("--runner", type=WordType(RunnerName), help=text)(function)
    text = "Model, also pretrained:NAME.  [default: model_path of the spec, else pretrained:people]"
    function = option("-m", "--model_filename", help=text)(function)
    text = "Inference spec, YAML.  [default: what was tuned for the model]"
    return option("-i", "--inference_spec", type=click.Path(), help=text)(function)


@click.command("evaluate", cls=Verb, epilog=example("bpnet evaluate -i infer.yaml -d coco_spec.json -m model.keras"))
@inference_flags
@option("-d", "--dataset_spec", required=True, type=click.Path(), help="Dataset spec; its test_data is used.")
@option("--ceiling", is_flag=True, help="Score the labels, too, drawn as maps: the most that a network can reach.")
@option("--suspects", is_flag=True, help="List the labels that are likely wrong: suspects.csv, suspects.html.")
@option("--suspects_format", type=WordType(LabelFormat), help="For which tool their photos are.  [default: coco]")
@option("--url_prefix", default="", help="What stands before photos' names in Label Studio's tasks.")
@option("--dataset", default="coco", type=click.Choice(["coco"]), hidden=True)
@dry_run_option
@path_map_option
@key_option
@common_options
def evaluate(
    inference_spec: str | None,
    model_filename: str | None,
    dataset_spec: str,
    path_map: "PathMap",
    **options: Any,
) -> None:
    """Find the people of a dataset's test images and score them: COCO AP and AR, in results.csv."""
    from bodyposenet.common.spec.base import load_spec
    from bodyposenet.common.spec.dataset import DatasetSpec

    dataset = load_spec(dataset_spec, DatasetSpec, path_map=path_map)
    spec, model = read_inference_spec(inference_spec, path_map, model_filename, options["runner"])
    place = options["results_dir"] or results_folder(model) / "evaluate"
    import_numba()
    if options["dry_run"]:
        from bodyposenet.common.steps.preview import preview_evaluate

        found = preview_evaluate(model, spec, dataset, options["device"], options["runner"])
        told = f" ({found['photos_missing']:,} are not there)" if found["photos_missing"] else ""
        what = f"look at {pluralize(found['photos'], 'photo')}{told} with {found['people_labelled']:,} labelled people"
        say_plan([what], place, ["results.csv", "detections.json", "evaluation.html"], **found)
        return
    folder = results_dir(options["results_dir"], place, bucket=True)
    from bodyposenet.common.data.report.suspects_page import PAGE as SUSPECTS_PAGE
    from bodyposenet.common.data.suspects.suspect import count_kinds, describe_suspects
    from bodyposenet.common.data.suspects.write import LIST, SuspectChoice
    from bodyposenet.common.evaluation.evaluation_page import PAGE
    from bodyposenet.common.steps.evaluate import run_evaluate

    form, wanted = options["suspects_format"], options["suspects"] or options["suspects_format"]
    choice = SuspectChoice(form or "coco", options["url_prefix"]) if wanted else False

    with task("evaluate", folder, status=False) as run:
        done, _ = run_evaluate(
            run, model, spec, dataset, folder, name=model.name, device=options["device"], runner=options["runner"],
            suspects=choice,
        )  # fmt: skip
    say("\n".join(f"{name:<24} {value:.3f}" for name, value in done.metrics.items()), metrics=done.metrics)
    say("\n".join(_list_false_positives(done.false_positives)), **done.false_positives.numbers())
    if options["ceiling"] or _is_drawn(dataset):
        ceiling = _ceiling(model, done.spec, dataset)
        say(f"{'ceiling AP':<24} {ceiling:.3f}", ceiling_ap=ceiling)
    for reason in done.skipped:
        click.echo(f"left out: {reason}", err=True)
    say(f"ran in {done.ran}", ran=done.ran)
    if done.suspects is not None:
        say(f"wrote {folder / LIST}: {describe_suspects(done.suspects)}", suspects=count_kinds(done.suspects))
        click.echo(f"look at them in {folder / SUSPECTS_PAGE}")
    say(f"look at curves, joints and photos in {folder / PAGE}", page=folder / PAGE)
    say(
        f"wrote {folder / 'results.csv'}: {done.summary()}",
        results=folder / "results.csv", photos=done.images, people_found=done.people, people_labelled=done.labelled,
        photos_without_people=done.empty, photos_left_out=len(done.skipped),
        photos_nobody_labelled=done.false_positives.blank_photos,
    )  # fmt: skip


def _list_false_positives(found: "FalsePositives") -> "Iterator[str]":
    """The means over photos, a line each."""
    from bodyposenet.common.evaluation.false_positives import PER_BLANK_PHOTO, PER_PHOTO

    numbers = found.numbers()
    yield f"{'false positives a photo':<24} {numbers[PER_PHOTO]:.3f}"
    if PER_BLANK_PHOTO in numbers:
        photos = pluralize(found.blank_photos, "photo")
        yield f"{'- with nobody labelled':<24} {numbers[PER_BLANK_PHOTO]:.3f} ({photos})"


def _is_drawn(dataset: "DatasetSpec") -> bool:
    """Whether ``bpnet synthesize`` drew the test set: an AP on it means little without its ceiling."""
    from bodyposenet.common.data.importers.load import is_one_file

    path = dataset.locate_half("test").annotations
    if not is_one_file(path):
        return False
    with translate_errors(path), path.open_stream() as file:
        return b"drawn people" in file.read(200)


def _ceiling(model: Path, spec: "InferenceSpec", dataset: "DatasetSpec") -> float:
    from bodyposenet.common.deploy.runtime.runners import open_runner
    from bodyposenet.common.evaluation.ceiling import ceiling_ap

    card = open_runner(model).card
    return ceiling_ap(dataset, spec, card.skeleton, stride=card.stride, sigma=card.sigma)


@click.command(
    "inference",
    cls=Verb,
    epilog=example(
        "bpnet inference photo.jpg",
        "bpnet inference holiday 'more/*.jpg' gs://example-bucket/photo.jpg -r found",
        "bpnet inference clip.mp4 --save --smooth",
        "bpnet inference -i infer.yaml -m model.onnx --input_type dir --input photos",
    ),
)
@click.argument("photos", nargs=-1)
@inference_flags
@option("--input_type", type=WordType(InputType), help="What --input is.  [default: dir, json or image, as it looks]")
@option("--input", "source", type=click.Path(), help="Image, folder, or JSON list of images, as in TAO.")
@option("--image_root_path", type=PlaceType(), help="Folder of the images that a JSON list names.")
@option(
    "--dump_visualizations",
    is_flag=True,
    help="Draw the people of --input: images_annotated/ in the results folder; so without -i.",
)
@option("--fps", type=click.FloatRange(0, min_open=True), help="Frames of videos a second, at most.  [default: all]")
@option("--max_frames", type=click.IntRange(1), help="End a video, or a camera, after so many.")
@option("--save", is_flag=True, help="Write videos with the people drawn on them, too.")
@option("--no_track", is_flag=True, help="Do not tell who in a frame is who in the next.")
@option("--smooth", is_flag=True, help="Steady the joints of people in videos, by the One-Euro filter.")
@dry_run_option
@path_map_option
@key_option
@common_options
def inference(
    photos: tuple[str, ...],
    inference_spec: str | None,
    model_filename: str | None,
    source: str | None,
    path_map: "PathMap",
    **options: Any,
) -> None:
    """Find people in PHOTOS: images, folders with their sub-folders, patterns, addresses; videos, camera:0.

    No flag is needed: the people are drawn in the folder bpnet-people, or that of -r, and detections.json and
    detections_coco_format.json say where they are. Of a video NAME.people.jsonl has a line a frame, in which a person
    keeps their id; Ctrl-C ends a camera. The photos' own folders stay as they are. With --input the verb is TAO's: it
    writes detections.json, and without -i the images with the people drawn on them.
    """
    _refuse_mixture(photos, source, options)
    if source is not None:
        spec, model = read_inference_spec(inference_spec, path_map, model_filename, options["runner"])
        _infer_as_tao(spec, model, source, options)
        return
    from bodyposenet.common.inference.inputs import find_photos, split_videos

    videos, others = split_videos(photos)
    how = _read_watch(options, videos)
    named = find_photos(others) if others or not videos else []
    spec, model = read_inference_spec(inference_spec, path_map, model_filename, options["runner"])
    if options["dry_run"]:
        from bodyposenet.common.cli.inference_preview import preview_named

        preview_named(spec, model, named, videos, how, options)
        return
    import_for_photos(None if videos else len(named))
    if named:
        _draw_photos(spec, model, named, options)
    if videos:
        _watch_videos(spec, model, videos, how, options)


def _refuse_mixture(photos: tuple[str, ...], source: str | None, options: dict[str, Any]) -> None:
    """Refuse photos with and without ``--input``, and flags that belong to the other way."""
    fix = "leave one of them out"
    if source is not None and photos:
        raise UserError(f"{source} is named by --input, and others without it", where="PHOTOS", fix=fix)
    for flag in ("input_type", "image_root_path"):
        if source is None and options[flag]:
            raise UserError("this is about --input, which is not given", where=f"--{flag}", fix=fix)
    if source is not None:
        _refuse_video_flags(options)


def _refuse_video_flags(options: dict[str, Any]) -> None:
    """Refuse flags of videos where none is looked at."""
    for flag in ("fps", "max_frames", "save", "no_track", "smooth"):
        if options[flag]:
            fix = "name one, such as clip.mp4 or camera:0"
            raise UserError("this is about videos, and none is named", where=f"--{flag}", fix=fix)


def _read_watch(options: dict[str, Any], videos: "list[NamedVideo]") -> "Watch":
    """How videos are looked at."""
    from bodyposenet.common.video.watch import Watch

    if not videos:
        _refuse_video_flags(options)
    return Watch(options["fps"], options["max_frames"], not options["no_track"], options["smooth"])


def _draw_photos(
    spec: "InferenceSpec | None", model: Path, photos: "list[NamedPhoto]", options: dict[str, Any]
) -> None:
    """Find people in photos that were named without a flag."""
    from bodyposenet.common.inference.pictures import FOLDER, draw_photos

    folder = results_dir(options["results_dir"], Path(FOLDER), bucket=True)
    with task("inference", folder, status=False) as run:
        done = draw_photos(model, spec, photos, folder, device=options["device"], runner=options["runner"])
        run.log_metrics({"images": done.found.photos, "people": done.found.people})
    for reason in done.found.problems:
        click.echo(f"left out: {reason}", err=True)
    found, pictures = done.found, done.pictures
    say(f"ran in {done.ran}", ran=done.ran)
    say(
        f"wrote {done.detections}: {found.summary()}",
        detections=done.detections, photos=found.photos, people=found.people, photos_without_people=found.empty,
        photos_left_out=found.unreadable,
    )  # fmt: skip
    say(f"wrote {done.coco}: the same as COCO's results", coco=done.coco)
    drawn = pictures[0] if len(pictures) == 1 else f"{len(pictures)} pictures in {folder}"
    say(f"drew the people: {drawn}", pictures=pictures)


def _watch_videos(
    spec: "InferenceSpec | None", model: Path, videos: "list[NamedVideo]", how: "Watch", options: dict[str, Any]
) -> None:
    """Find people in videos and cameras."""
    from bodyposenet.common.inference.pictures import FOLDER
    from bodyposenet.common.inference.videos import watch_videos

    folder = results_dir(options["results_dir"], Path(FOLDER))
    with task("inference", folder, status=False) as run:
        done = watch_videos(
            model, spec, videos, folder, how, save=options["save"], device=options["device"], runner=options["runner"]
        )
        run.log_metrics({"frames": done.frames, "people": done.people})
    for reason in done.problems:
        click.echo(f"left out: {reason}", err=True)
    say(f"ran in {done.ran}", ran=done.ran)
    say("\n".join(f"wrote {lines}: a line of JSON a frame" for lines in done.lines), lines=done.lines)
    say("\n".join(f"drew the people: {drawn}" for drawn in done.drawn), videos=done.drawn)
    say(
        done.summary(),
        frames=done.frames, people_in_frames=done.people, frames_without_people=done.empty, identities=done.identities,
        videos_left_out=len(done.problems),
    )  # fmt: skip


def _infer_as_tao(spec: "InferenceSpec | None", model: Path, source: str, options: dict[str, Any]) -> None:
    """Find people in what ``--input`` names."""
    from bodyposenet.common.inference.inputs import tell_input_type

    kind, drawn = options["input_type"] or tell_input_type(locate(source)), options["dump_visualizations"] or not spec
    if options["dry_run"]:
        from bodyposenet.common.cli.inference_preview import preview_as_tao

        preview_as_tao(spec, model, source, kind, drawn, options)
        return
    import_for_photos(1 if kind == "image" else None)
    from bodyposenet.common.inference.inference import default_results_dir, infer

    folder = results_dir(options["results_dir"], default_results_dir(locate(source)), bucket=True)
    with task("inference", folder, status=False) as run:
        done = infer(
            model, spec, input=locate(source), results_dir=folder,
            input_type=kind, image_root_path=options["image_root_path"], dump_visualizations=drawn,
            device=options["device"], runner=options["runner"],
        )  # fmt: skip
        run.log_metrics({"images": done.images, "people": done.people})
    for reason in done.skipped:
        click.echo(f"left out: {reason}", err=True)
    say(f"ran in {done.ran}", ran=done.ran)
    say(
        f"wrote {done.detections}: {done.summary()}",
        detections=done.detections, photos=done.images, people=done.people, photos_without_people=done.empty,
        photos_left_out=len(done.skipped), pictures=done.pictures,
    )  # fmt: skip
    if done.pictures:
        click.echo(f"drew the people: {done.pictures[0] if len(done.pictures) == 1 else done.pictures[0].parent}")
