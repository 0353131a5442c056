"""Failure: why a task did not do what it should, told where people look: the log, and the pod's last words.

What may pass by itself is waited for in the task: on a stock installation of Kubeflow a container that failed is not
tried again, whatever a pipeline asks for.
"""

import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from bodyposenet.common.errors import PassingError
from bodyposenet.common.exits import tell
from bodyposenet.common.kubeflow.pod import IN_A_POD

LAST_WORDS = "/dev/termination-log"  # Kubernetes shows its content as the state of a container that ended
VARIABLE = "BODYPOSENET_FAILURE_LOG"  # names another file
LONGEST = 4000  # bytes; Kubernetes cuts at 4096

WAITS = (30, 60, 120, 240, 480)  # seconds before each further attempt in a pod: a quarter of an hour in all

P = ParamSpec("P")
T = TypeVar("T")


def report_failures(task: Callable[P, T]) -> Callable[P, T]:
    """A task that ends its process with a reason instead of a traceback where the input is at fault.

    The reason goes to stderr and, in a pod, to its termination message; the exit code is that of the command line: 2
    for input that cannot be used, 1 for a bug. In a pod a server that is away is waited for, and the task called again:
    it goes on where it was, or does the same once more.
    """

    @functools.wraps(task)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return _call_patiently(task, *args, **kwargs)
        except Exception as error:
            code, message = tell(error)
            report = f"{task.__name__} failed: {message.removeprefix('error: ')}"
            print(report, file=sys.stderr, flush=True)
            _last_words(report)
            raise SystemExit(code) from None

    return run


def _call_patiently(task: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a task; again and again, ever later, as long as what it needs is away."""
    waits = WAITS if IN_A_POD in os.environ else ()  # elsewhere whoever started the task sees what is away
    for attempt, seconds in enumerate(waits, start=1):
        try:
            return task(*args, **kwargs)
        except PassingError as error:
            said = f"{task.__name__}: {error}; tried again in {seconds} s ({attempt} of {len(waits)})"
            print(said, file=sys.stderr, flush=True)
            time.sleep(seconds)
    return task(*args, **kwargs)


def _last_words(report: str) -> None:
    """Leave the report where Kubernetes picks it up; outside of a pod there is no such place."""
    path = Path(os.environ.get(VARIABLE) or LAST_WORDS)
    if path.exists() or os.environ.get(VARIABLE):
        with contextlib.suppress(OSError):  # the reason was told already
            path.write_bytes(report.encode()[-LONGEST:])
