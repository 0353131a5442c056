"""Convert step: photos as record shards, and what is recorded of the conversion."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.steps.pages import page_path
from bodyposenet.common.storage.files import read_bytes

if TYPE_CHECKING:
    from bodyposenet.common.data.conversion.publish import Conversion
    from bodyposenet.common.spec.dataset import DatasetSpec
    from bodyposenet.common.storage.location import Location
    from bodyposenet.common.tracking import Dataset, TrackedRun

SETS = {"train": "train", "test": "val"}  # halves of a dataset spec, and the sets of a dataset that they become


@dataclass(frozen=True)
class ConversionOptions:
    """How photos are converted: see :func:`bodyposenet.common.data.conversion.convert.convert_dataset`.

    Attributes:
        from_scratch: Make all records, those that stand in a set that is there among them.
    """

    shards: tuple[int, int] = (1, 0)
    part: tuple[int, int] | None = None
    generate_masks: bool = False
    check_files: bool = False
    strict: bool = False
    processes: int | None = None
    from_scratch: bool = False


def run_convert(
    run: "TrackedRun", dataset_spec: "DatasetSpec", outputs: "Mapping[str, tuple[Path | Location, Path | Location]]",
    options: ConversionOptions, *, photos: "Callable[[], Dataset] | None" = None, page: Path | None = None,
) -> "tuple[dict[str, Conversion], dict[str, float]]":  # fmt: skip
    """Convert halves of a dataset, and log the spec, the part, the numbers and the first half's report to the run.

    Args:
        run: The tracked run.
        dataset_spec: Where photos and annotations are, and which people count.
        outputs: For each half, ``train`` or ``test``, folder and name of its shards, and the folder of its results.
        options: How.
        photos: Describes what is read, where its digest is known; without it each half is digested, if anything is
            tracked.
        page: Gets a copy of the report; without it the copy is only in the run.

    Returns:
        What came out, by half; and the numbers that are logged.

    Raises:
        UserError: See :func:`bodyposenet.common.data.conversion.convert.convert_dataset`.
    """
    from bodyposenet.common.data.conversion.convert import convert_dataset, forget_records
    from bodyposenet.common.tracking.annotated_photos import describe_half

    run.log_params(dataset_spec.model_dump(mode="json", by_alias=True), prefix="spec")
    index, of = options.part or (0, 1)
    run.log_params({"part": f"{index}/{of}"}, prefix="data")
    for read in [photos] if photos else [partial(describe_half, dataset_spec, half, "conversion") for half in outputs]:
        run.log_dataset(read)
    made: dict[str, Conversion] = {}
    numbers: dict[str, float] = {}
    for half, (output, results_dir) in outputs.items():
        if options.from_scratch:
            forget_records(output, options.part)
        made[half] = convert_dataset(
            dataset_spec, output, mode=half, shards=options.shards, part=options.part, results_dir=results_dir,
            generate_masks=options.generate_masks, check_files=options.check_files, strict=options.strict,
            processes=options.processes,
        )  # fmt: skip
        numbers |= count_samples(SETS[half], made[half])
    run.log_metrics(numbers)
    report = next(iter(made.values())).report
    if report:
        with page_path(page, "dataset_report.html") as path:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(read_bytes(report))
            run.log_artifact(path, "report")
    return made, numbers


def count_samples(name: str, done: "Conversion") -> dict[str, float]:
    """Count what is in a set, by names that begin with the set's."""
    counts = {"images": done.images, "people": done.people, "samples": done.samples, "skipped": len(done.skipped)}
    return {f"{name}_{what}": float(count) for what, count in counts.items()}
