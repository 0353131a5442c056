"""Line: one finding as people read it."""

import textwrap
from collections.abc import Iterable
from typing import NamedTuple

PROBLEM = "!"
WIDTH = 110  # characters a line


class Line(NamedTuple):
    """A finding.

    Attributes:
        label: What was looked at.
        text: What was found, and the remedy if there is one.
        is_problem: Whether something is to be done about it.
    """

    label: str
    text: str
    is_problem: bool = False


def format_block(title: str, lines: Iterable[Line]) -> str:
    """Format findings of one subject, a line each: a mark, the label, the text, aligned."""
    rows = list(lines)
    room = max((len(line.label) for line in rows), default=0)
    return "\n".join([title, *(_format_line(line, room) for line in rows)])


def _format_line(line: Line, room: int) -> str:
    """Format a finding; what does not fit goes on below its text. Addresses and words stay whole."""
    begin = f"{PROBLEM if line.is_problem else ' '} {line.label:{room}}  "
    return textwrap.fill(
        line.text,
        WIDTH,
        initial_indent=begin,
        subsequent_indent=" " * len(begin),
        break_long_words=False,
        break_on_hyphens=False,
    )


def format_bytes(number: float) -> str:
    """Format a number of bytes in the decimal unit that gives it one to three digits."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} TB"
