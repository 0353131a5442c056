"""Convert: COCO keypoint annotations and photos to record shards."""

from pathlib import Path
from typing import TYPE_CHECKING

from bodyposenet.common.data.annotations.problems import Problem, refuse
from bodyposenet.common.data.conversion.conversion_work import ConversionWork
from bodyposenet.common.data.conversion.publish import Conversion, write_report
from bodyposenet.common.data.conversion.shard_plan import Options
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.standing_records import SETTINGS
from bodyposenet.common.data.conversion.worker_pool import WorkerPool, cores
from bodyposenet.common.data.records.manifest import add_set, read_manifest
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec

SMALL = 1024  # photos; fewer are converted before other processes would have started


def convert_dataset(
    spec: "DatasetSpec",
    output: str | Path | Location,
    *,
    mode: str = "train",
    shards: tuple[int, int] = (1, 0),
    generate_masks: bool = False,
    check_files: bool = False,
    results_dir: str | Path | Location | None = None,
    strict: bool = False,
    processes: int | None = None,
    part: tuple[int, int] | None = None,
) -> Conversion:
    """Convert a dataset to record shards and describe them in ``manifest.json`` beside them.

    The same input gives the same bytes. Photos without a person of interest get no record. A conversion that was
    stopped, however, goes on where it was when it is called again.

    Where the set is there already, made with the same settings, records of photos that did not change stand. Only
    shards that hold others are written anew, and new photos go into new shards: the records are those of a conversion
    from nothing, in another order. :func:`forget_records` has all of them made anew.

    Args:
        spec: The dataset.
        output: Folder and base name of the shards: ``data/train`` gives ``data/train-fold-000-of-001``; local or
            ``gs://``.
        mode: ``train`` or ``test``: which of the spec's two sets.
        shards: Folds, dealt in turn, and files a fold; 0 is one that the file names do not mention.
        generate_masks: Write the masks as PNG files below the set's ``mask_root_dir_path`` too.
        check_files: Decode every pixel of every photo; otherwise as much as shows that a file is whole.
        results_dir: Folder for a summary, ``<set>.conversion.json``, and the dataset's report, ``<set>.dataset_report``
            as a page and as JSON.
        strict: Stop at problems, before anything is written if they can be known by then; otherwise photos and
            annotations that are wrong are left out.
        processes: How many work side by side; by default as many as this machine can run, or one for a small set.
        part: ``(index, of)``: write only some of the shards, as one of several machines; ``join_parts`` makes one set
            of what they wrote.

    Raises:
        UserError: A setting or the annotation file is wrong, every photo is, or with ``strict`` anything is.

    Examples:
        >>> done = bodyposenet.convert_dataset(dataset, "data/train")
        >>> done.images
        8
    """
    prefix = locate(output)
    options = Options(prefix, mode, *shards, generate_masks, check_files, strict, part)
    options.check()
    results = None if results_dir is None else locate(results_dir)
    read_manifest(prefix.parent)  # one that cannot be added to is told now, before hours of work
    source = DatasetSplit.read(spec, mode)
    count = processes or (cores() if len(source.usable) >= SMALL else 1)
    with WorkerPool(count) as pool:
        work = ConversionWork(source, options, pool)
        if strict:
            problems = _problems_beforehand(work, pool)
            if problems and results is not None:
                with appear_together(results, options.set_name) as staged:
                    write_report(source, problems, staged / options.set_name, source.digest[:16])
            refuse(problems)
        return work.run(pool, results)


def _problems_beforehand(work: ConversionWork, pool: WorkerPool) -> list[Problem]:
    """What can be known to be wrong before anything is written."""
    source = work.source
    problems = [*source.coco.problems, *source.problems()]
    if work.options.check_files:
        known = {problem.image_id for problem in problems}
        recipe = source.recipe(thorough=True, mask_files=False, token="")
        numbers = [number for shard in work.renewal.plan for number in shard.numbers]  # the others stood this once
        with Bar(total=len(numbers), desc="checking", unit="photo") as progress:
            for check in pool.run(source.checks(recipe, numbers)):
                progress.update(check.photos)
                problems += [problem for problem in check.problems if problem.image_id not in known]
    return problems


def forget_records(output: str | Path | Location, part: tuple[int, int] | None = None) -> None:
    """Have the next conversion to a name make every record: the manifest forgets what those there were made of.

    The set can be read as before.

    Args:
        output: Folder and base name of the shards, as for :func:`convert_dataset`.
        part: Of a part, which.
    """
    prefix = locate(output)
    name = Options(prefix, "train", 1, 0, part=part).set_name
    known = read_manifest(prefix.parent)["sets"].get(name)
    if known is not None:
        add_set(prefix.parent, name, {key: value for key, value in known.items() if key != SETTINGS})
