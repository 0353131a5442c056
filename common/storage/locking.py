"""Locking: one process at a time in a folder; the lock goes with the process, however that ends."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from bodyposenet.common.errors import UserError


@contextlib.contextmanager
def hold_folder(folder: Path, problem: str, *, where: str) -> Iterator[None]:
    """Keep other processes out of a folder; some network file systems have no locks, and there it keeps out nobody.

    Args:
        folder: It exists.
        problem: What to say when another process is in it.
        where: What to say it of.

    Raises:
        UserError: Another process holds it.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UserError(problem, where=where, fix="wait for it, or write elsewhere") from None
        yield
    finally:
        os.close(descriptor)
