"""Bar: how far a loop is: a bar on a terminal, or a note in a file for whoever shows several tasks as one."""

import contextlib
import io
import json
import os
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
    except (OSError, ValueError):
        return None
