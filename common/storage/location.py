"""Location: a file or folder in a store. Text becomes one at the edge; what is below takes it and asks no more where.

A store is a class with the methods of :class:`Location`: :class:`LocalLocation` for disks here, those of ``stores/``
for what is reached by requests. ``stores/schemes.py`` has the list: a line there for each.
"""

import contextlib
import fcntl
import glob
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, ClassVar, cast

from bodyposenet.common.storage.errors import in_bucket
from bodyposenet.common.storage.stores.schemes import find_scheme, locate_remote
from bodyposenet.common.storage.stores.store import Change, Location, Stat

__all__ = ["LocalLocation", "Location", "Stat", "join", "locate"]


class LocalLocation(type(Path())):  # type: ignore[misc]  # PosixPath here; Path itself makes no subclasses before 3.12
    """A path on a disk of this machine: a ``pathlib.Path`` that is a :class:`Location`, too."""

    remote: ClassVar[bool] = False

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
        """Read the file's bytes; as much memory is taken as is read."""
        with open(self, "rb") as file:
            if start:
                file.seek(start)
            if end is None:  # a pipe, too, which has no size
                return file.read()
            return file.read(max(0, min(end, os.fstat(file.fileno()).st_size) - start))

    def open_stream(self) -> BinaryIO:
        """Open the file."""
        return open(self, "rb")

    def list_files(self) -> dict[str, Stat]:
        """List every file below the folder."""
        return dict(_walk(str(self), "", frozenset()))

    @contextlib.contextmanager
    def write_whole(self) -> Iterator[BinaryIO]:
        """Write beside the file, wait for the disk, rename; missing folders are made."""
        self.parent.mkdir(parents=True, exist_ok=True)
        with self._write_aside(os.urandom(4).hex()) as file:
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
        with self._write_aside(token or os.urandom(4).hex()) as file:
            yield file

    @contextlib.contextmanager
    def _write_aside(self, token: str) -> Iterator[BinaryIO]:
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
            # Nobody else writes now: whoever left these was killed
            for aside in self.parent.glob(f".{glob.escape(self.name)}.*.tmp"):
                aside.unlink(missing_ok=True)
            old = self.read_bytes() if self.exists() else None
            with self.write_whole() as file:
                file.write(make(old))
        finally:
            os.close(descriptor)

    def append(self, content: bytes) -> None:
        """Add bytes to the file's end; missing folders are made."""
        self.parent.mkdir(parents=True, exist_ok=True)
        with open(self, "ab") as file:
            file.write(content)

    def remove_folder(self) -> None:
        """Remove the folder, as far as that may be done."""
        shutil.rmtree(self, ignore_errors=True)


def _walk(folder: str, prefix: str, seen: frozenset[str]) -> Iterator[tuple[str, Stat]]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder above
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() and not os.path.exists(entry.path):  # broken, or a link to itself
                continue
            if entry.is_dir():
                yield from _walk(entry.path, f"{prefix}{entry.name}/", seen | {real})
            elif entry.is_file():
                found = entry.stat()
                yield prefix + entry.name, Stat(found.st_size, f"{found.st_mtime_ns:x}-{found.st_ino:x}")


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
