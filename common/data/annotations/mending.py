"""Mending: what a person's entry must mean, where a tool wrote it in another way."""

import contextlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from bodyposenet.common.bounds import COORDINATE
from bodyposenet.common.data.annotations.fields import Floats, Mask, Segmentation, is_number, is_segmentation
from bodyposenet.common.data.annotations.ids import read_key
from bodyposenet.common.data.importers.document import read_number

Fields = dict[str, Any]
Note = tuple[str, str]  # kind of what was mended, and how

_WORDS = {"true": True, "false": False, "": None}
_NOTHING = re.compile(r"\b(None|nan)\b")  # as Python and NumPy write it
_BETWEEN = re.compile(r"[\s,;()\[\]]+")
MOST_FILLED = 1.2  # of a box by an area; some tools count joints at 0, 0 that nobody placed
CORNER = 1.0  # pixels from the photo's first corner within which a box begins there


class Mender:
    """Mends one annotation after another; what cannot be mended stays as it is, for the check to tell.

    Args:
        photos: Numbers of photos that are named by texts.
        flags: The dataset's visibility flags, and whether they mean not labelled (0) or labelled (more).
    """

    def __init__(self, photos: Mapping[str, int], flags: Mapping[int, int]) -> None:
        self.photos, self.flags = photos, flags
        self.blank = {flag for flag, code in flags.items() if code == 0}

    def mend(self, fields: Fields) -> tuple[Fields, list[Note]]:
        """Mend an annotation; returns it anew, and what was done."""
        mended, notes = dict(fields), list[Note]()
        _parse_texts(mended, notes)
        self._mend_ids(mended, notes)
        self._mend_keypoints(mended, notes)
        _mend_outline(mended, notes)
        self._mend_box(mended, notes)
        _mend_area(mended, notes)
        if (crowd := mended.get("iscrowd")) is not None and not isinstance(crowd, bool):
            mended["iscrowd"] = _whole(crowd) if crowd == crowd else None  # NaN is an empty cell of a table
        return mended, notes

    def _mend_ids(self, fields: Fields, notes: list[Note]) -> None:
        key = read_key(given := fields.get("image_id"))
        number = self.photos.get(key) if isinstance(key, str) else key
        if number is not None and (type(given) is not int or given != number):
            fields["image_id"] = number
            notes.append(("image_id", f"its image_id {given!r} is taken for the number {number}"))
        fields["id"] = read_key(own := fields.get("id"))
        if type(fields["id"]) is not int:
            notes.append(("annotation id", f"its id is {own!r}; it gets a number of its own"))

    def _mend_keypoints(self, fields: Fields, notes: list[Note]) -> None:
        given = fields.get("keypoints")
        if not isinstance(given, list):
            return
        flat = _flatten(given, 3)
        values = [read_number(value) for value in flat]
        flagged = bool(self.blank) and any(map(is_number, values[2::3]))
        for place in range(0, len(values) - len(values) % 3, 3):
            if flagged and _is_unsaid(values[place : place + 3]):
                values[place : place + 3] = 0, 0, min(self.blank)
            elif self._is_blank(values[place : place + 3]):
                values[place : place + 2] = (value if _is_place(value) else 0 for value in values[place : place + 2])
        dropped = self._drop_unplaced(values, fields.get("bbox"))
        fields["keypoints"] = values
        if dropped:
            text = f"it has joints at 0, 0 or -1, -1, outside its box: {dropped}, not placed and so not labelled"
            notes.append(("joints that nobody placed", text))
        elif not _are_same(values, given):
            notes.append(("keypoints", "its keypoints are taken for a flat list of numbers, unlabelled ones for 0, 0"))

    def _drop_unplaced(self, values: list[Any], box: object) -> int:
        """Take the label from joints that a tool left in the corner of the photo; returns from how many."""
        if not self.blank or len(values) % 3 or not all(map(is_number, values)):
            return 0
        own, boxes = np.array([values], float), np.array([_read_box(box)], float)
        found = np.flatnonzero(are_unplaced(own, boxes, self.flags)[0])
        for joint in found.tolist():
            values[3 * joint : 3 * joint + 3] = 0, 0, min(self.blank)
        return len(found)

    def _is_blank(self, triplet: list[Any]) -> bool:
        """Tell whether a joint is not labelled."""
        return is_number(triplet[2]) and triplet[2] in self.blank

    def _mend_box(self, fields: Fields, notes: list[Note]) -> None:
        given = fields.get("bbox")
        values = [read_number(value) for value in _flatten(given, 4)] if isinstance(given, list) else []
        numbers, fractions = len(values) == 4 and all(map(is_number, values)), _are_fractions(values)
        if numbers and not fractions and (min(values[2:]) < 0 or 0 not in values[2:]):
            fields["bbox"] = values
            if given != values:
                notes.append(("bbox", "its box is taken for four numbers"))
            return
        if values and not fractions and not _is_empty(values):
            return
        points = self._points(fields)
        if len(points) < 2 or (np.ptp(points, axis=0) <= 0).any():
            return
        low, high = points.min(axis=0), points.max(axis=0)
        fields["bbox"] = [*low.tolist(), *(high - low).tolist()]
        if fractions and is_number(area := read_number(fields.get("area"))) and area <= 1:
            fields["area"] = None
        why = "from 0 to 1" if fractions else "missing or empty"
        notes.append(("bbox", f"its box is {why}; it is taken from the outline or the joints"))

    def _points(self, fields: Fields) -> np.ndarray:
        """``(N, 2)`` corners of the outline, else the joints that are labelled."""
        outline = fields.get("segmentation")
        if outline and isinstance(outline, list):
            return np.array([value for part in outline for value in part], float).reshape(-1, 2)
        values = fields.get("keypoints")
        if not isinstance(values, list) or len(values) % 3 or not all(map(is_number, values)):
            return np.zeros((0, 2))
        triplets = np.array(values, float).reshape(-1, 3)
        seen = [flag in self.flags and flag not in self.blank for flag in triplets[:, 2]]
        return np.asarray(triplets[seen, :2])


