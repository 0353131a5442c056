"""Leftovers: files and folders that may go, or that stay for a reason, and how old and how large they are."""

import functools
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bodyposenet.common.storage.locking import OWNER, lock_folder, read_host
from bodyposenet.common.storage.temporary_names import set_aside

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0  # seconds
IN_USE = "somebody is at work there, or the disk has no locks"
CHANGED = "it has changed meanwhile"
REMOVING = "was being removed by a run that was killed"
FUTURE = "its time lies in the future: a clock was wrong"

Check = Callable[[], str]  # says why something stays; nothing if it may go


@dataclass(frozen=True)
class Limits:
    """What may go.

    Attributes:
        older: Seconds for which nothing in it has changed.
        keep: How many of a series stay, the newest.
        any_machine: What another machine's processes left may go, too: whether they are alive cannot be seen from here.
        now: Seconds since 1970.
    """

    older: float
    keep: int
    any_machine: bool = False
    now: float = field(default_factory=lambda: time.time())

    def judge_host(self, folder: Path) -> str:
        """Say why a folder that its owner signed stays, if that was on another machine."""
        host = read_host(folder)
        return "" if self.any_machine or host in ("", socket.gethostname()) else f"is of the machine {host}"


@dataclass(frozen=True)
class Leftover:
    """Something that was found.

    Attributes:
        path: A file or a folder.
        kind: What it is.
        why: Why it may go.
        age: Seconds since something in it has changed last.
        size: Bytes.
        stays: Why it stays; nothing if it may go.
        remove: Removes it, and says why not if it must stay after all.
    """

    path: Path
    kind: str
    why: str
    age: float
    size: int
    stays: str
    remove: Check


def judge(path: Path, kind: str, why: str, limits: Limits, *, check: Check, remove: Check) -> Leftover | None:
    """Judge something by its age and by a check; None where it is too young to be told of.

    Args:
        path: It.
        kind: What it is.
        why: Why it may go.
        limits: By which.
        check: Says why it stays however old it is.
        remove: Removes it; it is judged again before.
    """
    size, age = measure(path, limits.now)
    if -DAY < age < limits.older:  # servers' clocks are some seconds ahead now and then
        return None

    def judge_again() -> str:
        return CHANGED if measure(path, limits.now)[1] < limits.older else check() or remove()

    return Leftover(path, kind, why, age, size, FUTURE if age < 0 else check(), judge_again)


def measure(path: Path, now: float) -> tuple[int, float]:
    """Measure the bytes in a file or folder, and the seconds since something in it changed; links count as such."""
    found = [os.lstat(path), *_list_below(path)]
    return sum(each.st_size for each in found if not _is_folder(each)), now - max(each.st_mtime for each in found)


def _list_below(path: Path) -> Iterator[os.stat_result]:
    if path.is_symlink() or not path.is_dir():
        return
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            try:
                yield os.lstat(Path(place, name))
            except FileNotFoundError:  # its owner removes it
                continue


def _is_folder(found: os.stat_result) -> bool:
    return (found.st_mode & 0o170000) == 0o040000


def check_free(folder: Path, limits: Limits) -> str:
    """Say why a folder in which processes lock themselves in must stay, if one does, or may do."""
    descriptor = lock_folder(folder, locks=True)
    if descriptor is None:
        return IN_USE
    os.close(descriptor)
    return limits.judge_host(folder)


def clear_folder(folder: Path, check: Check) -> str:
    """Remove a folder that nobody holds, under another name, and what says whose it is at last.

    After a kill nothing of it is left under its own name, and what is left is known by both.

    Args:
        folder: A folder in which processes lock themselves in.
        check: Is asked while it is held.

    Returns:
        Why it stays; nothing if it is gone.
    """
    descriptor = lock_folder(folder, locks=True)
    if descriptor is None:
        return IN_USE
    try:
        if stays := check():
            return stays
        aside = set_aside(folder)
        try:
            _remove_signed(aside)
        except OSError as error:
            told = f"{error.strerror}; what is left is called {aside.name}"
            raise OSError(error.errno, told, str(aside)) from error
    finally:
        os.close(descriptor)
    return ""


def _remove_signed(folder: Path) -> None:
    """Remove a folder, what says whose it is at last."""
    for path in sorted(folder.iterdir()):
        if path.name != OWNER:
            _remove(path)
    (folder / OWNER).unlink(missing_ok=True)
    folder.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_rest(folder: Path) -> str:
    """Remove a folder that somebody was removing already."""
    shutil.rmtree(folder)
    return ""


def find_rests(place: Path, pattern: str, limits: Limits) -> Iterator[Leftover | None]:
    """Find folders that killed processes were removing, directly in a folder, by what they are called."""
    for folder in sorted(place.glob(pattern)):
        if folder.is_dir() and not folder.is_symlink():
            yield judge(folder, "rest", REMOVING, limits, check=str, remove=functools.partial(remove_rest, folder))
