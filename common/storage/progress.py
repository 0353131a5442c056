"""Progress: how far a long task is: a bar on a terminal, a line of JSON now and then in a log."""

import json
import logging
import sys
import time
from types import TracebackType

from bodyposenet.common.machine.bar import Bar

log = logging.getLogger(__name__)

EVERY = 30.0  # seconds between lines


class ProgressLog:
    """Counts what is done.

    Args:
        name: Of the task.
        total: How much there is to do.
        done: How much an earlier attempt did.
        unit: Of what.
    """

    def __init__(self, name: str, total: int, *, done: int = 0, unit: str = "photo") -> None:
        self.name, self.total, self.before, self.done, self.unit = name, total, done, done, unit
        self.start = self.said = time.monotonic()
        self.bar = Bar(total=total, initial=done, desc=name, unit=unit, disable=not sys.stderr.isatty())

    def __enter__(self) -> "ProgressLog":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.close()

    def add(self, count: int) -> None:
        """So much more is done."""
        self.done += count
        self.bar.update(count)
        now = time.monotonic()
        if self.bar.disable and now - self.said >= EVERY:
            self.said = now
            log.info("%s", json.dumps(self.line(now - self.start)))

    def line(self, seconds: float) -> dict[str, float | str]:
        """What the log says after so many seconds."""
        rate = (self.done - self.before) / seconds
        left = (self.total - self.done) / rate if rate else 0.0
        return {
            "task": self.name,
            "done": self.done,
            "of": self.total,
            f"{self.unit}s_per_second": round(rate, 1),
            "seconds_left": round(left),
        }
