"""Locking: who is at work in a folder, temporary ones too; the lock goes with the process, however that ends."""

import contextlib
import errno
import fcntl
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.plain_text import escape_line

OWNER = ".lock"  # of who is at work in a folder
PATIENCE = 5.0  # seconds that the processes of a run that was killed may take to end
INNER = "in"  # of a temporary folder: what it holds
ASIDE = ".bodyposenet-scratch-"  # how temporary folders begin, and what their names are like
SCRATCH = re.compile(re.escape(ASIDE) + r"[a-z0-9_]{8}")
OWNED = re.compile(r"process \d+ of (\S+), since .+")  # what OWNER says


class HeldError(UserError):
    """A folder in which another process is at work; the message says which, of which machine, and since when."""


@contextlib.contextmanager
def hold_folder(folder: Path, problem: str, *, where: str) -> Iterator[None]:
    """Keep other processes out of a folder; some network file systems have no locks, and there it keeps out nobody.

    It says in the folder who holds it.

    Args:
        folder: It exists.
        problem: What to say when another process is in it.
        where: What to say it of.

    Raises:
        HeldError: Another process holds it.
        UserError: It is a link, which may lead to what is somebody else's, or no folder.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        told = f"{folder} is a link or a file; runs keep there, in a folder, what they have not finished"
        raise UserError(told, where=where, fix="remove it") from None
    try:
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                told = f"{problem}: {read_owner(folder)}"
                raise HeldError(told, where=where, fix="wait for it, or write elsewhere") from None
        if not (folder.exists() and os.path.samestat(os.fstat(descriptor), os.stat(folder))):
            raise HeldError(problem, where=where, fix="it has just ended: run this again")
        sign_folder(folder)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def share_folder(folder: Path) -> Iterator[None]:
    """Keep who would clear a folder away from it, and nobody who works there; say in it that it is ours.

    If nothing else was put into it, it goes at the end.

    Args:
        folder: It is made.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # some network file systems have no locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if folder.exists() and os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            break
        os.close(descriptor)  # it has just been cleared away
    sign_folder(folder)
    try:
        yield
    finally:
        remove_bare(folder)
        os.close(descriptor)


def sign_folder(folder: Path) -> None:
    """Say in a folder that it is ours, and who works there; without room for that it is said nowhere."""
    with contextlib.suppress(OSError):
        made = os.open(folder / OWNER, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        with os.fdopen(made, "wb") as file:
            file.write(_describe_owner().encode())


def remove_bare(folder: Path) -> None:
    """Remove a folder in which nothing is, or only who works there."""
    with contextlib.suppress(OSError):
        if os.listdir(folder) == [OWNER]:
            (folder / OWNER).unlink()
        folder.rmdir()


def read_host(folder: Path) -> str:
    """Read on which machine the owner of a folder works or has worked; nothing where the folder is not ours."""
    found = OWNED.fullmatch(_read_words(folder))
    return found[1] if found else ""


def read_owner(folder: Path) -> str:
    """Read who works in a folder, for a message: a process of a machine, and since when."""
    return escape_line(_read_words(folder)) or "unknown"


def _read_words(folder: Path) -> str:
    """Read what is said in a folder of its owner; nothing where nothing can be read."""
    try:
        descriptor = os.open(folder / OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return ""
    try:
        return os.read(descriptor, 400).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def hold_alone(folder: Path) -> Iterator[None]:
    """Be the only run at work in a folder of results, and tell others who is.

    The folder has a file ``.lock`` with the owner's words meanwhile. One that a killed run left is taken over, as soon
    as the processes that it had begun have ended, too. Some network file systems have no locks: there all may enter.

    Args:
        folder: It exists.

    Raises:
        HeldError: Another run is at work there.
    """
    path, end = folder / OWNER, time.monotonic() + PATIENCE
    while (descriptor := _open_lock(path, last=time.monotonic() > end)) is None:
        time.sleep(0.1)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _open_lock(path: Path, *, last: bool) -> int | None:
    """Open and lock a file, and write the owner to it; None where another has it, which the last try refuses."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    if not lock_at_once(descriptor):
        os.close(descriptor)
        if last:
            problem = f"another run is at work here: {read_owner(path.parent)}"
            raise HeldError(problem, where=str(path.parent), fix="wait for it, or name another folder")
        return None
    if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, _describe_owner().encode(), 0)
        return descriptor
    os.close(descriptor)  # its owner has just ended, and removed it
    return None


def lock_at_once(descriptor: int) -> bool:
    """Lock a file; False where another process has it. Some network file systems have no locks: there all may enter."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _describe_owner() -> str:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    return f"process {os.getpid()} of {socket.gethostname()}, since {since}"


def is_held(path: Path) -> bool:
    """Tell whether a process has locked a file, or may have, where there are no locks; False where there is none."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextlib.contextmanager
def hold_file(path: Path) -> Iterator[bool]:
    """Lock a file that marks a folder as somebody's; yields False where another process has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
    try:
        yield lock_at_once(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a temporary folder that goes at the end; those that killed processes left go before.

    Yields:
        The folder, below the one that ``TMPDIR`` names.
    """
    sweep_scratch()
    descriptor, folder = _make_scratch()
    inner = folder / INNER  # whoever changes a file locks its folder, and would wait for this lock
    inner.mkdir()
    try:
        yield inner
    finally:
        _remove_scratch(folder)
        os.close(descriptor)


def _remove_scratch(folder: Path) -> None:
    """Remove a temporary folder: last of all what says whose it is, so that after a kill others know that."""
    shutil.rmtree(folder / INNER, ignore_errors=True)
    remove_bare(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _make_scratch() -> tuple[int, Path]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=ASIDE))
        descriptor = lock_folder(folder)
        if descriptor is not None:
            sign_folder(folder)
            if folder.exists():  # else another machine took it for one that a killed process left
                return descriptor, folder
            os.close(descriptor)


def sweep_scratch() -> None:
    """Remove temporary folders that processes of this user and this machine made, and that nobody holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{ASIDE}*"):
        with contextlib.suppress(OSError):  # another process removes it, too
            if not SCRATCH.fullmatch(folder.name) or os.lstat(folder).st_uid != os.getuid():
                continue
            if (descriptor := lock_folder(folder, locks=True)) is None:
                continue
            if read_host(folder) == socket.gethostname():  # locks do not reach other machines on every file system
                _remove_scratch(folder)
            elif not read_host(folder):  # it was killed before it said so; who is about to makes another
                remove_bare(folder)
            os.close(descriptor)


def lock_folder(folder: Path, *, locks: bool = False) -> int | None:
    """Open and lock a folder; None where another process holds it or has removed it, or it is none.

    Args:
        folder: The folder.
        locks: None, too, where the file system has no locks; else it is taken as it is there.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        ours = os.path.samestat(os.fstat(descriptor), os.lstat(folder))
    except (BlockingIOError, FileNotFoundError):
        ours = False
    except OSError:
        ours = not locks
    if ours:
        return descriptor
    os.close(descriptor)
    return None
