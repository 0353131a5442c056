"""Conversion work: what of a set remains to be made, is made piece by piece, and is published."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.problems import NearDuplicate, Problem, refuse
from bodyposenet.common.data.conversion.held_out import find_duplicates, hash_held_out, name_hashes
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
from bodyposenet.common.data.conversion.renewal import plan_renewal, tell_known
from bodyposenet.common.data.conversion.shard_plan import Options, cut_pieces
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.staging import StagedShard, Staging
from bodyposenet.common.data.conversion.worker_pool import WorkerPool
from bodyposenet.common.data.records.manifest import NAME as MANIFEST
from bodyposenet.common.data.records.manifest import read_manifest
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.orientation import describe_turns
from bodyposenet.common.machine.bar import Bar
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.together import appear_together

log = logging.getLogger(__name__)


class ConversionWork:
    """A conversion, once its input is known, and what of it stands already."""

    def __init__(self, source: DatasetSplit, options: Options, pool: WorkerPool) -> None:
        self.source, self.options = source, options
        files = [file for file, _ in options.plan_shards(0)]
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
            held_out = hash_held_out(self.source, self.renewal.document.get("held_out", {}), pool)
            photos = (*self.renewal.photos, *_list_made(staging))
            pairs = None if held_out is None else find_duplicates(self.source, held_out, photos)
            renewal, named = replace(self.renewal, plan=self.plan), name_hashes(self.source, held_out)
            described = describe_set(self.source, self.options, renewal, staging.made, named)
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
                first, fix = described.document["skipped"][0], "check images_root_dir_path, and the disk that it is on"
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
