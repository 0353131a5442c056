"""Terminal: lines that stay, and below them lines that are drawn anew; elsewhere only those that stay."""

import os
import shutil
import sys
from collections.abc import Sequence
from typing import IO

TITLE, WORD, CLOCK = 20, 13, 9  # widths of columns
CLEAR = "\r\x1b[2K"
UP = "\x1b[1A"


class Terminal:
    """Writes to a stream, which may be a terminal.

    Args:
        file: Where to; standard output by default.

    Attributes:
        live: It is a terminal.
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self._file = file or sys.stdout
        self._drawn = 1
        self.live = self._file.isatty()

    def say(self, text: str) -> None:
        """Write lines that stay, in the place of what is drawn."""
        self._write(f"{self._erase()}{text}\n")

    def draw(self, lines: Sequence[str]) -> None:
        """Draw lines in the place of those before, as many as there is room for, the last ones first; on a terminal."""
        if not self.live:
            return
        columns, rows = shutil.get_terminal_size()
        shown = [line[: columns - 1].rstrip() for line in lines[-max(1, rows - 1) :]]
        self._write(self._erase() + "\n".join(shown))
        self._drawn = max(1, len(shown))

    def close(self, *, keep: bool = False) -> None:
        """Leave the terminal as other programs expect it; ``keep`` leaves what is drawn."""
        if self.live:
            self._write("\n" if keep else self._erase())
            self._drawn = 1

    def _erase(self) -> str:
        if not self.live:
            return ""
        more, self._drawn = self._drawn - 1, 1
        return CLEAR + f"{UP}{CLEAR}" * more

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def open_streams() -> None:
    """Open what the caller has closed of the three standard streams, on nothing.

    Else the next files that are opened take their numbers, and what a library prints is written into them.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor > 2:
            break
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def format_row(name: str, word: str, clock: str, said: str, title: int = TITLE) -> str:
    """Format a row of what is at work or has ended: name, state, time, and what there is to say of it."""
    return f"{name:<{title}} {word:<{WORD}} {clock:>{CLOCK}}  {said}".rstrip()


def spell(seconds: float) -> str:
    """``4.1 s``, ``3:20`` or ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
