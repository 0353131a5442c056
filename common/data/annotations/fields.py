"""Fields: values of JSON objects, checked one by one so that what is wrong can be told, or all at once if none is."""

import contextlib
import json
import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
import numpy.typing as npt

from bodyposenet.common.bounds import COORDINATE, WHOLE_NUMBER
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.importers.document import Fault

Floats = npt.NDArray[np.float64]
Segmentation = list[list[float]] | dict[str, Any]  # polygons, or run lengths
HUGE = 1e100  # no number is larger, so that products stay finite
SHOWN = 60  # characters of a wrong value that a message repeats

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NUMBERS = {int, float}
NOTHING: list[list[float]] = []


class MisfitError(Exception):
    """A value that cannot be used."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Entry:
    """A JSON object of an annotation file.

    Its methods raise a :class:`MisfitError` for a value that is missing or wrong. A null stands for a missing value.

    Args:
        fields: The object.
        file: Where it is from.
        label: What it is called where it has no id.
        image_id: The photo that it is of, if that is known.
        annotation_id: Its own number, if it is an annotation.
    """

    def __init__(
        self,
        fields: dict[str, Any],
        file: str,
        label: str = "",
        *,
        image_id: int | None = None,
        annotation_id: int | None = None,
    ) -> None:
        self.fields, self.label = fields, label
        self.file, self.image_id, self.annotation_id = file, image_id, annotation_id

    def wrong(self, kind: str, text: str, fix: str) -> MisfitError:
        """Make an error about this entry."""
        text = f"{self.label}: {text}" if self.label else text
        return MisfitError(Problem(self.file, kind, text, fix, self.image_id, self.annotation_id))

    def whole(self, key: str, default: int | None = None) -> int:
        """Read a whole number."""
        value = self._take(key, "a whole number", default)
        if type(value) is not int or abs(value) > WHOLE_NUMBER:
            raise self._refuse(key, "a whole number")
        return value

    def flag(self, key: str) -> bool:
        """Read true or false, or a number; false if it is missing."""
        return value if isinstance(value := self.fields.get(key), bool) else self.whole(key, 0) != 0

    def size(self, key: str, most: int) -> int:
        """Read a number of pixels."""
        value = self.whole(key)
        if not 0 < value <= most:
            raise self._refuse(key, f"a number of pixels from 1 to {most:,}")
        return value

    def number(self, key: str, default: float) -> float:
        """Read a finite number."""
        value = self._take(key, "a number", default)
        if not is_number(value):
            raise self._refuse(key, "a number")
        return float(value)

    def text(self, key: str) -> str:
        """Read a string that is not empty."""
        value = self._take(key, "a string")
        if not isinstance(value, str) or not value:
            raise self._refuse(key, "a string")
        return value

    def numbers(self, key: str, count: int) -> Floats:
        """Read so many finite numbers, none larger than a photo can be."""
        values = self._take(key, f"{count} numbers")
        if not isinstance(values, list) or not all(map(is_number, values)):
            raise self._refuse(key, f"{count} numbers")
        if len(values) != count:
            why = ", as the dataset spec's joints ask" if key == "keypoints" else ""
            raise self.wrong(key, f"{key!r} has {len(values)} numbers", f"give it {count}{why}")
        array = np.array(values, np.float64)
        if (np.abs(array) > COORDINATE).any():
            raise self.wrong(key, f"{key!r} has {array[np.abs(array).argmax()]:g}", "write pixels of the image")
        return array

    def segmentation(self) -> Segmentation:
        """Read polygons or run lengths; an empty list where there are none."""
        value: Segmentation = self.fields.get("segmentation") or []
        if not is_segmentation(value):
            raise self._refuse("segmentation", "polygons [[x, y, …], …] or run lengths {size, counts}")
        return value

    def _take(self, key: str, kind: str, default: object = None) -> object:
        value = self.fields.get(key)
        if isinstance(value, Fault):
            raise self.wrong(key, str(value), value.fix)
        if value is None and key in self.fields and default is None:
            raise self._refuse(key, kind)
        if value is None and default is None:
            raise self.wrong(key, f"{key!r} is missing", f"add {key!r}, {kind}")
        return default if value is None else value

    def _refuse(self, key: str, kind: str) -> MisfitError:
        shown = json.dumps(self.fields[key])
        return self.wrong(key, f"{key!r} is {shown[:SHOWN]}{'…' * (len(shown) > SHOWN)}", f"make it {kind}")


def is_segmentation(value: object) -> bool:
    """Tell whether a value has the form of polygons or run lengths."""
    if isinstance(value, dict):
        return {"size", "counts"} <= value.keys()
    return isinstance(value, list) and all(
        isinstance(polygon, list) and len(polygon) % 2 == 0 and all(map(_is_place, polygon)) for polygon in value
    )


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a finite number that a float64 can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < HUGE and math.isfinite(value)


def _is_place(value: object) -> bool:
    return is_number(value) and abs(value) <= COORDINATE


class Columns:
    """The columns of many entries, and which of the entries are suspect: a value is missing, or of an odd kind.

    Suspect entries have zeros in a column that they are suspect for.

    Attributes:
        entries: E JSON objects.
        suspect: ``(E,)``.
    """

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self.entries = entries
        self.suspect = np.zeros(len(entries), bool)

    def select(self, places: Numbers) -> "Columns":
        """Return the columns of some of the entries."""
        return self if len(places) == len(self.entries) else Columns([self.entries[place] for place in places.tolist()])

    def values(self, key: str) -> list[Any]:
        """List what the entries have under a key; None where there is nothing."""
        return [entry.get(key) for entry in self.entries]

    def flag(self, key: str) -> Mask:
        """Read ``(E,)`` true or false, or numbers; false where they are missing."""
        flags = self._whole([int(value) if type(value) is bool else value for value in self._values(key, 0)])
        true: Mask = flags != 0
        return true

    def whole(self, key: str, default: int | None = None) -> Numbers:
        """Read ``(E,)`` whole numbers."""
        return self._whole(self._values(key, default))

    def _whole(self, values: list[Any]) -> Numbers:
        if set(map(type, values)) <= {int}:
            with contextlib.suppress(OverflowError):
                array = np.array(values, np.int64)
                if not len(array) or (array.min() >= -WHOLE_NUMBER and array.max() <= WHOLE_NUMBER):
                    return array
        good = [type(value) is int and abs(value) <= WHOLE_NUMBER for value in values]
        return np.array(self._or_zero(values, good), np.int64)

    def number(self, key: str, default: Floats) -> Floats:
        """Read ``(E,)`` numbers; entries without one have that of ``default``."""
        values = self._values(key, None)
        if set(map(type, values)) <= NUMBERS:
            with contextlib.suppress(OverflowError):
                array = np.array(values, np.float64)
                if (np.abs(array) < HUGE).all():
                    return array
        good = [value is None or (type(value) in NUMBERS and is_number(value)) for value in values]
        given = [np.nan if value is None else value for value in self._or_zero(values, good)]
        array = np.array(given, np.float64)
        return np.where(np.isnan(array), default, array)

    def numbers(self, key: str, count: int) -> Floats:
        """Read ``(E, count)`` numbers."""
        lists = self._values(key, None)
        if not all([type(value) is list and len(value) == count for value in lists]):
            good = [type(value) is list and len(value) == count for value in lists]
            lists = self._or_zero(lists, good, [0] * count)
        if not set(map(type, chain.from_iterable(lists))) <= NUMBERS:
            good = [set(map(type, value)) <= NUMBERS for value in lists]
            lists = self._or_zero(lists, good, [0] * count)
        array = _floats(lists, count)
        wild = ~(np.abs(array) <= COORDINATE).all(axis=1)
        self.suspect |= wild
        array[wild] = 0
        return array

    def segmentations(self) -> list[Segmentation]:
        """Read polygons, run lengths or an empty list."""
        values = [entry.get("segmentation") or NOTHING for entry in self.entries]
        if _are_plain([value for value in values if type(value) is list]):
            good = [type(value) is list or is_segmentation(value) for value in values]
        else:
            good = [is_segmentation(value) for value in values]
        return values if all(good) else self._or_zero(values, good, NOTHING)

    def _values(self, key: str, default: object) -> list[Any]:
        values = self.values(key)
        return values if default is None else [default if value is None else value for value in values]

    def _or_zero(self, values: list[Any], good: list[bool], zero: object = 0) -> list[Any]:
        self.suspect |= ~np.array(good, bool)
        return [value if fine else zero for value, fine in zip(values, good, strict=True)]


def _floats(lists: list[list[float]], count: int) -> Floats:
    """Return ``(E, count)``; a whole number that no float64 can hold becomes infinite."""
    try:
        flat = np.fromiter(chain.from_iterable(lists), np.float64, len(lists) * count)
    except OverflowError:
        flat = np.array([float(value) if is_number(value) else np.inf for value in chain.from_iterable(lists)])
    return flat.reshape(len(lists), count)


def _are_plain(polygons: list[Any]) -> bool:
    """Tell whether all are lists of lists of an even number of numbers, none larger than a photo can be."""
    parts = list(chain.from_iterable(polygons))
    if not all(type(part) is list and len(part) % 2 == 0 for part in parts):
        return False
    if not set(map(type, chain.from_iterable(parts))) <= NUMBERS:
        return False
    try:
        array = np.fromiter(chain.from_iterable(parts), np.float64)
    except OverflowError:
        return False
    return bool((np.abs(array) <= COORDINATE).all())
