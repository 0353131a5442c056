"""Renewal: which shards a conversion writes where a set is there already, for what of it does not stand."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.conversion.known_photos import KnownPhoto, read_columns, tell_faults
from bodyposenet.common.data.conversion.publish_note import PublishNote
from bodyposenet.common.data.conversion.shard_plan import Options, ShardPlan, deal, plan_shards
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.standing_records import (
    KnownShard,
    find_doubtful,
    find_kept,
    find_obstacle,
    is_sound,
)
from bodyposenet.common.data.conversion.worker_pool import WorkerPool

log = logging.getLogger(__name__)


class Changes(NamedTuple):
    """What a conversion did with the records of the set as it was.

    Attributes:
        kept: Records that stand.
        added: Records of photos that had none.
        changed: Records of photos that were replaced, or whose annotations were changed.
        removed: Records of photos that are left out now.
    """

    kept: int
    added: int
    changed: int
    removed: int

    def note(self) -> dict[str, int] | None:
        """Tell what files say of them; of nothing that changed they say nothing, as when all of it was made.

        A conversion that was killed when its records were there ends so as one that was not.
        """
        return self._asdict() if any(self[1:]) else None

    def __str__(self) -> str:
        return f"{self.kept:,} kept, {self.added:,} added, {self.changed:,} changed, {self.removed:,} removed"


@dataclass(frozen=True)
class Renewal:
    """What a conversion keeps, and what it writes.

    Attributes:
        plan: Shards to write.
        shards: What is there of the set, by file; nothing where all of it is made.
        kept: Numbers of the records of each that stand, in its own file or in another one.
        before: Image ids of the set's records as it was; None where there was no set to go on from.
        document: The set as the manifest had it.
    """

    plan: list[ShardPlan]
    shards: Mapping[str, KnownShard] = field(default_factory=dict)
    kept: Mapping[str, Sequence[int]] = field(default_factory=dict)
    before: frozenset[int] | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def untouched(self) -> list[KnownShard]:
        """Shards that stay as they are."""
        copied = {file for shard in self.plan for file, _ in shard.copies}
        return [shard for file, shard in self.shards.items() if self.kept[file] and file not in copied]

    @property
    def photos(self) -> list[KnownPhoto]:
        """What is known of the records that stand."""
        return [shard.photos[record] for file, shard in self.shards.items() for record in self.kept[file]]

    def count_changes(self, made: Sequence[int]) -> Changes | None:
        """Count, given the image ids of the records that were made; None where there was nothing to go on from."""
        if self.before is None:
            return None
        kept = {photo.image_id for photo in self.photos}
        new = set(made) - kept
        changed = len(new & self.before)
        return Changes(len(kept), len(new) - changed, changed, len(self.before - kept - new))


def plan_renewal(
    source: DatasetSplit,
    options: Options,
    document: Mapping[str, Any] | None,
    notes: Sequence[PublishNote],
    pool: WorkerPool,
) -> Renewal:
    """Plan a conversion: what stands is kept, shards that hold anything else are written anew, what is new goes beside.

    Args:
        source: What is to be converted.
        options: How.
        document: The set as the folder's manifest has it; None where it has none.
        notes: Of conversions that were stopped while they let shards appear.
        pool: Reads the photos of which only their content tells whether they are the same.
    """
    reason = "" if document is None else find_obstacle(source, options, document)
    if document is None or reason:
        if reason:
            log.info("%s: converted from scratch: %s", options.prefix, reason)
        return Renewal(plan_shards(options.plan_shards(len(source.usable)), options.part))
    shards = {entry["file"]: KnownShard(entry, read_columns(entry)) for entry in document["shards"]}
    before = frozenset(photo.image_id for shard in shards.values() for photo in shard.photos)
    slots = {file: slot for file in shards if (slot := options.find_slot(file))}
    home = {photo.image_id: slot for file, slot in slots.items() for photo in shards[file].photos}
    doubtful = find_doubtful(document, notes)
    shards = {file: shard for file, shard in shards.items() if file not in doubtful and is_sound(shard, options)}
    kept = find_kept(source, shards, document["seen"], pool)
    if not any(kept.values()):
        log.info("%s: no record stands: converted from scratch", options.prefix)
        plan = plan_shards(options.plan_shards(len(source.usable)), options.part)
        return Renewal(plan, before=before, document=document)
    return Renewal(_plan_new(source, options, shards, kept, home), shards, kept, before, document)


def _plan_new(
    source: DatasetSplit,
    options: Options,
    shards: Mapping[str, KnownShard],
    kept: Mapping[str, Sequence[int]],
    home: Mapping[int, str],
) -> list[ShardPlan]:
    """Plan shards for what stands of shards that change, and for photos without a record that stands.

    A file's name begins with that of a shard of the set as it is converted from nothing: its slot. A photo that changed
    stays in its slot, and thereby in its fold; so does one whose shard was lost, as ``home`` knows by image ids.
    """
    slots = [file for file, _ in options.plan_shards(0)]
    slot_of = {file: str(options.find_slot(file)) for file in shards}
    standing = {shards[file].photos[record].image_id for file, records in kept.items() for record in records}
    ids = source.coco.images.ids[source.usable].tolist()
    left = [number for number, image_id in enumerate(ids) if image_id not in standing]
    numbers: dict[str, list[int]] = {slot: [] for slot in slots}
    new: list[int] = []
    for number in left:
        (numbers[home[ids[number]]] if ids[number] in home else new).append(number)
    sizes = {slot: len(some) for slot, some in numbers.items()}
    for file, records in kept.items():
        sizes[slot_of[file]] += len(records)
    for slot, some in deal(new, sizes, max(options.num_shards, 1)).items():
        numbers[slot] += some
    copies = _choose_copies(shards, kept, slot_of, numbers)
    return [
        ShardPlan(slot, f"{place:05d}", numbers[slot], copies[slot])
        for place, slot in enumerate(slots)
        if numbers[slot] or copies[slot]
    ]


def _choose_copies(
    shards: Mapping[str, KnownShard],
    kept: Mapping[str, Sequence[int]],
    slot_of: Mapping[str, str],
    numbers: Mapping[str, Sequence[int]],
) -> dict[str, list[tuple[str, Sequence[int]]]]:
    """Choose what is copied to new files: shards of which a part stands, and those no larger than what joins them.

    Without the latter every night would leave a file more.
    """
    copies: dict[str, list[tuple[str, Sequence[int]]]] = defaultdict(list)
    joining = Counter({slot: len(some) for slot, some in numbers.items()})
    parted = {file for file, shard in shards.items() if 0 < len(kept[file]) < len(shard.photos)}
    whole = [file for file in shards if len(kept[file]) == len(shards[file].photos) > 0]
    for file in [*sorted(parted), *sorted(whole, key=lambda file: len(kept[file]))]:
        slot = slot_of[file]
        if file in parted or 0 < len(kept[file]) <= joining[slot]:
            copies[slot].append((file, kept[file]))
            joining[slot] += len(kept[file])
    return copies


def tell_known(renewal: Renewal, source: DatasetSplit) -> list[Problem]:
    """Tell what was wrong with annotations of records that stand."""
    noted = [photo for photo in renewal.photos if photo.faults]
    if not noted:
        return []
    coco, file = source.coco, str(source.coco.path)
    places = {number: place for place, number in enumerate(coco.images.ids.tolist())}
    problems: list[Problem] = []
    for photo in noted:
        first, end = coco.annotations.first[places[photo.image_id] : places[photo.image_id] + 2]
        problems += tell_faults(photo, file, coco.annotations.ids[first:end].tolist())
    return problems
