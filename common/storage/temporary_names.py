"""Temporary names: those of a file while it is written, locked while their writer lives, and of a folder that goes.

A file's are few and numbered, ``.NAME.0.tmp`` and so on. So the next writer of that file tells those of a process that
was killed: it takes one over and removes the rest, without a look at what else is in the folder.
"""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

FOREIGN = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENXIO)  # a name that somebody else took
SLOTS = 8  # numbers of temporary names
REMOVED = ".removed"  # how the name of a folder ends that is being removed
SLOT = re.compile(rf"\..+\.[0-{SLOTS - 1}]\.tmp")  # what temporary names are like


@contextlib.contextmanager
def open_slot(path: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """Open an empty temporary file beside a file, locked while it is open; what killed writers left is removed.

    Some network file systems have no locks: there the name is random, and nobody knows whose it was.

    Args:
        path: The file's final name; its folder is there.

    Yields:
        The temporary file, which the caller renames or removes, and its name.
    """
    descriptor, aside = _take(path)
    with os.fdopen(descriptor, "wb") as file:
        yield file, aside


def _take(path: Path) -> tuple[int, Path]:
    for number in range(SLOTS):
        aside = _name(path, str(number))
        descriptor = lock_slot(aside)
        if descriptor is None:
            continue
        os.truncate(descriptor, 0)
        _sweep(path, number + 1)
        return descriptor, aside
    aside = _name(path, os.urandom(4).hex())
    return os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666), aside


def _sweep(path: Path, first: int) -> None:
    """Remove what is left under the names from this number on; such a one implies none beyond the first gap."""
    for number in range(first, SLOTS):
        aside = _name(path, str(number))
        if not os.path.lexists(aside):
            return
        descriptor = lock_slot(aside)
        if descriptor is not None:
            aside.unlink(missing_ok=True)
            os.close(descriptor)


def lock_slot(aside: Path) -> int | None:
    """Open and lock a temporary file; None where another process writes it, or it is none, or there are no locks."""
    while True:
        try:
            descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno in FOREIGN:
                return None
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found, there = os.fstat(descriptor), os.lstat(aside)
        except FileNotFoundError:  # it got its final name before it was locked
            os.close(descriptor)
            continue
        except OSError:
            os.close(descriptor)
            return None
        if os.path.samestat(found, there) and stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
            return descriptor
        os.close(descriptor)
        if os.path.samestat(found, there):  # a link to a file of somebody else
            return None


def _name(path: Path, token: str) -> Path:
    return path.with_name(f".{path.name}.{token}.tmp")


def remove_together(folder: Path) -> None:
    """Remove a folder so that after a kill nothing of it is left under its name."""
    shutil.rmtree(set_aside(folder))


def set_aside(folder: Path) -> Path:
    """Give a folder that is to be removed another name, by which those that find it know that; return its path."""
    if folder.name.endswith(REMOVED):
        return folder
    aside = folder.with_name(f".{folder.name}{REMOVED}")
    os.rename(folder, aside)
    return aside


def sweep_removed(folder: Path) -> None:
    """Remove what is left, directly in a folder, of those that killed processes were removing."""
    for aside in folder.glob(f".*{REMOVED}"):
        shutil.rmtree(aside, ignore_errors=True)
