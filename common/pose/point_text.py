"""Point text: coordinates as JSON, letter for letter what Python's encoder writes, without its lock and far sooner."""

import json
from itertools import pairwise

import numpy as np

from bodyposenet.common.machine.compiling import njit

DECIMALS = 3
WIDEST = 19  # characters of a number below the limit, with its sign and the comma and space after it
LIMIT = 1e12  # below it a float tells all thousandths apart, and Python writes it without an exponent
OPEN, CLOSE, COMMA, SPACE, MINUS, DOT, ZERO = b"[], -.0"


def write_points(values: np.ndarray) -> list[str]:
    """Write numbers, rounded to thousandths.

    Args:
        values: ``(N, R, C)``.

    Returns:
        A text for each of N: a list of R lists of C numbers.

    Examples:
        >>> write_points(np.array([[[1, 2.5]], [[0.0004, -3.14159]]]))
        ['[[1.0, 2.5]]', '[[0.0, -3.142]]']
    """
    values = np.ascontiguousarray(values, np.float64)
    if not np.all(np.abs(values) < LIMIT - 1):  # which rounding does not reach; or it is not a number
        return [json.dumps(item) for item in values.round(DECIMALS).tolist()]
    items, rows = values.shape[:2]
    text, ends = np.empty(WIDEST * values.size + 4 * items * rows + 2 * items, np.uint8), np.zeros(items + 1, np.int64)
    _write(values, text, ends)
    whole = text[: ends[-1]].tobytes().decode("ascii")
    return [whole[start:end] for start, end in pairwise(ends.tolist())]


@njit(nogil=True, cache=True)
def _write(values, text, ends):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill ``text`` with the characters of all items, and ``ends`` with where each ends."""
    place = 0
    for item in range(values.shape[0]):
        text[place] = OPEN
        for row in range(values.shape[1]):
            if row:
                text[place + 1], text[place + 2] = COMMA, SPACE
                place += 2
            text[place + 1] = OPEN
            place += 2
            for column in range(values.shape[2]):
                if column:
                    text[place], text[place + 1] = COMMA, SPACE
                    place += 2
                place = _write_number(text, place, np.rint(values[item, row, column] * 1000.0))
            text[place] = CLOSE
        text[place + 1] = CLOSE
        place += 2
        ends[item + 1] = place


@njit(nogil=True, cache=True)
def _write_number(text, place, thousandths):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Write a whole number of thousandths, without zeros at its end but for one behind the point."""
    if np.signbit(thousandths):
        text[place] = MINUS
        place += 1
    number = np.int64(abs(thousandths))
    whole, rest = number // 1000, number % 1000
    digits, bound = 1, 10
    while whole >= bound:
        digits, bound = digits + 1, bound * 10
    for digit in range(place + digits - 1, place - 1, -1):
        text[digit] = ZERO + whole % 10
        whole //= 10
    place += digits
    text[place], text[place + 1] = DOT, ZERO + rest // 100
    text[place + 2], text[place + 3] = ZERO + rest // 10 % 10, ZERO + rest % 10
    return place + (4 if rest % 10 else 3 if rest % 100 else 2)
