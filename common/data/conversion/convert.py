"""Convert: COCO keypoint annotations and photos to record shards."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyposenet.common.data.annotations.problems import NearDuplicate, Problem, refuse
from bodyposenet.common.data.conversion.jobs import PieceResult
from bodyposenet.common.data.conversion.publish import Conversion, Described, describe_set, open_staging, publish_set
from bodyposenet.common.data.conversion.shard_plan import Options, cut_pieces, plan, plan_shards
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.staging import StagedShard, Staging
from bodyposenet.common.data.conversion.worker_pool import WorkerPool, cores
from bodyposenet.common.data.records.manifest import NAME as MANIFEST
from bodyposenet.common.data.records.manifest import read_manifest
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.near_duplicates import find_pairs
from bodyposenet.common.imaging.orientation import describe_turns
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.storage.files import write_unsynced
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.storage.progress import ProgressLog
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec

__all__ = ["Conversion", "convert_dataset", "plan"]

SMALL = 1024  # photos; fewer are converted before other processes would have started

log = logging.getLogger(__name__)


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
        if strict:
            problems = _problems_beforehand(source, options, pool)
            if problems and results is not None:
                with appear_together(results, options.set_name) as staged:
                    _write_report(source, problems, staged / options.set_name, source.digest[:16])
            refuse(problems)
        return ConversionWork(source, options).run(pool, results)


def _problems_beforehand(source: DatasetSplit, options: Options, pool: WorkerPool) -> list[Problem]:
    """What can be known to be wrong before anything is written."""
    problems = [*source.coco.problems, *source.problems()]
    if options.check_files:
        known = {problem.image_id for problem in problems}
        recipe = source.recipe(thorough=True, mask_files=False, token="")
        with ProgressLog("checking", len(source.usable)) as progress:
            for check in pool.run(source.checks(recipe)):
                progress.add(check.photos)
                problems += [problem for problem in check.problems if problem.image_id not in known]
    return problems


class ConversionWork:
    """A conversion, once its input is known."""

    def __init__(self, source: DatasetSplit, options: Options) -> None:
        self.source, self.options = source, options
        planned = options.plan_shards(len(source.usable))
        self.plan = plan_shards(planned, options.part)
        index, of = options.part or (0, 1)
        masked = source.mask_only if options.generate_masks else ()
        self.masks = cut_pieces("masks", range(len(masked)))[index::of]
        files = [file for file, _ in planned]
        self.key = source.key(files, options.part, options.generate_masks, options.check_files, options.strict)
        thorough = options.check_files and not options.strict  # those have been looked at
        self.recipe = source.recipe(thorough=thorough, mask_files=options.generate_masks, token=self.key)

    def run(self, pool: WorkerPool, results_dir: Location | None) -> Conversion:
        """Write what is missing, then publish all of it."""
        prefix = self.options.prefix
        with open_staging(prefix.with_name(self.options.set_name), self.key) as staging:
            staging.recover(self._shards(), [name for name, _ in self.masks])
            self._make(pool, staging)
            pairs = self._find_duplicates(pool, staging)
            described = describe_set(self.source, self.options, self.plan, staging.made)
            self._hold(described, staging)
            conversion = self._conclude(described, staging, pairs)
            if results_dir is None:
                self._publish(described, staging)
            else:
                publish = partial(self._publish, described, staging)
                conversion = self._report(conversion, staging, pairs, results_dir, publish)
            self._sweep_masks()
            staging.clear()
        return conversion

    def _shards(self) -> list[StagedShard]:
        prefix = self.options.prefix
        return [
            StagedShard(prefix.with_name(shard.file), shard.label, [name for name, _ in shard.pieces()])
            for shard in self.plan
        ]

    def _make(self, pool: WorkerPool, staging: Staging) -> None:
        total = sum(len(numbers) for _, numbers in self.masks) + sum(len(shard.numbers) for shard in self.plan)
        done = sum(made.photos for made in staging.made.values())
        if done:
            log.info("%s: goes on after %d of %d photos", self.options.prefix, done, total)
        try:
            with ProgressLog(self.options.prefix.name, total, done=done) as progress:
                for made in pool.run(self._jobs(staging)):
                    staging.add(made)
                    progress.add(made.photos)
        except BaseException:
            pool.end()
            staging.tidy()
            self._sweep_masks()
            raise

    def _jobs(self, staging: Staging) -> Iterator[Callable[[], PieceResult]]:
        """What is not there yet."""
        for shard in self.plan:
            for name, numbers in shard.pieces():
                if name not in staging.made:
                    yield self.source.piece(name, staging.folder, numbers, self.recipe)
        for name, numbers in self.masks:
            if name not in staging.made:
                yield self.source.mask_piece(name, staging.folder, numbers, self.recipe)

    def _hold(self, described: Described, staging: Staging) -> None:
        """Refuse a set without photos, and with ``strict`` what was found wrong on the way."""
        try:
            if self.options.strict:
                refuse(described.problems)
            if not described.document["images"] and self.options.part is None:
                first, fix = described.document["skipped"][0], "check images_root_dir_path"
                raise UserError("every photo was left out", where=first, fix=fix)
        except UserError:
            staging.clear()
            raise

    def _report(
        self, done: Conversion, staging: Staging, pairs: Sequence[NearDuplicate] | None, folder: Location,
        publish: Callable[[], None],
    ) -> Conversion:  # fmt: skip
        """Write report and summary before the shards replace others: the disk may fill at any of them."""
        name = self.options.set_name
        with appear_together(folder, name) as staged:
            page = _write_report(self.source, done.problems, staged / name, self.key, _count_turns(staging), pairs)
            done = replace(done, report=folder / page.name)
            _write_summary(done, staged / name, self.key)
            publish()
        return done

    def _publish(self, described: Described, staging: Staging) -> None:
        prefix = self.options.prefix
        before = read_manifest(prefix.parent)["sets"] if self.options.part else {}
        without = [name for name, other in before.items() if self._is_other_division(other)]
        publish_set(staging, self.options.set_name, described.document, without=without)

    def _conclude(self, described: Described, staging: Staging, pairs: Sequence[NearDuplicate] | None) -> Conversion:
        """Say what comes of it all."""
        folder = self.options.prefix.parent
        problems = (*self.source.coco.problems, *described.problems, *self._tell_unclear(staging))
        problems = (*problems, *(pair.tell(str(self.source.coco.path)) for pair in pairs or ()))
        done = Conversion.read(described.document, folder, folder / MANIFEST, problems)
        return replace(done, refused=self.source.coco.refused)

    def _find_duplicates(self, pool: WorkerPool, staging: Staging) -> list[NearDuplicate] | None:
        """Find photos that are held out and look like one of these; None where nothing is split."""
        if self.source.held_out is None:
            return None
        held_out = sorted(found for founds in pool.run(self.source.hash_pieces()) for found in founds)
        own = sorted(found for made in staging.made.values() for found in made.hashes)
        pairs = find_pairs([value for _, value in held_out], [value for _, value in own])
        tables = self.source.held_out, self.source.coco.images
        names = [dict(zip(table.ids.tolist(), table.file_names, strict=True)) for table in tables]
        ids = [(held_out[pair.one][0], own[pair.other][0], pair.bits) for pair in pairs]
        return [NearDuplicate(one, names[0][one], other, names[1][other], bits) for one, other, bits in ids]

    def _tell_unclear(self, staging: Staging) -> list[Problem]:
        """Tell of photos whose size does not say how they were annotated, unless the spec itself says it."""
        spec, turns = self.source.spec, _count_turns(staging)
        line = describe_turns(turns, spec.unclear_orientation)
        if line:
            log.info("%s: %s", self.source.coco.path, line)
        if not turns["unclear"] or "unclear_orientation" in spec.model_fields_set:
            return []
        text = f"EXIF data turn {pluralize(turns['unclear'], 'photo')} without changing the size, so that only a look "
        text += f"tells what was annotated; they are taken as {spec.unclear_orientation}"
        fix = "set unclear_orientation of the dataset spec to shown or stored"
        return [Problem(str(self.source.coco.path), "unclear orientation", text, fix, kept=True)]

    def _is_other_division(self, other: dict[str, Any]) -> bool:
        """Whether a set is a part of this one, divided in another number of parts."""
        part = other.get("part")
        _, of = self.options.part or (0, 1)
        return part is not None and part["of_set"] == self.options.prefix.name and part["of"] != of

    def _sweep_masks(self) -> None:
        """Remove what killed attempts at this conversion left among the masks."""
        folder = self.recipe.mask_folder
        if folder is not None and not folder.remote:
            for aside in Path(str(folder)).rglob(f".*.{self.key}-*.tmp"):
                aside.unlink(missing_ok=True)


def _count_turns(staging: Staging) -> Counter[str]:
    return sum((Counter(made.turns) for made in staging.made.values()), Counter[str]())


def _write_summary(done: Conversion, base: Location, token: str) -> None:
    shown = {name: value for name, value in vars(done).items() if name != "problems"}
    with write_unsynced(base.with_name(f"{base.name}.conversion.json"), token) as file:
        file.write(json.dumps(shown, indent=1, default=str).encode())


def _write_report(
    source: DatasetSplit,
    problems: Sequence[Problem],
    base: Location,
    token: str,
    turns: Mapping[str, int] | None = None,
    pairs: Sequence[NearDuplicate] | None = None,
) -> Location:
    """The dataset's report; it is made elsewhere, so that a kill leaves no half of it. Returns the page."""
    from bodyposenet.common.data.report.dataset_report import report_dataset

    base.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder() as made:
        read = source.store.read
        page = report_dataset(
            Path(made), source.coco, source.choice, problems, spec=source.spec, read=read, turns=turns, pairs=pairs
        )
        for path in sorted(Path(made).iterdir()):
            with write_unsynced(base.with_name(f"{base.name}.{path.name}"), token) as file:
                file.write(path.read_bytes())
    return base.with_name(f"{base.name}.{page.name}")
