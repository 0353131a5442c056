"""Patterns: regular expressions of others, of which none may take for ever on some name."""

from collections import Counter
from re import _constants as ops  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

MOST_REPEATS = 4  # without an upper end: more of them take time that grows with so high a power of a name's length
MOST_CHOICES = 8  # what may be there or not, or be one thing or another: twice the time for each
_REPEATS = (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT)
_SLOW_INSIDE = "repeats what may itself be of several lengths or forms, which takes for ever on some names"
_TOO_MANY = (
    f"has more than {MOST_REPEATS} repetitions or {MOST_CHOICES} choices, each counted as often as it is repeated,"
    " which takes long on some names"
)
_BACK = "refers back to a group, which takes long on some names"


def find_slowness(pattern: str) -> str:
    """Say why a pattern may take for ever; nothing if it cannot.

    Args:
        pattern: A regular expression that compiles.
    """
    counts: Counter[str] = Counter()
    todo: list[tuple[Any, int]] = [(parser.parse(pattern), 1)]
    while todo:
        found, times = todo.pop()
        for operation, given in found:
            if operation in (ops.GROUPREF, ops.GROUPREF_EXISTS):
                return _BACK
            within = times
            if operation in _REPEATS:
                least, most, inner = given
                if least != most > 1 and not _is_plain(inner):
                    return _SLOW_INSIDE
                counts["repeats" if least != most > 1 else "choices"] += times * (least != most)
                within *= int(most) if least == most else 1
            counts["choices"] += times * (operation is ops.BRANCH)
            todo += [(inner, within) for inner in _list_inner(given)]
    return _TOO_MANY if counts["repeats"] > MOST_REPEATS or counts["choices"] > MOST_CHOICES else ""


def _is_plain(inner: Any) -> bool:
    """Tell whether something fits in one way only."""
    shortest, longest = inner.getwidth()
    return shortest == longest > 0 and not _has_choice(inner)


def _has_choice(inner: Any) -> bool:
    return any(
        operation is ops.BRANCH
        or (operation in _REPEATS and given[0] != given[1])
        or any(map(_has_choice, _list_inner(given)))
        for operation, given in inner
    )


def _list_inner(given: Any) -> list[Any]:
    """List the patterns in what an operation is given."""
    if isinstance(given, parser.SubPattern):
        return [given]
    return [inner for each in given for inner in _list_inner(each)] if isinstance(given, list | tuple) else []
