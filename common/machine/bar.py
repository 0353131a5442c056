"""Bar: how far work is, and how long it will take: on a terminal, in lines of JSON, or in a note for others to show."""

import contextlib
import io
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

log = logging.getLogger(__name__)

NOTES = "BODYPOSENET_PROGRESS"  # names the file of the note; or LINES
LINES = "json"  # asks for bare lines of JSON, on a terminal, too
OFTEN = 0.2  # seconds between two notes
EVERY = 30.0  # seconds between two lines of a log
BARE = 5.0  # seconds between two bare lines, which a program reads


def draws_bar() -> bool:
    """Tell whether a bar is drawn: standard error is a terminal, and lines are not asked for."""
    return sys.stderr.isatty() and os.environ.get(NOTES) != LINES


class Bar(tqdm):
    """tqdm's bar on a terminal; elsewhere a line of JSON in the log now and then.

    Where ``BODYPOSENET_PROGRESS`` names a file, that gets the line in its place. Where it is ``json`` the lines go to
    standard error without the log's clock, on a terminal, too.

    Args:
        args: As tqdm takes them.
        disable: Show nothing; None shows what fits.
        named: As tqdm takes them.
    """

    monitor_interval = 0  # no thread that watches over bars: workers may be forked

    def __init__(self, *args: Any, disable: bool | None = None, **named: Any) -> None:
        asked = os.environ.get(NOTES, "")
        self.bare = asked == LINES
        self.notes = "" if self.bare else asked
        self.lines = not self.notes and disable is None and not draws_bar()
        self.begun = self.said = time.monotonic()
        if self.notes or self.lines:
            named |= {"file": io.StringIO(), "mininterval": OFTEN if self.notes else 0, "miniters": 1}
        super().__init__(*args, disable=False if self.notes or self.lines else disable, **named)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Draw the bar, write the note, or say a line if it is time for one."""
        if not (self.notes or self.lines):
            return super().display(msg, pos)
        now = time.monotonic()
        if self.notes:
            if msg is None:
                write_note(Path(self.notes), self._name, self.n, self.total, str(self.postfix or ""))
        elif now - self.said >= (BARE if self.bare else EVERY):
            self.said = now
            line = json.dumps(self.make_line(now))
            if self.bare:
                sys.stderr.write(f"{line}\n")
            else:
                log.info("%s", line)
        return True

    @property
    def _name(self) -> str:
        return str(self.desc).removesuffix(": ")

    def make_line(self, now: float) -> dict[str, float | str | None]:
        """Make the line of a moment, by ``time.monotonic``: what is done, how fast, and the seconds that are left."""
        pace = Pace(self.begun, self.initial, self.total or 0)
        left = pace.estimate_left(now, self.n) if self.total else None
        return {
            "task": self._name,
            "done": self.n,
            "of": self.total,
            "unit": self.unit,
            "per_second": round(pace.measure_rate(now, self.n), 1),
            "seconds_left": None if left is None else max(0, round(left)),  # of a video the total is an estimate
        }


@dataclass(frozen=True)
class Pace:
    """How fast work has gone since a moment.

    Attributes:
        since: The moment, by ``time.monotonic``.
        before: What was done by then.
        total: What there is to do.
    """

    since: float
    before: float
    total: float

    def measure_rate(self, now: float, done: float) -> float:
        """What was done in a second; 0 as long as nothing was."""
        return (done - self.before) / (now - self.since) if now > self.since else 0.0

    def estimate_left(self, now: float, done: float) -> float | None:
        """Seconds until all is done, if it goes on so; None as long as nothing was."""
        rate = self.measure_rate(now, done)
        return (self.total - done) / rate if rate > 0 else None


def write_note(path: Path, what: str, done: float, of: float | None, more: str = "") -> None:
    """Replace the note in a file; a disk that does not take it stops no work."""
    aside = path.with_name(f"{path.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        aside.write_text(json.dumps({"what": what, "done": done, "of": of, "more": more}), encoding="utf-8")
        aside.replace(path)


def read_note(path: Path) -> dict[str, Any] | None:
    """Read the note in a file; None where there is none."""
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None
