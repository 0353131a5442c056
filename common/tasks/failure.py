"""Failure: why a task did not do what it should, told where people look: the log, and the pod's last words."""

import contextlib
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from bodyposenet.common.exits import tell

LAST_WORDS = "/dev/termination-log"  # Kubernetes shows its content as the state of a container that ended
VARIABLE = "BODYPOSENET_FAILURE_LOG"  # names another file
LONGEST = 4000  # bytes; Kubernetes cuts at 4096

P = ParamSpec("P")
T = TypeVar("T")


def report_failures(task: Callable[P, T]) -> Callable[P, T]:
    """A task that ends its process with a reason instead of a traceback where the input is at fault.

    The reason goes to stderr and, in a pod, to its termination message; the exit code is that of the command line: 2
    for input that cannot be used, 1 for a bug.
    """

    @functools.wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return task(*args, **kwargs)
        except Exception as error:
            code, message = tell(error)
            report = f"{task.__name__} failed: {message.removeprefix('error: ')}"
            print(report, file=sys.stderr, flush=True)
            _last_words(report)
            raise SystemExit(code) from None

    return run


def _last_words(report: str) -> None:
    """Leave the report where Kubernetes picks it up; outside of a pod there is no such place."""
    path = Path(os.environ.get(VARIABLE) or LAST_WORDS)
    if path.exists() or os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):  # the reason was told already
            path.write_bytes(report.encode()[-LONGEST:])
