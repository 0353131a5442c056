"""Inference preview: what ``bpnet inference --dry-run`` says of photos and videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bodyposenet.common.cli.dry_run import say_plan
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.imports import import_numba
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.steps.presence import Presence, look_for
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.photo_store import PHOTOS

if TYPE_CHECKING:
    from bodyposenet.common.inference.inputs import NamedPhoto, NamedVideo
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.spec.words import InputType
    from bodyposenet.common.video.watch import Watch


class _Plan(NamedTuple):
    """What would be done with photos, or with videos.

    Attributes:
        what: A sentence, to go on after "would".
        files: That would be written.
        numbers: For ``--json``.
    """

    what: str
    files: list[str]
    numbers: dict[str, Any]


def preview_named(
    spec: "InferenceSpec | None", model: Path, photos: "list[NamedPhoto]", videos: "list[NamedVideo]", how: "Watch",
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Say what would be done with photos and videos that were named without a flag.

    Raises:
        UserError: The network cannot be used, no photo is there, or none of the videos can be used.
    """
    import_numba()
    from bodyposenet.common.inference.pictures import FOLDER

    place = options["results_dir"] or Path(FOLDER)
    plans: list[_Plan] = []
    if photos:
        files = ["detections.json", "detections_coco_format.json", pluralize(len(photos), "picture")]
        plans.append(_plan_photos([photo.path for photo in photos], place, files))
    if videos:
        plans.append(_plan_videos(videos, how, options["save"]))
    _say_plans(spec, model, plans, place, options)


def preview_as_tao(
    spec: "InferenceSpec | None", model: Path, source: str, kind: "InputType", drawn: bool, options: dict[str, Any]
) -> None:
    """Say what would be done with what ``--input`` names.

    Raises:
        UserError: It names no photos, or the network cannot be used.
    """
    import_numba()
    from bodyposenet.common.inference.inference import default_results_dir, list_photos

    entries, _ = list_photos(kind, locate(source), options["image_root_path"])
    photos = [locate(entry["full_image_path"]) for entry in entries]
    files = ["detections.json", *([pluralize(len(photos), "picture")] if drawn else [])]
    place = options["results_dir"] or default_results_dir(locate(source))
    _say_plans(spec, model, [_plan_photos(photos, place, files)], place, options)


def _plan_photos(photos: Sequence[Location], folder: Path | Location, files: list[str]) -> _Plan:
    """Look for photos.

    Raises:
        UserError: There are none.
    """
    if not photos:
        raise UserError(f"has no photos ({PHOTOS})", where=str(folder), fix="name the folder that your photos are in")
    found = look_for(photos)
    what = f"find people in {pluralize(len(photos), 'photo')}{_describe_presence(found, len(photos))}"
    missing = found.looked_for - found.present
    numbers = {"photos": len(photos), "photos_missing": missing, "photos_looked_for": found.looked_for}
    return _Plan(what, files, numbers)


def _describe_presence(found: Presence, photos: int) -> str:
    """Tell which of the photos are there, and how that was found out, where it is not by looking for each on a disk."""
    missing = found.looked_for - found.present
    if found.looked_for < photos:
        return f" ({found.looked_for:,} of them were looked for: {missing:,} are not there)"
    if found.lists:
        lists = f"the list of {found.lists[0]}" if len(found.lists) == 1 else f"the lists of {len(found.lists)} folders"
        return f" ({missing:,} are not in {lists})" if missing else f" (all in {lists})"
    return f" ({missing:,} are not there)" if missing else ""


def _plan_videos(videos: "list[NamedVideo]", how: "Watch", drawn: bool) -> _Plan:
    """Open videos.

    Raises:
        UserError: None can be used.
    """
    from bodyposenet.common.steps.preview import count_frames

    frames = count_frames([video.source for video in videos], how)
    told = "frames of no told number" if frames is None else f"about {pluralize(frames, 'frame')}"
    endings = [".jsonl", ".mp4"] if drawn else [".jsonl"]
    files = [f"{video.name}{ending}" for video in videos for ending in endings]
    return _Plan(f"find people in {told} of {pluralize(len(videos), 'video')}", files, {"frames": frames})


def _say_plans(
    spec: "InferenceSpec | None", model: Path, plans: Sequence[_Plan], folder: Path | Location,
    options: dict[str, Any],
) -> None:  # fmt: skip
    """Open the network, and say all that would be done with it.

    Raises:
        UserError: The network cannot be used.
    """
    from bodyposenet.common.steps.preview import open_plainly

    _, filled = open_plainly(model, spec, options["device"], options["runner"])
    size = "x".join(map(str, filled.input_shape))
    numbers = {name: number for plan in plans for name, number in plan.numbers.items()}
    what = [f"{plan.what} at {size} pixels" for plan in plans]
    say_plan(what, folder, [file for plan in plans for file in plan.files], **numbers, input_size=filled.input_shape)
