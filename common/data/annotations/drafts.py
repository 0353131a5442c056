"""Drafts: the people of a file as columns, read in batches, and which of them ask for a closer look."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from bodyposenet.common.data.annotations.categories import LEFT_OUT, Kinds
from bodyposenet.common.data.annotations.compact_columns import KINDS, Joints, Outlines
from bodyposenet.common.data.annotations.fields import Columns, Floats, Mask, Numbers
from bodyposenet.common.data.annotations.ids import read_key
from bodyposenet.common.data.annotations.mending import MOST_FILLED, are_unplaced
from bodyposenet.common.data.annotations.plain_entries import PlainColumns
from bodyposenet.common.data.annotations.tables import take
from bodyposenet.common.data.importers.json_text import Rows

BATCH = 256  # annotations that are parsed at a time; of more, the numbers leave the processor's caches
SHARES = 3  # joints; so many in one pixel are no body but shares of the image
SLACK = 1.0  # pixels by which a box may leave its photo: annotation tools round
Found = TypeVar("Found")


class Draft:
    """Annotations of one kind as columns, and nothing else, before they are sound.

    Args:
        rows: ``(E,)`` their places in the file.
        taken: Their fields.
        columns: Places of the kind's joints among those of all kinds.
        kinds: Categories of people.
        flags: The dataset's visibility flags, and whether they mean not labelled (0) or labelled (more).

    Attributes:
        suspect: ``(E,)`` which ask for a closer look.
        lost: ``(E,)`` of which a closer look left nothing.
    """

    def __init__(
        self,
        rows: Numbers,
        taken: Columns | PlainColumns,
        columns: tuple[int, ...],
        kinds: Kinds,
        flags: Mapping[int, int],
    ) -> None:
        self.rows = rows
        self.image_ids, self.ids = taken.whole("image_id"), taken.whole("id")
        self.boxes = taken.numbers("bbox", 4)
        whole = self.boxes[:, 2] * self.boxes[:, 3]
        self.areas = taken.number("area", whole)
        self.crowds = taken.flag("iscrowd")
        outlines = taken.segmentations()
        self.segmentations = outlines if isinstance(outlines, Outlines) else Outlines(outlines)
        own = taken.numbers("keypoints", 3 * len(columns))
        joints = spread_joints(own, columns, len(kinds.joints), blank_flag(flags))
        self.keypoints = Joints(joints, len(joints))
        self.suspect = taken.suspect | (self.boxes[:, 2:] <= 0).any(axis=1) | (self.areas <= 0)
        self.suspect |= self.areas > MOST_FILLED * whole
        categories = taken.values("category_id")
        self.suspect |= ~np.array(_look_up(categories, kinds.knows), bool)
        self.categories = np.array(_look_up(categories, kinds.find_place), np.int64)
        self.suspect |= are_shares(own, flags, self.boxes) | are_unplaced(own, self.boxes, flags).any(axis=1)
        within = ((self.boxes >= 0) & (self.boxes <= 1)).all(axis=1)
        self.suspect |= within & (self.boxes % 1 != 0).any(axis=1)  # shares of the image, and no pixels
        self.suspect |= ~np.isin(own[:, 2::3], list(flags)).all(axis=1)
        self.lost = np.zeros(len(rows), bool)

    def put(self, place: int, found: dict[str, Any] | None) -> None:
        """Replace an annotation by what a closer look found."""
        self.lost[place] = found is None
        for name, value in (found or {}).items():
            getattr(self, name)[place] = value

    def choose(self, places: Numbers) -> None:
        """Keep some of the annotations, in another order; column by column, so that the memory holds one twice."""
        for name in list(vars(self)):
            setattr(self, name, take(getattr(self, name), places))


def read_drafts(
    entries: Sequence[dict[str, Any]], kinds: Kinds, flags: Mapping[int, int], told: set[int | str | None]
) -> Iterator[Draft]:
    """Read a file's people in batches; ``told`` gets the ids of the photos that its annotations name."""
    for first in range(0, len(entries), BATCH):
        batch = entries[first : first + BATCH]
        taken = (PlainColumns.read(batch) if isinstance(batch, Rows) else None) or Columns([*batch])
        named = taken.values("image_id")
        told.update(named if isinstance(taken, PlainColumns) else _look_up(named, read_key))
        for columns, places in _group(taken.values("category_id"), kinds).items():
            yield Draft(first + places, taken.select(places), columns, kinds, flags)


