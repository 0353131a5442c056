"""Preview: what a verb would do, as far as its input tells, from the readers that the verb has, and without a trace."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.locking import OWNER, is_held, read_owner

if TYPE_CHECKING:
    from bodyposenet.common.deploy.runner import Runner
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.spec.words import Device, RunnerName
    from bodyposenet.common.steps.convert import ConversionOptions
    from bodyposenet.common.video.watch import Watch


class ConversionPreview(NamedTuple):
    """What a conversion would do.

    Attributes:
        photos: That it would read and make records of.
        missing: Those of them that are not there.
        copied: Records that it would copy from shards that are there.
        shards: That it would write.
        untouched: Shards that would stay as they are.
        bytes: Of the photos, which records hold as they are.
        problems: What is wrong with the annotations and their photos, and can be known before any is read.
    """

    photos: int
    missing: int
    copied: int
    shards: list[str]
    untouched: int
    bytes: int
    problems: int


def preview_convert(
    spec: "DatasetSpec", output: Path | Location, half: str, how: "ConversionOptions"
) -> ConversionPreview:
    """Plan a conversion as :func:`bodyposenet.common.data.conversion.convert.convert_dataset` does.

    Raises:
        UserError: What is known to be wrong before anything is written would be refused.
    """
    from bodyposenet.common.data.annotations.problems import refuse
    from bodyposenet.common.data.conversion.publish import find_notes
    from bodyposenet.common.data.conversion.renewal import plan_renewal
    from bodyposenet.common.data.conversion.shard_plan import Options
    from bodyposenet.common.data.conversion.split import DatasetSplit
    from bodyposenet.common.data.conversion.worker_pool import WorkerPool
    from bodyposenet.common.data.records.manifest import read_manifest

    prefix = locate(output)
    options = Options(prefix, half, *how.shards, how.generate_masks, how.check_files, how.strict, how.part)
    options.check()
    known = None if how.from_scratch else read_manifest(prefix.parent)["sets"].get(options.set_name)
    source = DatasetSplit.read(spec, half)
    problems = [*source.coco.problems, *source.problems()]
    if how.strict:
        refuse(problems)
    notes = [] if known is None else find_notes(prefix.with_name(options.set_name))
    with WorkerPool(1) as pool:
        renewal = plan_renewal(source, options, known, notes, pool)
    numbers = [number for shard in renewal.plan for number in shard.numbers]
    names = [source.coco.images.file_names[source.usable[number]] for number in numbers]
    found = [stat for name in names if (stat := source.find_stat(name)) is not None]
    if names and not found and not renewal.photos and how.part is None:
        raise UserError("no photo is there", where=str(source.folder / names[0]), fix="check images_root_dir_path")
    copied = sum(len(records) for shard in renewal.plan for _, records in shard.copies)
    files = [shard.file for shard in renewal.plan]
    sizes = sum(stat.size for stat in found)
    missing = len(names) - len(found)
    return ConversionPreview(len(names), missing, copied, files, len(renewal.untouched), sizes, len(problems))


def preview_evaluate(
    model: Path, spec: "InferenceSpec | None", dataset: "DatasetSpec", device: "Device", runner: "RunnerName | None"
) -> dict[str, int]:
    """Open the network, and count photos, missing ones and labelled people of a dataset's test half.

    Raises:
        UserError: Something cannot be used, as :func:`bodyposenet.common.evaluation.evaluate.evaluate` says it.
    """
    from bodyposenet.common.data.annotations.emptiness import require_people
    from bodyposenet.common.evaluation.ground_truth import read_test_set, require_common_joints
    from bodyposenet.common.storage.photo_store import open_photos

    truth, photos = read_test_set(dataset), open_photos(dataset.locate_half("test").images)
    require_people(truth)
    require_common_joints(truth, open_plainly(model, spec, device, runner)[0].card.skeleton)
    listed = photos.listing()
    missing = [photo.file_name for photo in truth.photos if photo.file_name not in listed]
    if len(missing) == len(truth.photos):
        raise UserError("no photo is there", where=missing[0], fix="check images_root_dir_path")
    labelled = sum(person.labelled for photo in truth.photos for person in photo.people)
    return {"photos": len(truth.photos), "photos_missing": len(missing), "people_labelled": labelled}


def open_plainly(
    model: Path, spec: "InferenceSpec | None", device: "Device", runner: "RunnerName | None"
) -> "tuple[Runner, InferenceSpec]":
    """Open a network in the way that is the same on every machine, where the verb would measure and note the fastest.

    Raises:
        UserError: See :func:`bodyposenet.common.inference.detector.open_model`.
    """
    from bodyposenet.common.inference.detector import open_model

    chosen = runner or (spec.runner if spec else None)
    return open_model(model, spec, device, "exact" if chosen in (None, "auto") else chosen)


def count_frames(sources: Sequence[str], how: "Watch") -> int | None:
    """Open videos and cameras, and count the frames that would be looked at, as far as they tell; None if one does not.

    Raises:
        UserError: None can be used.
    """
    from bodyposenet.common.video.clip import ClipError, open_clip

    counts: list[int | None] = []
    for place, source in enumerate(sources, 1):
        try:
            with open_clip(source) as clip:
                counts.append(clip.count(how.fps, how.max_frames))
        except ClipError:
            if place == len(sources) and not counts:
                raise
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


def examine_folder(folder: str | Path | Location, *, needed: int = 0) -> int | None:
    """See whether a folder, which need not be there, can be written to, and how much room it has.

    Args:
        folder: On a disk or in a store.
        needed: Bytes that are to be written, at least.

    Returns:
        Free bytes of its disk; None of a store.

    Raises:
        UserError: It cannot be a folder, may not be written to, has too little room, or another run is at work there.
    """
    place = locate(folder)
    if place.remote:
        with translate_errors(place):
            place.require_store()
        return None
    path = Path(str(place)).absolute()
    there = next(each for each in (path, *path.parents) if os.path.lexists(each))
    if not there.is_dir():
        raise UserError("is a file, where a folder is to be", where=str(there), fix="name another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError("may not be written to", where=str(there), fix="name another folder, or change its permissions")
    if is_held(path / OWNER):
        problem, fix = f"another run is at work here: {read_owner(path)}", "wait for it, or name another folder"
        raise UserError(problem, where=str(path), fix=fix)
    free = shutil.disk_usage(there).free
    if needed > free:
        problem = f"would take {needed:,} bytes, and {free:,} are free"
        raise UserError(problem, where=str(path), fix="make room, or name a folder on another disk")
    return free
