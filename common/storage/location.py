"""Location: a file or folder in a store. Text becomes one at the edge; what is below takes it and asks no more where.

A store is a class with the methods of :class:`Location`: :class:`LocalLocation` for disks here, those of ``stores/``
for what is reached by requests. ``stores/schemes.py`` has the list: a line there for each.
"""

import contextlib
import errno
import fcntl
import logging
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from bodyposenet.common.storage.errors import EVERYWHERE, REFUSALS, in_bucket
from bodyposenet.common.storage.stores.schemes import find_scheme, locate_remote
from bodyposenet.common.storage.stores.store import Change, Location, Stat, gather_listing
from bodyposenet.common.storage.temporary_names import open_slot

__all__ = ["LocalLocation", "Location", "Stat", "join", "locate"]

BLOCK = 1 << 20  # bytes of a pipe that are read at once
UNREAL = ("/proc", "/sys")  # where the kernel shows what it knows as files

log = logging.getLogger(__name__)


class LocalLocation(type(Path())):  # type: ignore[misc]  # PosixPath here; Path itself makes no subclasses before 3.12
    """A path on a disk of this machine: a ``pathlib.Path`` that is a :class:`Location`, too."""

    remote: ClassVar[bool] = False
    has_lists: ClassVar[bool] = True

    def require_store(self) -> None:
        """Refuse nothing: a disk is there."""

    def count_bytes(self) -> int:
        """Return the file's size."""
        return int(self.stat().st_size)

    def find_version(self) -> str:
        """Return the file's size, time and inode."""
        found = self.stat()
        return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ino}"

    def fetch(self, start: int = 0, end: int | None = None) -> bytes:
        """Read the file's bytes; as much memory is taken as is read.

        Raises:
            LostDiskError: The disk gave none of the last files either.
        """
        with REFUSALS.count(self), self.open_stream() as file:
            if start:
                file.seek(start)
            found = os.fstat(file.fileno())
            if end is None or not stat.S_ISFIFO(found.st_mode):
                return file.read() if end is None else file.read(max(0, min(end, found.st_size) - start))
            return _read_pipe(file, end)

    def open_stream(self) -> BinaryIO:
        """Open the file."""
        self._refuse_special()
        return open(self, "rb")

    def _refuse_special(self) -> None:
        """Refuse what would never end, or never begin; a pipe of the shell's, ``<(command)``, is as good as a file."""
        mode = self.stat().st_mode
        given = stat.S_ISFIFO(mode) and self.is_relative_to("/dev")
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or given):
            raise OSError(errno.ENODEV, "no file", str(self))

    def list_files(self) -> dict[str, Stat]:
        """List every file below the folder."""
        return gather_listing(_walk(str(self)), self)

    @contextlib.contextmanager
    def write_whole(self) -> Iterator[BinaryIO]:
        """Write beside the file, wait for the disk, rename; missing folders are made."""
        self.parent.mkdir(parents=True, exist_ok=True)
        with self._write_slot() as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        descriptor = os.open(self.parent, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # where the file system knows how, a rename outlives a power cut then
                os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def write_soon(self, token: str = "") -> Iterator[BinaryIO]:
        """Write beside the file, and rename."""
        with self._write_aside(token) if token else self._write_slot() as file:
            yield file

    def refuse_device(self) -> None:
        """Refuse to put a file in the place of a pipe, a socket or a device: of ``/dev/null`` there is one for all.

        Raises:
            OSError: It is one, or a link to one.
        """
        try:
            mode = self.stat().st_mode
        except OSError:  # nothing is there, or a link that leads nowhere
            return
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise OSError(errno.ENXIO, "no file", str(self))

    @contextlib.contextmanager
    def _write_slot(self) -> Iterator[BinaryIO]:
        """Write beside the file under a name that whoever writes it next takes over, or removes, after a kill."""
        self.refuse_device()
        with open_slot(self) as (file, aside):
            try:
                yield file
                file.flush()
                os.replace(aside, self)
            except BaseException:
                aside.unlink(missing_ok=True)
                raise

    @contextlib.contextmanager
    def _write_aside(self, token: str) -> Iterator[BinaryIO]:
        self.refuse_device()
        aside = self.with_name(f".{self.name}.{token}.tmp")
        try:
            with open(aside, "wb") as file:
                yield file
            os.replace(aside, self)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def change(self, make: Change) -> None:
        """Replace the file's content while the folder is locked; others wait."""
        descriptor = os.open(self.parent, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            old = self.read_bytes() if self.exists() else None
            with self.write_whole() as file:
                file.write(make(old))
        finally:
            os.close(descriptor)

    def append(self, content: bytes) -> None:
        """Add bytes to the file's end; missing folders are made."""
        self.parent.mkdir(parents=True, exist_ok=True)
        with open_to_append(self) as file:
            file.write(content)

    def remove_folder(self) -> None:
        """Remove the folder, as far as that may be done."""
        shutil.rmtree(self, ignore_errors=True)


def _read_pipe(file: BinaryIO, most: int) -> bytes:
    """Read a pipe, which has no size, to its end, or as many bytes."""
    taken = bytearray()
    while len(taken) < most and (more := file.read(min(BLOCK, most - len(taken)))):
        taken += more
    return bytes(taken)


def open_to_append(path: Path, buffering: int = -1) -> BinaryIO:
    """Open a file to write at its end; it is made, if need be.

    Raises:
        OSError: It cannot be written, or what has its name is a link, which may lead anywhere, a pipe or a device.
    """
    flags = os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "no file", str(path))
    return os.fdopen(descriptor, "ab", buffering)


def _walk(folder: str) -> Iterator[tuple[str, Stat]]:
    """Look through a folder and those below it; not through what the kernel shows as files, whose links have no end."""
    unreal = {os.stat(top).st_dev for top in UNREAL if os.path.ismount(top)}
    waiting = [(folder, "", os.stat(folder).st_dev, frozenset[str]())]
    while waiting:
        place, prefix, device, above = waiting.pop()
        real = os.path.realpath(place)
        if real in above or device in unreal:  # a link to a folder above, or no photo's place
            continue
        for entry, found in _scan(place, needed=not prefix):
            if found is None:
                yield prefix + entry.name, Stat(0, "")
            elif stat.S_ISDIR(found.st_mode):
                waiting.append((entry.path, f"{prefix}{entry.name}/", found.st_dev, above | {real}))
            elif stat.S_ISREG(found.st_mode):
                yield prefix + entry.name, Stat(found.st_size, f"{found.st_mtime_ns:x}-{found.st_ino:x}")


def _scan(folder: str, *, needed: bool) -> Iterator[tuple[os.DirEntry[str], os.stat_result | None]]:
    """Look at what is in a folder, but for broken links and what went meanwhile.

    What the disk does not tell of is None, with a warning: whoever reads it hears why.

    Args:
        folder: The folder.
        needed: Fail where it may not be looked at; a folder below, such as a disk's ``lost+found``, is passed over.
    """
    try:
        entries = os.scandir(folder)
    except (PermissionError, FileNotFoundError):
        if needed:
            raise
        log.warning("%s is passed over: it may not be looked at", folder)
        return
    with entries:
        for entry in entries:
            try:
                found = entry.stat()
            except OSError as error:
                if entry.is_symlink() or isinstance(error, FileNotFoundError):  # a link may lead to itself, too
                    continue
                if error.errno in EVERYWHERE or isinstance(error, PermissionError):  # the latter is the folder's
                    raise
                log.warning("%s: %s", entry.path, os.strerror(error.errno or 0))
                yield entry, None
            else:
                yield entry, found


def locate(path: "str | Path | Location") -> Location:
    """Find the store of a path: a disk, or that of an address, which ``pathlib.Path`` would mangle.

    Args:
        path: As text, as a ``pathlib.Path``, or located already.

    Raises:
        UserError: Another kind of address, no bucket is named, or what the store needs is not installed.
    """
    if not isinstance(path, str | Path) or isinstance(path, LocalLocation):
        return cast("Location", path)
    text = str(path)
    return locate_remote(text) if find_scheme(text) else cast("Location", LocalLocation(text))


def join(folder: "str | Path | Location", name: "str | Path") -> Location:
    """Locate a name below a folder; one that is a whole path already stays what it is."""
    return locate(name) if in_bucket(name) else locate(folder) / str(name)
