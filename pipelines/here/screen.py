"""Screen: the stages of a run as lines, and on a terminal one bar for the stage at work."""

import shutil
import sys
import time
from collections.abc import Mapping
from typing import IO, Any

from bodyposenet.common.pages.numbers import DASH
from bodyposenet.pipelines.here.messages import News
from bodyposenet.pipelines.here.stages import key_number

WORDS = {"started": "at work", "done": "done", "kept": "done before", "failed": "failed"}
TITLE, WORD, CLOCK = 20, 13, 9  # widths of columns
BAR = 24  # cells
FORECAST = "forecast"  # no stage of its own: what it says is for the beginning
CLEAR = "\r\x1b[2K"


class Screen:
    """Writes a line for each stage that has ended; on a terminal also what is at work, anew every moment.

    Args:
        stages: How many there are.
        file: Where to; standard output by default.
    """

    def __init__(self, stages: int, file: IO[str] | None = None) -> None:
        self._file = file or sys.stdout
        self._stages, self._ended = stages, 0
        self._live = self._file.isatty()
        self._at: tuple[str, float] | None = None

    def say(self, text: str) -> None:
        """Write lines of text."""
        self._write(f"{CLEAR if self._live else ''}{text}\n")

    def tell(self, news: News) -> None:
        """Take in what became of a stage."""
        if news.state == "started":
            self._at = (news.stage, time.monotonic())
            return
        self._at = None
        if news.component == FORECAST:
            self.say(f"This will take {key_number(news) or 'a while'} on this machine.")
            return
        self._ended += 1
        self.say(format_end(news))

    def tick(self, note: Mapping[str, Any] | None) -> None:
        """Draw the stage at work, with the note of how far it is."""
        if not self._live:
            return
        name, since = self._at or ("starting", time.monotonic())
        clock = spell(time.monotonic() - since) if self._at else ""
        line = f"{name:<{TITLE}} {f'{self._ended + 1} of {self._stages}':<{WORD}} {clock:>{CLOCK}}  {at_work(note)}"
        self._write(f"{CLEAR}{line[: shutil.get_terminal_size().columns - 1].rstrip()}")

    def close(self) -> None:
        """Leave the terminal as other programs expect it."""
        if self._live:
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()


def format_end(news: News) -> str:
    """A stage that has ended: name, state, time, and the number that says most of it, or why it failed."""
    clock = spell(news.seconds) if news.state != "kept" else DASH
    said = news.reason.splitlines()[0] if news.reason else key_number(news)
    return f"{news.stage:<{TITLE}} {WORDS[news.state]:<{WORD}} {clock:>{CLOCK}}  {said}".rstrip()


def at_work(note: Mapping[str, Any] | None) -> str:
    """How far a stage is: a bar, a share, and what it says of itself."""
    if not note or not note["of"]:
        return ""
    share = min(1.0, note["done"] / note["of"])
    full = round(share * BAR)
    words = [f"{'█' * full}{'░' * (BAR - full)}", f"{share * 100:3.0f} %", note["what"], note["more"]]
    return " ".join(word for word in words if word)


def spell(seconds: float) -> str:
    """``4.1 s``, ``3:20`` or ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
