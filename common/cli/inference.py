"""Inference verb: people in photos, videos and cameras, or in what TAO's ``--input`` names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bodyposenet.common.cli.dry_run import dry_run_option, say_plan
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
from bodyposenet.common.cli.printing import say
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.imports import import_numba
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.spec.words import InputType
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import PHOTOS

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    import_numba()
    from bodyposenet.common.inference.pictures import FOLDER, draw_photos

    if options["dry_run"]:
        files = ["detections.json", "detections_coco_format.json", pluralize(len(photos), "picture")]
        _preview(spec, model, [photo.path for photo in photos], options["results_dir"] or Path(FOLDER), files, options)
        return
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


def _preview(
    spec: "InferenceSpec | None", model: Path, photos: "Sequence[Location]", folder: "Path | Location",
    files: "Sequence[str]", options: dict[str, Any],
) -> None:  # fmt: skip
    """Open the network, and say what would be done with photos.

    Raises:
        UserError: There are none, or the network cannot be used.
    """
    from bodyposenet.common.steps.preview import count_present, open_plainly

    if not photos:
        raise UserError(f"has no photos ({PHOTOS})", where=str(folder), fix="name the folder that your photos are in")
    missing = len(photos) - count_present(photos)
    _, filled = open_plainly(model, spec, options["device"], options["runner"])
    told = f" ({missing:,} are not there)" if missing else ""
    what = f"find people in {pluralize(len(photos), 'photo')}{told} at {'x'.join(map(str, filled.input_shape))} pixels"
    say_plan([what], folder, files, photos=len(photos), photos_missing=missing, input_size=filled.input_shape)


def _watch_videos(
    spec: "InferenceSpec | None", model: Path, videos: "list[NamedVideo]", how: "Watch", options: dict[str, Any]
) -> None:
    """Find people in videos and cameras."""
    import_numba()
    from bodyposenet.common.inference.pictures import FOLDER
    from bodyposenet.common.inference.videos import watch_videos

    if options["dry_run"]:
        _preview_videos(spec, model, videos, how, options)
        return
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


def _preview_videos(
    spec: "InferenceSpec | None", model: Path, videos: "list[NamedVideo]", how: "Watch", options: dict[str, Any]
) -> None:
    """Open the network and the videos, and say what would be done with them.

    Raises:
        UserError: The network cannot be used, or none of the videos can.
    """
    from bodyposenet.common.inference.pictures import FOLDER
    from bodyposenet.common.steps.preview import count_frames, open_plainly

    frames = count_frames([video.source for video in videos], how)
    _, filled = open_plainly(model, spec, options["device"], options["runner"])
    told = "frames of no told number" if frames is None else f"about {pluralize(frames, 'frame')}"
    size = "x".join(map(str, filled.input_shape))
    endings = [".jsonl", ".mp4"] if options["save"] else [".jsonl"]
    files = [f"{video.name}{ending}" for video in videos for ending in endings]
    what = f"find people in {told} of {pluralize(len(videos), 'video')} at {size} pixels"
    say_plan([what], options["results_dir"] or Path(FOLDER), files, frames=frames, input_size=filled.input_shape)


def _infer_as_tao(spec: "InferenceSpec | None", model: Path, source: str, options: dict[str, Any]) -> None:
    """Find people in what ``--input`` names."""
    import_numba()
    from bodyposenet.common.inference.inference import default_results_dir, infer, list_photos, tell_input_type

    kind, drawn = options["input_type"] or tell_input_type(locate(source)), options["dump_visualizations"] or not spec
    if options["dry_run"]:
        entries, _ = list_photos(kind, locate(source), options["image_root_path"])
        photos = [locate(entry["full_image_path"]) for entry in entries]
        files = ["detections.json", *([pluralize(len(photos), "picture")] if drawn else [])]
        place = options["results_dir"] or default_results_dir(locate(source))
        _preview(spec, model, photos, place, files, options)
        return
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
