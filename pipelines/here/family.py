"""Family: the processes of a run, which begin and end together, however the one ends that started them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO

from bodyposenet.common.errors import UserError

PR_SET_PDEATHSIG = 1  # of linux/prctl.h: the signal that a process gets when its parent ends
GRACE = 2.5  # seconds in which a training may save what it did
GLANCE = 0.05  # seconds between two looks


class EndedError(UserError):
    """Somebody ended the run. Exit 143."""

    exit_code = 128 + signal.SIGTERM


def die_with_parent(number: int) -> None:
    """Ask the kernel for a signal when the parent ends, 0 for none; elsewhere than on Linux nothing is asked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


@contextlib.contextmanager
def family(job: str, log: Path, variables: Mapping[str, str], held: int) -> Iterator[subprocess.Popen[str]]:
    """Start the host in a process group of its own, and end all that is in it when the block ends.

    The host's standard input is the job and then stays open: it is at its end when this process is, and the host ends
    the group then. So nothing outlives a kill that leaves no time for anything, as of ``kill -9``.

    Args:
        job: A line.
        log: Gets what the processes print.
        variables: Of their environment.
        held: A descriptor that they share: a lock is free when the last of them has ended.
    """
    with log.open("a", encoding="utf-8") as file, _sigterm_raises():
        host = subprocess.Popen(
            [sys.executable, "-m", "bodyposenet.pipelines.here.host"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=file, text=True, bufsize=1, env=dict(variables), pass_fds=(held,), start_new_session=True,
        )  # fmt: skip
        try:
            _write(host.stdin, job)
            yield host
        finally:
            end_group(host)
            for pipe in (host.stdin, host.stdout):
                if pipe:
                    pipe.close()


def _write(pipe: IO[str] | None, job: str) -> None:
    if pipe:
        pipe.write(job + "\n")
        pipe.flush()


def end_group(host: "subprocess.Popen[str]") -> None:
    """End a process group: with SIGTERM, and what is left of it after a moment for good."""
    end = time.monotonic() + GRACE
    _signal(host.pid, signal.SIGTERM)
    while _signal(host.pid, 0) and time.monotonic() < end:
        host.poll()
        time.sleep(GLANCE)
    _signal(host.pid, signal.SIGKILL)
    host.wait()


def _signal(group: int, number: int) -> bool:
    """Send a signal to a group; whether there is one."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # the latter on macOS, where only zombies are left
        return False
    return True


@contextlib.contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Within it SIGTERM ends what is going on as Ctrl-C does; elsewhere than in the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(number: int, frame: FrameType | None) -> None:
    raise EndedError("ended by SIGTERM", fix="run it again: it goes on where it was")