def _group(categories: list[Any], kinds: Kinds) -> dict[tuple[int, ...], Numbers]:
    """Group the places of entries by their kind of people: by the kind's joints."""
    if not kinds.columns:  # the file describes no people: all are
        return {kinds.default or (): np.arange(len(categories))}
    found = _look_up(categories, kinds.find)
    return {
        columns: np.array([place for place, each in enumerate(found) if each == columns])
        for columns in dict.fromkeys(found)
        if columns is not None
    }


def _look_up(values: list[Any], find: Callable[[object], Found]) -> list[Found]:
    """Find something for each value, of whole numbers once for all that are equal."""
    if not set(map(type, values)) <= {int}:
        return [*map(find, values)]
    known = {value: find(value) for value in set(values)}
    return [*map(known.__getitem__, values)]


def join_drafts(drafts: Iterable[Draft], most: int, joints: int) -> Draft:
    """Join the annotations of all batches and kinds, in the order of the file.

    Each is copied as it comes, so that no two are there at once; room that nothing is written to takes no memory.

    Args:
        drafts: The batches.
        most: Annotations that they have together, at most.
        joints: K.
    """
    whole = Draft(np.arange(0), Columns([]), tuple(range(joints)), Kinds(("",) * joints, {}, None), {0: 0})
    gathered, outlines, filled = Joints(np.empty((most, joints, 3), KINDS[0]), 0), list[Outlines](), 0
    plain = [name for name in vars(whole) if name not in ("keypoints", "segmentations")]
    columns = {name: np.empty((most, *getattr(whole, name).shape[1:]), getattr(whole, name).dtype) for name in plain}
    for draft in drafts:
        end = filled + len(draft.rows)
        for name, column in columns.items():
            column[filled:end] = getattr(draft, name)
        gathered.append(draft.keypoints[:])
        outlines.append(draft.segmentations)
        filled = end
    vars(whole).update({name: column[:filled] for name, column in columns.items()})
    whole.keypoints, whole.segmentations = gathered.select(slice(None)), Outlines.join(outlines)
    if (np.diff(whole.rows) < 0).any():
        whole.choose(np.argsort(whole.rows))
    return whole


def blank_flag(flags: Mapping[int, int]) -> int:
    """Return the flag of a joint that is not labelled: one that the dataset lacks, where its own all mean labelled."""
    return next((flag for flag, code in flags.items() if code == 0), min(flags) - 1)


def spread_joints(numbers: Floats, columns: Sequence[int], joints: int, blank: int) -> Floats:
    """Spread ``(E, 3 K')`` triplets of some joints to ``(E, K, 3)`` of all; the others get the flag ``blank``.

    Those of the columns ``LEFT_OUT`` go nowhere.
    """
    own = numbers.reshape(len(numbers), len(columns), 3)
    if tuple(columns) == tuple(range(joints)):
        return own
    keypoints = np.zeros((len(own), joints, 3))
    keypoints[..., 2] = blank
    kept = [place for place, column in enumerate(columns) if column != LEFT_OUT]
    keypoints[:, [columns[place] for place in kept]] = own[:, kept]
    return keypoints


def are_shares(own: Floats, flags: Mapping[int, int], boxes: Floats) -> Mask:
    """Tell ``(E,)`` whose labelled joints are fractions from 0 to 1, and so shares of the image.

    Three such joints are no body; fewer are told by their box, which they are not in.

    Args:
        own: ``(E, 3 K)`` triplets.
        flags: The dataset's visibility flags, and whether they mean not labelled (0) or labelled (more).
        boxes: ``(E, 4)`` x, y, width, height.
    """
    triplets = own.reshape(len(own), own.shape[1] // 3, 3)
    seen = np.isin(triplets[..., 2], [flag for flag, code in flags.items() if code > 0])
    within = ((triplets[..., :2] >= 0) & (triplets[..., :2] <= 1)).all(axis=2)
    least = np.where((boxes[:, :2] > 1 + SLACK).any(axis=1), 1, SHARES)
    shares: Mask = (seen.sum(axis=1) >= least) & (within | ~seen).all(axis=1)
    broken = (triplets[shares, :, :2] % 1 != 0).any(axis=2) & seen[shares]
    shares[shares] = broken.any(axis=1)
    return shares
