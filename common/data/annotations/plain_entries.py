"""Plain entries: annotations of which every value is of COCO's kind, read from their text into columns.

Nothing is made of them that is not kept: keys that nobody reads are passed over, outlines are checked and stay text.
"""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from bodyposenet.common.bounds import COORDINATE, WHOLE_NUMBER
from bodyposenet.common.data.annotations.fields import HUGE, Floats, Mask, Numbers
from bodyposenet.common.data.annotations.outlines import NONE
from bodyposenet.common.data.importers.json_text import REFUSALS, Rows

Whole = Annotated[int, Meta(ge=-WHOLE_NUMBER, le=WHOLE_NUMBER)]
Coordinate = Annotated[float, Meta(ge=-COORDINATE, le=COORDINATE)]
Area = Annotated[float, Meta(gt=-HUGE, lt=HUGE)]


class PlainEntry(Struct, gc=False):
    """What is read of an annotation; names are COCO's."""

    id: Whole
    image_id: Whole
    category_id: int | None = None
    iscrowd: Whole | bool | None = None
    area: Area | None = None
    bbox: tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None = None
    keypoints: list[Coordinate] | None = None
    segmentation: Raw = Raw(b"null")


class RunLengths(Struct, gc=False):
    """An outline that is no polygons; of which nothing is taken that could fail to parse later."""

    size: list[int]
    counts: str | list[int]


_ENTRIES = msgspec.json.Decoder(list[PlainEntry])
_OUTLINES = msgspec.json.Decoder(list[list[list[Coordinate]] | RunLengths | None])


class PlainColumns:
    """The columns of plain entries, as :class:`~bodyposenet.common.data.annotations.fields.Columns` has them of any.

    Attributes:
        entries: E of them.
        suspect: ``(E,)`` entries without keypoints or with more or fewer than are asked for, or without a box.
    """

    def __init__(self, entries: Sequence[PlainEntry], outlines: Sequence[bytes]) -> None:
        self.entries, self._outlines = entries, outlines
        self.suspect = np.zeros(len(entries), bool)

    @classmethod
    def read(cls, rows: Rows) -> "PlainColumns | None":
        """Read the columns of some annotations; None where a value of any is of another kind."""
        try:
            entries = _ENTRIES.decode(rows.join())
            outlines = _OUTLINES.decode(b"[%b]" % b",".join([entry.segmentation for entry in entries]))
        except REFUSALS:
            return None
        polygons = [outline for outline in outlines if isinstance(outline, list)]
        if any([len(part) % 2 for part in chain.from_iterable(polygons)]):
            return None
        texts = [
            bytes(entry.segmentation) if outline else NONE for entry, outline in zip(entries, outlines, strict=True)
        ]
        return cls(entries, texts)

    def select(self, places: Numbers) -> "PlainColumns":
        """Return the columns of some of the entries."""
        if len(places) == len(self.entries):
            return self
        chosen = places.tolist()
        return PlainColumns([self.entries[place] for place in chosen], [self._outlines[place] for place in chosen])

    def values(self, key: str) -> list[Any]:
        """List what the entries have under a key; None where there is nothing."""
        return [*map(attrgetter(key), self.entries)]

    def flag(self, key: str) -> Mask:
        """Read ``(E,)`` true or false; false where it is missing."""
        return np.array([*map(bool, self.values(key))], bool)

    def whole(self, key: str) -> Numbers:
        """Read ``(E,)`` whole numbers."""
        return np.array(self.values(key), np.int64)

    def number(self, key: str, default: Floats) -> Floats:
        """Read ``(E,)`` numbers; entries without one have that of ``default``."""
        values = np.array(self.values(key), np.float64)
        return np.where(np.isnan(values), default, values)

    def numbers(self, key: str, count: int) -> Floats:
        """Read ``(E, count)`` numbers."""
        lists = self.values(key)
        if not all(lists) or set(map(len, lists)) - {count}:
            good = [value is not None and len(value) == count for value in lists]
            self.suspect |= ~np.array(good, bool)
            lists = [value if fine else [0.0] * count for value, fine in zip(lists, good, strict=True)]
        return np.fromiter(chain.from_iterable(lists), np.float64, len(lists) * count).reshape(len(lists), count)

    def segmentations(self) -> Sequence[bytes]:
        """Return the texts of the outlines."""
        return self._outlines
