"""Bar: how far work is, and how long it will take, on a terminal or in a note for whoever shows several as one."""

import contextlib
import io
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

NOTES = "BODYPOSENET_PROGRESS"  # names the file
OFTEN = 0.2  # seconds between two notes


class Bar(tqdm):
    """tqdm's bar; where ``BODYPOSENET_PROGRESS`` names a file, that gets a line of JSON in its place.

    Args:
        args: As tqdm takes them.
        disable: Show nothing; None where there is no terminal.
        named: As tqdm takes them.
    """

    monitor_interval = 0  # no thread that watches over bars: workers may be forked

    def __init__(self, *args: Any, disable: bool | None = None, **named: Any) -> None:
        self.notes = os.environ.get(NOTES, "")
        if self.notes:
            named |= {"file": io.StringIO(), "mininterval": OFTEN}
        super().__init__(*args, disable=False if self.notes else disable, **named)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Draw the bar, or write the note."""
        if not self.notes:
            return super().display(msg, pos)
        if msg is None:
            write_note(Path(self.notes), self.desc.removesuffix(": "), self.n, self.total, str(self.postfix or ""))
        return True


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
