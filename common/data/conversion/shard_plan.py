"""Shard plan: which photos go to which shard, and which pieces a shard is made of, before any work is done."""

import functools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from bodyposenet.common.data.records.manifest import is_grown
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import Location

SEED = 42  # TAO's
PIECE = 32  # photos: the unit of work, and of what a killed conversion need not do again


@dataclass(frozen=True)
class Options:
    """How to convert; the attributes are arguments of ``convert_dataset``.

    Attributes:
        prefix: Folder and base name of the shards.
    """

    prefix: Location
    mode: str
    num_partitions: int
    num_shards: int
    generate_masks: bool = False
    check_files: bool = False
    strict: bool = False
    part: tuple[int, int] | None = None

    def check(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            UserError: They do not.
        """
        if self.mode not in ("train", "test"):
            raise UserError(f"there is no mode {self.mode!r}", fix="use train or test")
        if min(self.num_partitions, self.num_shards) < 0:
            problem = f"{self.num_partitions} partitions of {self.num_shards} shards"
            raise UserError(problem, fix="use no negative numbers")
        index, of = self.part or (0, 1)
        files = max(self.num_partitions, 1) * max(self.num_shards, 1)
        if not 0 <= index < of:
            raise UserError(f"there is no part {index} of {of}", fix=f"count parts from 0 to {max(of, 1) - 1}")
        if of > files:
            problem = f"{files} shards cannot be divided in {of} parts"
            raise UserError(problem, fix=f"convert to {of} shards or more")

    @property
    def set_name(self) -> str:
        """What the manifest calls the result."""
        if self.part is None:
            return self.prefix.name
        return f"{self.prefix.name}.part-{self.part[0]:03d}-of-{self.part[1]:03d}"

    def plan_shards(self, count: int) -> list[tuple[str, list[int]]]:
        """Plan file name and photos of every shard of the whole set."""
        return plan(count, self.prefix.name, self.num_partitions, self.num_shards)

    def find_slot(self, file: str) -> str | None:
        """Find the shard of the set as it is converted from nothing that a file is, or stands for, or beside."""
        slot = file if file in self._slots else file.rpartition("-")[0]
        return slot if slot in self._slots and (file == slot or is_grown(file, slot)) else None

    @functools.cached_property
    def _slots(self) -> frozenset[str]:
        return frozenset(slot for slot, _ in self.plan_shards(0))


@dataclass(frozen=True)
class ShardPlan:
    """A shard to write.

    Attributes:
        file: Its name.
        label: What its pieces' names begin with.
        numbers: The photos of its records, in order.
        copies: Records that go before them: the file of a shard that they are in, and their numbers there.
    """

    file: str
    label: str
    numbers: Sequence[int]
    copies: Sequence[tuple[str, Sequence[int]]] = ()

    def pieces(self) -> list[tuple[str, Sequence[int]]]:
        """Name and photos of each piece that is made of photos, in order."""
        return cut_pieces(self.label, self.numbers)

    def copied_pieces(self) -> list[tuple[str, str, Sequence[int]]]:
        """Name of each piece that is copied, the file of the shard that it is in, and its records there, in order."""
        return [
            (name, file, some)
            for place, (file, records) in enumerate(self.copies)
            for name, some in cut_pieces(f"{self.label}-copy-{place:04d}", records)
        ]

    @property
    def count(self) -> int:
        """How many photos it has."""
        return len(self.numbers) + sum(len(records) for _, records in self.copies)

    @property
    def names(self) -> list[str]:
        """Of all its pieces, in order."""
        return [name for name, *_ in self.copied_pieces()] + [name for name, _ in self.pieces()]


def cut_pieces(label: str, numbers: Sequence[int]) -> list[tuple[str, Sequence[int]]]:
    """Cut numbers in pieces of at most ``PIECE``, each with its name."""
    starts = range(0, len(numbers), PIECE)
    return [(f"{label}-{place:06d}", numbers[start : start + PIECE]) for place, start in enumerate(starts)]


def plan(count: int, base: str, num_partitions: int, num_shards: int) -> list[tuple[str, list[int]]]:
    """Deal records to files as TAO does: in turn to partitions, each shuffled, each cut into shards.

    Returns:
        ``(file name, record numbers)`` of every shard.
    """
    shuffler = random.Random(SEED)
    partitions = max(num_partitions, 1)
    planned = []
    for partition in range(partitions):
        numbers = list(range(partition, count, partitions))
        shuffler.shuffle(numbers)
        name = base + (f"-fold-{partition:03d}-of-{num_partitions:03d}" if num_partitions else "")
        planned += [(name + suffix, part) for suffix, part in _cut(numbers, num_shards)]
    return planned


def deal(numbers: Sequence[int], sizes: Mapping[str, int], num_shards: int) -> dict[str, list[int]]:
    """Deal new photos to slots: in turn to folds, the smallest first, and in each to its smallest slots.

    Args:
        numbers: The photos.
        sizes: Photos of each slot, the slots of a fold together.
        num_shards: Slots of a fold.

    Returns:
        Some for each slot; no more slots of a fold get any than it takes to make files like those that are there.
    """
    shuffled = list(numbers)
    random.Random(SEED).shuffle(shuffled)
    slots = list(sizes)
    folds = [slots[start : start + num_shards] for start in range(0, len(slots), num_shards)]
    folds.sort(key=lambda fold: sum(sizes[slot] for slot in fold))
    dealt: dict[str, list[int]] = {}
    for place, fold in enumerate(folds):
        own = shuffled[place :: len(folds)]
        usual = sum(sizes[slot] for slot in fold) / len(fold)
        count = min(len(fold), max(1, round(len(own) / max(usual, 1))))
        smallest = sorted(fold, key=lambda slot: sizes[slot])[:count]
        dealt |= {slot: own[number::count] for number, slot in enumerate(smallest)}
    return dealt


def is_shard(file: str, base: str) -> bool:
    """Tell whether a file is called as a shard of a set is."""
    cut = r"(-fold-\d{3,}-of-\d{3,})?(-shard-\d{5,}-of-\d{5,})?(-[0-9a-f]{8})?"
    return re.fullmatch(re.escape(base) + cut, file) is not None


def name_base(set_name: str) -> str:
    """The name that a set's shards begin with: a part's are called after the whole set."""
    return re.sub(r"\.part-\d{3,}-of-\d{3,}$", "", set_name)


def plan_shards(planned: Sequence[tuple[str, Sequence[int]]], part: tuple[int, int] | None = None) -> list[ShardPlan]:
    """Plan the shards that one of several machines writes, or all of them."""
    index, of = part or (0, 1)
    shards = [ShardPlan(file, f"{place:05d}", numbers) for place, (file, numbers) in enumerate(planned)]
    return shards[index::of]


def _cut(numbers: list[int], num_shards: int) -> Iterator[tuple[str, list[int]]]:
    """Cut in contiguous pieces of equal size; the last takes the remainder."""
    if not num_shards:
        yield "", numbers
    size = len(numbers) // max(num_shards, 1)
    for shard in range(num_shards):
        end = (shard + 1) * size if shard + 1 < num_shards else len(numbers)
        yield f"-shard-{shard:05d}-of-{num_shards:05d}", numbers[shard * size : end]


def read_part(text: str) -> tuple[int, int]:
    """Read ``2/8`` as the index of a part, from 0, and how many there are.

    Raises:
        UserError: It is no such text, or there is no such part.
    """
    found = re.fullmatch(r"\s*(\d{1,6})\s*/\s*(\d{1,6})\s*", text)
    if not found or int(found[1]) >= int(found[2]):
        raise UserError(
            f"{text!r} is no part", where="part", fix="write INDEX/OF with an index from 0, such as 0/4 or 3/4"
        )
    return int(found[1]), int(found[2])
