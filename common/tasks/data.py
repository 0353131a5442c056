"""Tasks with data: photos, shards, and the photos that a quantization looks at."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from bodyposenet.common.data.hold_out import read_photos
from bodyposenet.common.data.photo_set import DATASET_SPEC
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.steps.convert import SETS, ConversionOptions, count_samples, run_convert
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import CALIBRATION_IMAGES, Settings, note
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.attachments import Attachment, fetch_attachment
from bodyposenet.common.tracking.datasets import describe_photos

log = logging.getLogger(__name__)


@report_failures
def gather_photos(data: str, photos: str) -> dict[str, Any]:
    """Point at the photo set, or draw people; what the artifact is to say of itself."""
    from bodyposenet.common.data.photo_set import gather
    from bodyposenet.common.tasks.run_inputs import parse_synthetic

    drawn = parse_synthetic(data)
    with task_run("photos", buffer=Path(photos)) as run:
        run.log_params({"source": data}, prefix="data")
        if drawn:
            found = gather("", Path(photos), train=drawn.train, val=drawn.val, seed=drawn.seed)
        else:
            found = gather(data.strip(), Path(photos))
    return {"source": data, "folder": str(found)}


@report_failures
def convert(
    photos: str, dataset_spec: Settings, part: str, dataset: str, metrics: str, page: str, *,
    strict: bool = False, fingerprint: str = "", hold_out: str = "",
) -> dict[str, float]:  # fmt: skip
    """Convert a part of both halves of a photo set to shards: ``0/1`` is all, ``2/4`` the third of four parts.

    ``fingerprint`` is the photo set's, if it is known; ``hold_out`` is where photos are kept that champions are
    compared on, as a text of :class:`~bodyposenet.common.tracking.attachments.Attachment`: they are not trained on.
    """
    from bodyposenet.common.data.conversion.shard_plan import read_part
    from bodyposenet.common.data.photo_set import make_dataset_spec, photos_in

    settings = {**restore_ints(dataset_spec), **_withhold(hold_out)}
    spec = make_dataset_spec(photos_in(Path(photos)), settings)
    index, of = read_part(part)
    folder = Path(dataset)
    outputs = {half: (folder / name, folder / name) for half, name in SETS.items()}
    options = ConversionOptions(shards=(1, of if of > 1 else 0), part=(index, of), check_files=True, strict=strict)
    name = "dataset_convert" if of == 1 else f"dataset_convert {index + 1} of {of}"
    with task_run(name, buffer=folder) as run:
        read = partial(describe_photos, photos_in(Path(photos)), spec.dataset, fingerprint)
        _, numbers = run_convert(run, spec, outputs, options, photos=read, page=Path(page))
    return note(numbers, metrics)


def _withhold(hold_out: str) -> dict[str, Any]:
    """The setting that keeps a champion's held-out photos from being trained on."""
    kept = Attachment.parse(hold_out)
    if kept is None:
        return {}
    with scratch_folder() as folder:
        file = fetch_attachment(kept, Path(folder))
        if file is None:
            log.warning("%s: the champion's held-out photos are there no longer: none is looked for", kept)
            return {}
        return {"withheld_photos": {photo.sha256: photo.size for photo in read_photos(file)}}


@report_failures
def join(photos: str, dataset_spec: Settings, parts: Sequence[str], dataset: str, metrics: str) -> dict[str, float]:
    """Make one dataset of the parts of a conversion, with the held-out photos beside the shards."""
    from bodyposenet.common.data.conversion.join import join_parts
    from bodyposenet.common.data.photo_set import keep_test_half, make_dataset_spec, photos_in

    spec = make_dataset_spec(photos_in(Path(photos)), restore_ints(dataset_spec))
    folder = Path(dataset)
    with task_run("dataset_join", buffer=folder) as run:
        numbers: dict[str, float] = {}
        for name in SETS.values():
            numbers |= count_samples(name, join_parts(parts, folder / name))
        kept = keep_test_half(spec, folder)
        (folder / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True, indent=1), encoding="utf-8")
        run.log_metrics(numbers)
    return note(numbers, metrics)


@report_failures
def sample_calibration(
    photos: str, dataset_spec: Settings, images: int, seed: int, calibration: str, metrics: str
) -> dict[str, float]:
    """Copy training photos that stand for all: as many as asked, or all that qualify."""
    from bodyposenet.common.data.conversion.split import DatasetSplit
    from bodyposenet.common.data.photo_set import make_dataset_spec, photos_in
    from bodyposenet.common.data.sampling.calibration_sample import copy_sample

    source = DatasetSplit.read(make_dataset_spec(photos_in(Path(photos)), restore_ints(dataset_spec)), "train")
    least = source.spec.data_filtering_params.min_acceptable_kpts
    output = Path(calibration) / CALIBRATION_IMAGES
    with task_run("sample_calibration", buffer=Path(calibration)) as run:
        run.log_params({"images": images, "seed": seed}, prefix="data")
        done = copy_sample(
            source.coco, source.store, output, num_images=images, min_kpts=least, seed=seed, fewer=True,
            unclear=source.spec.unclear_orientation,
        )  # fmt: skip
        numbers = {"images": len(done.photos), "qualified": done.qualified, "left_out": len(done.left_out)}
        run.log_metrics(numbers)
    return note({name: float(number) for name, number in numbers.items()}, metrics)
