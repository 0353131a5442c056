"""Storage errors: what a disk or a store says against a path, told so that it can be mended."""

import contextlib
import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage.stores.schemes import locate_remote, names_store, report_denial

TOLD = {
    errno.ENOSPC: ("the disk is full", "free some space, or write elsewhere"),
    errno.EDQUOT: ("the disk quota is used up", "free some space, or write elsewhere"),
    errno.EFBIG: (
        "the file is larger than its disk or the limit allows",
        "write elsewhere, or raise the limit: ulimit -f",
    ),
    errno.EACCES: ("permission denied", "change the permissions, or name another place"),
    errno.EPERM: ("not permitted", "change the permissions, or name another place"),
    errno.EROFS: ("the file system is read-only", "write elsewhere"),
    errno.ENOENT: ("there is no such file or folder", "check the path"),
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "check the path"),
    errno.EEXIST: ("this is a file, not a folder", "name another"),
    errno.EISDIR: ("this is a folder", "name a file in it"),
    errno.ENAMETOOLONG: ("the name is too long", "shorten it"),
    errno.ENODEV: ("this is a pipe, a socket or a device", "save what it gives in a file, and name that"),
    errno.EIO: ("the disk does not read or write any more", "check the disk, and run it again"),
    errno.ESTALE: ("the disk has gone away", "mount it, and run it again"),
    errno.ENOTCONN: ("the disk has gone away", "mount it, and run it again"),
    errno.EUCLEAN: ("the file system is damaged here", "check the disk, and run it again"),
    errno.EBADMSG: ("the disk finds it damaged", "check the disk, and bring back a copy"),
    errno.EHOSTDOWN: ("the disk's server does not answer", "wait for it, and run it again"),
    errno.EREMOTEIO: ("the disk's server does not read or write any more", "check it, and run it again"),
    errno.ENOKEY: ("it is encrypted, and the key is not there", "unlock it, and run it again"),
    errno.ELOOP: ("this is a link where a file is to be, or leads round in a circle", "put the file itself there"),
    errno.EINVAL: ("the disk takes no such name, or cannot do this", "name another place"),
    errno.EILSEQ: ("the disk takes no such name", "name it otherwise"),
    errno.ENXIO: ("this is a pipe, a socket or a device", "name a file"),
    errno.EBUSY: ("somebody else uses it", "wait for that, or name another place"),
    errno.ETXTBSY: ("it is a program that runs", "name another place"),
    errno.EXDEV: ("a part of it is on another disk", "name a folder that is on one disk"),
    errno.ENOTEMPTY: ("something new has come into the folder", "run it again"),
    errno.ETIMEDOUT: ("no answer came in time", "run it again later"),
    errno.EMFILE: ("too many files are open", "raise the limit: ulimit -n 4096"),
    errno.ENFILE: ("too many files are open on this machine", "end what else runs, or raise its limit"),
    errno.ENOMEM: ("the memory is used up", "give it more, or less to do at once"),
    errno.EAGAIN: ("no more processes may be begun", "raise the limit: ulimit -u"),
}

# What the whole machine or disk has run out of, whatever the file
EVERYWHERE = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)

# What a disk answers that has died or gone away; of one file, too, that lies where it is damaged
DISK_FAULTS = (
    *(errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENOKEY, errno.ESTALE, errno.ENOTCONN),
    *(errno.EHOSTDOWN, errno.EREMOTEIO, errno.ENOLINK, errno.ETIMEDOUT),
)
MOST_REFUSED = 10  # files one after another, from which on the disk is at fault


class LostDiskError(OSError):
    """A disk that gave none of the files that were asked for last."""


class DiskRefusals:
    """Files that disks did not give one after another: a disk has a bad place, or gives nothing any more.

    One is for a whole process: photos are read by several threads, and by stores that come and go with each piece.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._files = set[str]()

    @contextlib.contextmanager
    def count(self, path: object) -> Iterator[None]:
        """Within it a file is read; who asks again and again for one counts once, and a file that is missing never.

        Raises:
            LostDiskError: In place of what the disk says, if it gave none of the last files either.
        """
        try:
            yield
        except OSError as error:
            if error.errno not in DISK_FAULTS:
                raise
            with self._lock:
                self._files.add(str(path))
                if len(self._files) < MOST_REFUSED:
                    raise
            raise LostDiskError(error.errno, error.strerror, error.filename) from error
        if self._files:
            with self._lock:
                self._files.clear()


REFUSALS = DiskRefusals()


def in_bucket(path: object) -> bool:
    """Tell whether a path's text names a store that takes requests to a server: a bucket, or an address."""
    return names_store(str(path))


@contextlib.contextmanager
def translate_errors(path: object, *, fix: str = "", smaller: str = "") -> Iterator[None]:
    """Tell what the storage says against this path in a line: a full disk, a folder or bucket that is gone.

    Errors that name another file pass as they are.

    Args:
        path: What is being read or written.
        fix: What to do about a missing path.
        smaller: How its file is made smaller, where one of its kind can be.

    Raises:
        UserError: In place of OSErrors; an :class:`AwayError` where no single file is at fault.
    """
    try:
        yield
    except OSError as error:
        told = _describe(error, path, fix, smaller)
        if told is None:
            raise
        raise told from error
    except ValueError as error:  # of Python itself, before it asks a disk
        if isinstance(error, UserError) or _can_be(str(path)):
            raise
        raise UserError("no file can be called so", where=str(path), fix=fix or "check the path") from None


def _can_be(path: str) -> bool:
    """Tell whether a disk can have a file of a name."""
    try:
        return b"\0" not in os.fsencode(path)
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return False


def _describe(error: OSError, path: object, fix: str, smaller: str) -> UserError | None:
    if in_bucket(path):
        return None if isinstance(error.filename, str) else _remotely_told(error, str(path), fix)
    where = _own(error, Path(str(path)))
    if where is None or error.errno is None or isinstance(error, ConnectionError | InterruptedError):
        return None
    other = (f"the disk says: {os.strerror(error.errno)}", "check the disk, and run it again")
    problem, remedy = TOLD.get(error.errno, other)
    if isinstance(error, LostDiskError):
        problem = f"{problem}, and it gave none of the {MOST_REFUSED - 1} files before"
    if error.errno == errno.EFBIG and smaller:
        remedy = f"{smaller}, {remedy}"
    kind = AwayError if isinstance(error, LostDiskError) or error.errno in EVERYWHERE else UserError
    return kind(problem, where=str(where), fix=fix if fix and error.errno == errno.ENOENT else remedy)


def _own(error: OSError, path: Path) -> Path | None:
    """The path at fault: this one, or one below it; None where the error is of another file."""
    if not isinstance(error.filename, str):
        return path
    named = Path(error.filename)
    if path in named.parents:
        return named
    aside = named.parent == path.parent and named.name.startswith(f".{path.name}.")
    return path if aside or named in (path, *path.parents) else None


def _remotely_told(error: OSError, path: str, fix: str) -> UserError:
    if isinstance(error, PermissionError):
        return report_denial(error, path)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        try:
            locate_remote(path).require_store()
        except FileNotFoundError:
            return UserError("there is no such bucket", where=path, fix="create it, or correct its name")
        return UserError("there is no such file or folder", where=path, fix=fix or "check the path")
    return UserError(f"the storage server says: {error}", where=path, fix="run it again later")
