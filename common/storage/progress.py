"""Progress: how far a long task is: a bar on a terminal, a line of JSON now and then in a log."""

import json
import logging
import sys
import time
from types import TracebackType

from bodyposenet.common.machine.bar import Bar, Pace

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
        self.name, self.done, self.unit = name, done, unit
        self.said = time.monotonic()
        self.pace = Pace(self.said, done, total)
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
            log.info("%s", json.dumps(self.line(now)))

    def line(self, now: float) -> dict[str, float | str]:
        """What the log says at a moment, by ``time.monotonic``."""
        return {
            "task": self.name,
            "done": self.done,
            "of": self.pace.total,
            f"{self.unit}s_per_second": round(self.pace.measure_rate(now, self.done), 1),
            "seconds_left": round(self.pace.estimate_left(now, self.done) or 0),
        }
