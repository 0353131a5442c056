"""Columns: values of many JSON objects taken out at once; odd ones are left to a closer look."""

import contextlib
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.entry_fields import (
    HUGE,
    MOST_PIXELS,
    MOST_WHOLE,
    Floats,
    Segmentation,
    is_number,
    is_segmentation,
)

Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
NUMBERS = {int, float}
NOTHING: list[list[float]] = []


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

    def flag(self, key: str) -> Mask:
        """``(E,)`` true or false, or numbers; false where they are missing."""
        flags = self._whole([int(value) if type(value) is bool else value for value in self._values(key, 0)])
        true: Mask = flags != 0
        return true

    def whole(self, key: str, default: int | None = None) -> Numbers:
        """``(E,)`` whole numbers."""
        return self._whole(self._values(key, default))

    def _whole(self, values: list[Any]) -> Numbers:
        if set(map(type, values)) <= {int}:
            with contextlib.suppress(OverflowError):
                array = np.array(values, np.int64)
                if not len(array) or (array.min() >= -MOST_WHOLE and array.max() <= MOST_WHOLE):
                    return array
        good = [type(value) is int and abs(value) <= MOST_WHOLE for value in values]
        return np.array(self._or_zero(values, good), np.int64)

    def number(self, key: str, default: Floats) -> Floats:
        """``(E,)`` numbers; entries without one have that of ``default``."""
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
        """``(E, count)`` numbers."""
        lists = self._values(key, None)
        if not all([type(value) is list and len(value) == count for value in lists]):
            good = [type(value) is list and len(value) == count for value in lists]
            lists = self._or_zero(lists, good, [0] * count)
        if not set(map(type, chain.from_iterable(lists))) <= NUMBERS:
            good = [set(map(type, value)) <= NUMBERS for value in lists]
            lists = self._or_zero(lists, good, [0] * count)
        array = _floats(lists, count)
        wild = ~(np.abs(array) <= MOST_PIXELS).all(axis=1)
        self.suspect |= wild
        array[wild] = 0
        return array

    def segmentations(self) -> list[Segmentation]:
        """Polygons, run lengths or an empty list."""
        values = [entry.get("segmentation") or NOTHING for entry in self.entries]
        if _are_plain([value for value in values if type(value) is list]):
            good = [type(value) is list or is_segmentation(value) for value in values]
        else:
            good = [is_segmentation(value) for value in values]
        return values if all(good) else self._or_zero(values, good, NOTHING)

    def _values(self, key: str, default: object) -> list[Any]:
        values = [entry.get(key) for entry in self.entries]
        return values if default is None else [default if value is None else value for value in values]

    def _or_zero(self, values: list[Any], good: list[bool], zero: object = 0) -> list[Any]:
        self.suspect |= ~np.array(good, bool)
        return [value if fine else zero for value, fine in zip(values, good, strict=True)]


def _floats(lists: list[list[float]], count: int) -> Floats:
    """``(E, count)``; a whole number that no float64 can hold becomes infinite."""
    try:
        flat = np.fromiter(chain.from_iterable(lists), np.float64, len(lists) * count)
    except OverflowError:
        flat = np.array([float(value) if is_number(value) else np.inf for value in chain.from_iterable(lists)])
    return flat.reshape(len(lists), count)


def _are_plain(polygons: list[Any]) -> bool:
    """Whether all are lists of lists of an even number of numbers, none larger than a photo can be."""
    parts = list(chain.from_iterable(polygons))
    if not all(type(part) is list and len(part) % 2 == 0 for part in parts):
        return False
    if not set(map(type, chain.from_iterable(parts))) <= NUMBERS:
        return False
    try:
        array = np.fromiter(chain.from_iterable(parts), np.float64)
    except OverflowError:
        return False
    return bool((np.abs(array) <= MOST_PIXELS).all())