def _parse_texts(fields: Fields, notes: list[Note]) -> None:
    """Read lists that are written as texts, as of annotations that went through a table."""
    for key in ("keypoints", "bbox", "segmentation"):
        given = fields.get(key)
        found = _read_list(given, flat=key != "segmentation") if isinstance(given, str) else []
        if found:
            fields[key] = found
            notes.append((key, f"its {key!r} is a text; it is read as the list that it holds"))


def _read_list(text: str, *, flat: bool) -> list[Any]:
    """Read a list that a text holds, as JSON, Python or NumPy writes it; an empty one where it holds none.

    Args:
        text: What stands in place of the list.
        flat: Numbers with anything between them are a list, too.
    """
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(_NOTHING.sub("NaN", text))
        if isinstance(found, list):
            return found
    words = [word for word in _BETWEEN.split(text) if word] if flat else []
    values = [None if _NOTHING.fullmatch(word) else read_number(word) for word in words]
    return values if len(values) > 1 and all(value is None or is_number(value) for value in values) else []


def are_unplaced(own: Floats, boxes: Floats, flags: Mapping[int, int]) -> Mask:
    """Tell which joints are labelled at 0, 0 or -1, -1, the places that tools write for joints that nobody placed.

    Args:
        own: ``(E, 3 K)`` triplets.
        boxes: ``(E, 4)`` x, y, width, height; one that begins in that corner may have joints there. NaN is no box.
        flags: The dataset's visibility flags, and whether they mean not labelled (0) or labelled (more).

    Returns:
        ``(E, K)``.
    """
    x, y, given = np.moveaxis(own.reshape(len(own), own.shape[1] // 3, 3), 2, 0)
    seen = np.isin(given, [flag for flag, code in flags.items() if code > 0])
    near = (boxes[:, :2] <= CORNER).all(axis=1, keepdims=True)
    found: Mask = seen & (x == y) & ((x == 0) | (x == -1)) & ~near
    return found


def _read_box(given: object) -> list[float]:
    """Read a box as four numbers, NaN where there is none."""
    values = [read_number(value) for value in _flatten(given, 4)] if isinstance(given, list) else []
    numbers = len(values) == 4 and all(map(is_number, values)) and min(values[2:]) > 0
    return values if numbers and not _are_fractions(values) else [np.nan] * 4


def _mend_outline(fields: Fields, notes: list[Note]) -> None:
    """Make a flat list, or lists of points, the polygons that they are; drop an outline that is none."""
    given = fields.get("segmentation")
    if not given:
        fields["segmentation"] = []
        return
    outline = _read_polygons(given) if isinstance(given, list) else given
    if outline is given and is_segmentation(given):
        return
    sound = is_segmentation(outline)
    fields["segmentation"] = outline if sound else []
    how = "is taken for polygons" if sound else "is none and not looked at; the box counts"
    notes.append(("segmentation", f"its outline {how}"))


def _read_polygons(given: list[Any]) -> Segmentation | list[Any]:
    if not any(isinstance(part, list) for part in given):
        return [[read_number(value) for value in given]]
    if all(_is_point(part) for part in given):
        return [_flatten(given, 2)]
    if all(isinstance(part, list) and part and all(map(_is_point, part)) for part in given):
        return [_flatten(part, 2) for part in given]
    return given


def _mend_area(fields: Fields, notes: list[Note]) -> None:
    given, box = read_number(fields.get("area")), fields.get("bbox")
    whole = box[2] * box[3] if isinstance(box, list) and len(box) == 4 and all(map(is_number, box)) else np.inf
    sound = is_number(given) and given > 0
    told = all(kind != "bbox" for kind, _ in notes)  # and it is no box of the joints alone
    if sound and not (told and given > MOST_FILLED * whole):
        fields["area"] = given
        return
    fields["area"] = None
    if given is not None and whole < np.inf:
        fields["area"] = whole
        why = "is larger than its box" if sound else "is none"
        notes.append(("area", f"its area {given!r} {why}; that of the box counts"))


def _whole(value: object) -> object:
    if isinstance(value, str) and value.strip().casefold() in _WORDS:
        return _WORDS[value.strip().casefold()]
    key = read_key(value)
    return key if type(key) is int else value


def _flatten(values: list[Any], size: int) -> list[Any]:
    """Make one list of lists of so many values; return any other list as it is."""
    if values and all(isinstance(part, list) and len(part) == size for part in values):
        return [value for part in values for value in part]
    return values


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(is_number, value))


def _is_place(value: object) -> bool:
    return is_number(value) and abs(value) <= COORDINATE


def _is_unsaid(triplet: list[Any]) -> bool:
    """Tell whether nothing is said of a joint: its flag is null or NaN, and so are x and y, or 0."""
    x, y, flag = triplet
    return _is_nothing(flag) and all(_is_nothing(value) or value == 0 for value in (x, y))


def _is_nothing(value: object) -> bool:
    """Tell whether a value is null or NaN, an empty cell of a table."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _is_empty(box: list[Any]) -> bool:
    """Tell whether a box says nothing: a null or NaN in it, or a width or height of 0."""
    if any(map(_is_nothing, box)):
        return True
    return len(box) == 4 and all(map(is_number, box)) and min(box[2:]) == 0


def _are_fractions(box: list[Any]) -> bool:
    """Tell whether a box is in fractions from 0 to 1, and so in no pixels."""
    within = len(box) == 4 and all(is_number(value) and 0 <= value <= 1 for value in box)
    return within and any(value % 1 for value in box)


def _are_same(values: list[Any], given: list[Any]) -> bool:
    return len(values) == len(given) and all(a is b for a, b in zip(values, given, strict=True))
