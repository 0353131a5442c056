"""Plain entries: photos and annotations of which every value is of COCO's kind, read from their text into columns.

Nothing is made of them that is not kept: keys that nobody reads are passed over, outlines are checked and stay text.
"""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta, Raw, Struct

from bodyposenet.common.bounds import COORDINATE, PHOTO_SIDE, WHOLE_NUMBER
from bodyposenet.common.data.annotations.compact_columns import Outlines
from bodyposenet.common.data.annotations.fields import HUGE, Floats, Mask, Numbers
from bodyposenet.common.data.importers.json_text import REFUSALS, ZEROS, Rows

Whole = Annotated[int, Meta(ge=-WHOLE_NUMBER, le=WHOLE_NUMBER)]
Coordinate = Annotated[float, Meta(ge=-COORDINATE, le=COORDINATE)]
Area = Annotated[float, Meta(gt=-HUGE, lt=HUGE)]
Side = Annotated[int, Meta(gt=0, le=PHOTO_SIDE)]


class PlainPhoto(Struct, gc=False):
    """What is read of a photo; names are COCO's."""

    id: Whole
    file_name: str
    height: Side
    width: Side


class PlainEntry(Struct, gc=False):
    """What is read of an annotation; names are COCO's."""

    id: Whole
    image_id: Whole
    category_id: int | None = None
    iscrowd: Whole | bool | None = None
    area: Area | None = None
    bbox: tuple[float, float, float, float] | None = None
    keypoints: list[float] | None = None
    segmentation: Raw = Raw(b"null")


class RunLengths(Struct, gc=False):
    """An outline that is no polygons; of which nothing is taken that could fail to parse later."""

    size: list[int]
    counts: str | list[int]


_LARGE = b"0" * len(str(COORDINATE))
_PHOTOS = msgspec.json.Decoder(list[PlainPhoto])
_ENTRY = msgspec.json.Decoder(PlainEntry)
_OUTLINES = msgspec.json.Decoder(list[list[list[Coordinate]] | RunLengths | None])


def _are_polygons(texts: Sequence[bytes]) -> bool:
    """Tell by brackets and commas whether texts of JSON are polygons, of pairs of small numbers; False if in doubt."""
    text = b",".join(texts)
    if _LARGE in text.translate(ZEROS):
        return False
    shape = text.translate(None, b"0123456789.- \t\n\r").replace(b",,", b"").replace(b"[,]", b"p")
    return shape.replace(b"p,", b"").replace(b"[p],", b"") == b"[p]"


def read_plain_photos(rows: Rows) -> list[PlainPhoto] | None:
    """Read the photos of a file; None where a value of any is of another kind."""
    try:
        return _PHOTOS.decode(rows.join())
    except REFUSALS:
        return None


class PlainColumns:
    """The columns of plain entries, as :class:`~bodyposenet.common.data.annotations.fields.Columns` has them of any.

    Attributes:
        entries: E of them.
        suspect: ``(E,)`` entries without keypoints or with more or fewer than are asked for, without a box, or with
            numbers that no photo reaches to.
    """

    def __init__(self, entries: Sequence[PlainEntry], outlines: Outlines) -> None:
        self.entries, self._outlines = entries, outlines
        self.suspect = np.zeros(len(entries), bool)

    @classmethod
    def read(cls, rows: Rows) -> "PlainColumns | None":
        """Read the columns of some annotations; None where a value of any is of another kind."""
        try:
            entries = rows.decode(_ENTRY)
            texts = [bytes(entry.segmentation) for entry in entries]
            plain = [text for text in texts if text.startswith(b"[[")]
            others = [text for text in texts if not text.startswith(b"[[")] if _are_polygons(plain) else texts
            outlines = _OUTLINES.decode(b"[%b]" % b",".join(others))
        except REFUSALS:
            return None
        polygons = [outline for outline in outlines if isinstance(outline, list)]
        if any(len(part) % 2 for part in chain.from_iterable(polygons)):
            return None
        shown = [text.startswith(b"{") or text.find(b"[", 1) > 0 for text in texts]
        spans = rows.find_spans([entry.segmentation for entry in entries]) * np.array(shown)[:, None]
        return cls(entries, Outlines.cut(rows.text, spans))

    def select(self, places: Numbers) -> "PlainColumns":
        """Return the columns of some of the entries."""
        if len(places) == len(self.entries):
            return self
        chosen = places.tolist()
        return PlainColumns([self.entries[place] for place in chosen], self._outlines.select(places))

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
        array = np.fromiter(chain.from_iterable(lists), np.float64, len(lists) * count).reshape(len(lists), count)
        wild = ~(np.abs(array) <= COORDINATE).all(axis=1)
        self.suspect |= wild
        array[wild] = 0
        return array

    def segmentations(self) -> Outlines:
        """Return the outlines, as places in the text of the file."""
        return self._outlines
