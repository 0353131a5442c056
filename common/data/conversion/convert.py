"""Convert: COCO keypoint annotations and photos to record shards."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.data.annotations.problems import NearDuplicate, Problem, refuse
from bodyposenet.common.data.conversion.jobs import PieceResult
from bodyposenet.common.data.conversion.known_photos import KnownPhoto
from bodyposenet.common.data.conversion.publish import (
    Conversion,
    Described,
    describe_set,
    find_notes,
    open_staging,
    publish_set,
    write_report,
    write_summary,
)
from bodyposenet.common.data.conversion.renewal import SETTINGS, plan_renewal, tell_known
from bodyposenet.common.data.conversion.shard_plan import Options, cut_pieces, plan
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.staging import StagedShard, Staging
from bodyposenet.common.data.conversion.worker_pool import WorkerPool, cores
from bodyposenet.common.data.records.manifest import NAME as MANIFEST
from bodyposenet.common.data.records.manifest import add_set, read_manifest
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.near_duplicates import find_pairs
from bodyposenet.common.imaging.orientation import describe_turns
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.location import Location, locate
from bodyposenet.common.storage.together import appear_together

if TYPE_CHECKING:
    from bodyposenet.common.spec.dataset import DatasetSpec

__all__ = ["Conversion", "convert_dataset", "forget_records", "plan"]

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


def _problems_beforehand(work: "ConversionWork", pool: WorkerPool) -> list[Problem]:
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


class ConversionWork:
    """A conversion, once its input is known, and what of it stands already."""

    def __init__(self, source: DatasetSplit, options: Options, pool: WorkerPool) -> None:
        self.source, self.options = source, options
        files = [file for file, _ in options.plan_shards(len(source.usable))]
        key = source.key(files, options.part, options.generate_masks, options.check_files, options.strict)
        self.prefix = options.prefix.with_name(options.set_name)
        self.known = known = read_manifest(self.prefix.parent)["sets"].get(options.set_name)
        notes = [] if known is None else find_notes(self.prefix)
        self.renewal = renewal = plan_renewal(source, options, known, notes, pool)
        # Pieces are named by their place in the plan, which is another where other shards or photos could be read
        planned = [(shard.file, [*shard.numbers], [*shard.copies]) for shard in renewal.plan]
        self.key = digest_settings([key, renewal.document, planned])[:16] if renewal.shards else key
        self.plan = [replace(shard, file=self._name(shard.file)) for shard in renewal.plan]
        index, of = options.part or (0, 1)
        self.masked = self._list_masked() if options.generate_masks else []
        self.masks = cut_pieces("masks", range(len(self.masked)))[index::of]
        thorough = options.check_files and not options.strict  # those have been looked at
        self.recipe = source.recipe(thorough=thorough, mask_files=options.generate_masks, token=self.key)

    def _name(self, slot: str) -> str:
        """Name a shard: as nothing else is called that is there, where something is to stay."""
        return f"{slot}-{self.key[:8]}" if self.renewal.shards else slot

    def _list_masked(self) -> list[int]:
        """List photos whose mask is all that is written of them."""
        ids = self.source.coco.images.ids
        kept = np.flatnonzero(np.isin(ids, [photo.image_id for photo in self.renewal.photos]))
        masked: list[int] = np.union1d(self.source.mask_only, np.intersect1d(kept, self.source.masked)).tolist()
        return masked

    def run(self, pool: WorkerPool, results_dir: Location | None) -> Conversion:
        """Write what is missing, then publish all of it."""
        with open_staging(self.prefix, self.key) as staging:
            self._require_known()
            staging.recover(self._shards(), [name for name, _ in self.masks])
            self._make(pool, staging)
            held_out = self._hash_held_out(pool)
            pairs = None if held_out is None else self._find_duplicates(held_out, staging)
            renewal = replace(self.renewal, plan=self.plan)
            described = describe_set(self.source, self.options, renewal, staging.made, self._name_hashes(held_out))
            if not self.options.generate_masks:  # drawing those tells it, too
                described.problems.extend(tell_known(self.renewal, self.source))
            self._hold(described, staging)
            conversion = self._conclude(described, staging, pairs)
            publish = partial(self._publish, described, staging)
            if results_dir is None:
                publish()
            else:
                conversion = self._report(conversion, staging, pairs, results_dir, publish)
            self._sweep_masks()
            staging.clear()
        return conversion

    def _require_known(self) -> None:
        """Refuse to go on from a set that is there no longer."""
        if self.renewal.shards:
            found = read_manifest(self.prefix.parent)["sets"].get(self.options.set_name)
            if found != self.known:
                fix = "run it again"
                raise UserError("another conversion has replaced the set meanwhile", where=str(self.prefix), fix=fix)

    def _shards(self) -> list[StagedShard]:
        return [StagedShard(self.prefix.with_name(shard.file), shard.label, shard.names) for shard in self.plan]

    def _make(self, pool: WorkerPool, staging: Staging) -> None:
        total = sum(len(numbers) for _, numbers in self.masks) + sum(shard.count for shard in self.plan)
        done = sum(made.photos for made in staging.made.values())
        if done:
            log.info("%s: goes on after %d of %d photos", self.options.prefix, done, total)
        try:
            with Bar(total=total, initial=done, desc=self.options.prefix.name, unit="photo") as progress:
                for made in pool.run(self._jobs(staging)):
                    staging.add(made)
                    progress.update(made.photos)
        except BaseException:
            pool.end()
            staging.tidy()
            self._sweep_masks()
            raise

    def _jobs(self, staging: Staging) -> Iterator[Callable[[], PieceResult]]:
        """What is not there yet."""
        for shard in self.plan:
            for name, file, records in shard.copied_pieces():
                if name not in staging.made:
                    yield self.renewal.shards[file].copy_piece(name, staging.folder, records)
            for name, numbers in shard.pieces():
                if name not in staging.made:
                    yield self.source.piece(name, staging.folder, numbers, self.recipe)
        for name, numbers in self.masks:
            if name not in staging.made:
                photos = np.array([self.masked[number] for number in numbers])
                yield self.source.mask_piece(name, staging.folder, photos, self.recipe)

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
        name, turns = self.options.set_name, self._count_turns(staging)
        with appear_together(folder, name) as staged:
            page = write_report(self.source, done.problems, staged / name, self.key, turns, pairs, done.changes)
            done = replace(done, report=folder / page.name)
            summarize = partial(write_summary, done, staged / name, self.key)
            for step in (publish, summarize) if folder.remote else (summarize, publish):  # a store shows each at once
                step()
        return done

    def _publish(self, described: Described, staging: Staging) -> None:
        document = described.document
        staging.keep({shard["file"] for shard in document["shards"]})
        before = read_manifest(self.prefix.parent)["sets"] if self.options.part else {}
        without = [name for name, other in before.items() if self._is_other_division(other)]
        publish_set(staging, self.options.set_name, document, without=without)

    def _conclude(self, described: Described, staging: Staging, pairs: Sequence[NearDuplicate] | None) -> Conversion:
        """Say what comes of it all."""
        folder = self.prefix.parent
        own = sorted(described.problems, key=lambda found: (found.image_id or 0, found.annotation_id or 0, found.text))
        problems = (*self.source.coco.problems, *own, *self._tell_unclear(staging))
        problems = (*problems, *(pair.tell(str(self.source.coco.path)) for pair in pairs or ()))
        done = Conversion.read(described.document, folder, folder / MANIFEST, problems)
        changes = self.renewal.count_changes([photo.image_id for photo in _list_made(staging)])
        if changes is not None:
            log.info("%s: converted again: %s", self.prefix, changes)
        return replace(done, refused=self.source.coco.refused, changes=changes)

    def _hash_held_out(self, pool: WorkerPool) -> dict[int, int | None] | None:
        """Hash the photos that are held out, by their ids; None where nothing is split."""
        table = self.source.held_out
        if table is None:
            return None
        before = self.renewal.document.get("held_out", {})
        same = {  # one that could not be read may be now
            name
            for name, (*stat, value) in before.items()
            if value is not None and [*(self.source.find_stat(name) or ())] == stat
        }
        named = zip(table.ids.tolist(), table.file_names, strict=True)
        hashes: dict[int, int | None] = {number: before[name][-1] if name in same else None for number, name in named}
        for found in pool.run(self.source.hash_pieces(same)):
            hashes |= dict(found)
        return hashes

    def _name_hashes(self, held_out: Mapping[int, int | None] | None) -> dict[str, int | None]:
        table = self.source.held_out
        if table is None or held_out is None:
            return {}
        return {name: held_out[number] for number, name in zip(table.ids.tolist(), table.file_names, strict=True)}

    def _find_duplicates(self, hashes: Mapping[int, int | None], staging: Staging) -> list[NearDuplicate]:
        """Find photos that are held out and look like one of these."""
        held_out = sorted((number, value) for number, value in hashes.items() if value is not None)
        known = [*self.renewal.photos, *_list_made(staging)]
        own = sorted({photo.image_id: photo.likeness for photo in known if photo.likeness is not None}.items())
        pairs = find_pairs([value for _, value in held_out], [value for _, value in own])
        tables = [table for table in (self.source.held_out, self.source.coco.images) if table is not None]
        names = [dict(zip(table.ids.tolist(), table.file_names, strict=True)) for table in tables]
        ids = [(held_out[pair.one][0], own[pair.other][0], pair.bits) for pair in pairs]
        return [NearDuplicate(one, names[0][one], other, names[1][other], bits) for one, other, bits in ids]

    def _count_turns(self, staging: Staging) -> Counter[str]:
        """Count photos whose files tell a turn, by what their annotations are of."""
        known = {photo.image_id: photo.turn for photo in (*self.renewal.photos, *_list_made(staging))}
        return Counter(turn for turn in known.values() if turn)

    def _tell_unclear(self, staging: Staging) -> list[Problem]:
        """Tell of photos whose size does not say how they were annotated, unless the spec itself says it."""
        spec, turns = self.source.spec, self._count_turns(staging)
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


def _list_made(staging: Staging) -> list[KnownPhoto]:
    """List what is known of the records in all pieces, copied ones among them."""
    return [photo for made in staging.made.values() for photo in made.known]
