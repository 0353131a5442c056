"""Screen: the stages of a run as lines, and on a terminal one bar for the stage at work."""

import time
from collections.abc import Mapping
from typing import IO, Any

from bodyposenet.common.machine.terminal import Terminal, format_row, spell
from bodyposenet.common.pages.numbers import DASH
from bodyposenet.pipelines.here.messages import News
from bodyposenet.pipelines.here.stages import key_number

WORDS = {"started": "at work", "done": "done", "kept": "done before", "failed": "failed"}
BAR = 24  # cells
FORECAST = "forecast"  # no stage of its own: what it says is for the beginning


class Screen:
    """Writes a line for each stage that has ended; on a terminal also what is at work, anew every moment.

    Args:
        stages: How many there are.
        file: Where to; standard output by default.

    Attributes:
        say: Writes lines of text.
    """

    def __init__(self, stages: int, file: IO[str] | None = None) -> None:
        self._terminal = Terminal(file)
        self.say = self._terminal.say
        self._stages, self._ended = stages, 0
        self._at: tuple[str, float] | None = None

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
        name, since = self._at or ("starting", time.monotonic())
        clock = spell(time.monotonic() - since) if self._at else ""
        self._terminal.draw([format_row(name, f"{self._ended + 1} of {self._stages}", clock, at_work(note))])

    def close(self) -> None:
        """Leave the terminal as other programs expect it."""
        self._terminal.close()


def format_end(news: News) -> str:
    """A stage that has ended: name, state, time, and the number that says most of it, or why it failed."""
    clock = spell(news.seconds) if news.state != "kept" else DASH
    said = news.reason.splitlines()[0] if news.reason else key_number(news)
    return format_row(news.stage, WORDS[news.state], clock, said)


def at_work(note: Mapping[str, Any] | None) -> str:
    """How far a stage is: a bar, a share, and what it says of itself."""
    if not note or not note["of"]:
        return ""
    share = min(1.0, note["done"] / note["of"])
    full = round(share * BAR)
    words = [f"{'█' * full}{'░' * (BAR - full)}", f"{share * 100:3.0f} %", note["what"], note["more"]]
    return " ".join(word for word in words if word)
