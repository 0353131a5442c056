"""Inference verb: people in photos, videos and cameras, or in what TAO's ``--input`` names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option
from bodyposenet.common.cli.launcher import Verb, results_dir, task
from bodyposenet.common.cli.network_options import inference_flags, read_inference_spec
from bodyposenet.common.cli.options import (
    PlaceType,
    WordType,
    common_options,
    example,
    key_option,
    option,
    path_map_option,
)
from bodyposenet.common.cli.printing import note, say
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.first_photos import import_for_photos
from bodyposenet.common.spec.words import InputType
from bodyposenet.common.storage.location import locate

if TYPE_CHECKING:
    from bodyposenet.common.inference.inputs import NamedPhoto, NamedVideo
    from bodyposenet.common.spec.base import PathMap
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.video.watch import Watch


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
        note(f"left out: {reason}")
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
        note(f"left out: {reason}")
    for reason in done.cut_off:
        note(f"note: {reason}")
    say(f"ran in {done.ran}", ran=done.ran)
    say("\n".join(f"wrote {lines}: a line of JSON a frame" for lines in done.lines), lines=done.lines)
    say("\n".join(f"drew the people: {drawn}" for drawn in done.drawn), videos=done.drawn)
    say(
        done.summary(),
        frames=done.frames, people_in_frames=done.people, frames_without_people=done.empty, identities=done.identities,
        videos_left_out=len(done.problems), videos_cut_off=len(done.cut_off),
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
        note(f"left out: {reason}")
    say(f"ran in {done.ran}", ran=done.ran)
    say(
        f"wrote {done.detections}: {done.summary()}",
        detections=done.detections, photos=done.images, people=done.people, photos_without_people=done.empty,
        photos_left_out=len(done.skipped), pictures=done.pictures,
    )  # fmt: skip
    if done.pictures:
        say(f"drew the people: {done.pictures[0] if len(done.pictures) == 1 else done.pictures[0].parent}")
