"""Storage: files on a disk or in a bucket, read and written alike, whole or not at all."""

import contextlib
import fcntl
import glob
import os
import re
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, cast

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import is_remote, translate_errors

if TYPE_CHECKING:
    from bodyposenet.common.storage.gcs import Remote

__all__ = [
    "Stat",
    "as_path",
    "find_bytes",
    "is_remote",
    "join",
    "listing",
    "read_bytes",
    "rewrite",
    "translate_errors",
    "whole_file",
]

INSTALL = "pip install 'bodyposenet[gcs]'"
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")  # two letters at least: C:/ is a drive
TRIES = 20  # of a change that others keep overtaking


class Stat(NamedTuple):
    """What a listing tells of a file.

    Attributes:
        size: Its bytes.
        version: Another text whenever its content may be another.
    """

    size: int
    version: str


def as_path(path: "str | Path") -> Path:
    """Turn text into a path to use: ``gs://`` paths too, which ``Path`` would mangle.

    Returns:
        A ``pathlib.Path``, or an object with its methods for a path in a bucket (``pathlib.Path(...)`` refuses it:
        give it to this function instead, which returns it as it is).

    Raises:
        UserError: Another kind of URL, no bucket is named, or gcsfs is not installed.
    """
    if isinstance(path, Path):
        path = str(path)
    if not isinstance(path, str):
        return path
    scheme = SCHEME.match(path)
    if not scheme:
        return Path(path)
    if scheme[1] != "gs" or not re.match(r"gs://[^/]", path):
        raise UserError("this is no path that can be read", where=path, fix="give a local path or gs://bucket/path")
    return cast("Path", _remote(path))


def join(folder: "str | Path", name: "str | Path") -> Path:
    """Join a path below a folder; one that is a whole path already stays what it is."""
    return as_path(name) if is_remote(name) else as_path(folder) / name


def _remote(path: str) -> "Remote":
    try:
        from bodyposenet.common.storage.gcs import Remote
    except ModuleNotFoundError as error:
        raise UserError(f"gs:// needs {str(error.name).partition('.')[0]}", where=path, fix=INSTALL) from None
    return Remote(path)


def read_bytes(path: "str | Path", *, fix: str = "") -> bytes:
    """Read a file's content.

    Args:
        path: On a disk or in a bucket.
        fix: What to do where it is missing.

    Raises:
        UserError: It cannot be read.
    """
    found = find_bytes(path)
    if found is None:
        raise UserError("there is no such file", where=str(path), fix=fix or "check the path")
    return found


def find_bytes(path: "str | Path") -> bytes | None:
    """Read a file's content, or None where there is none; as for :func:`read_bytes` otherwise."""
    path = as_path(path)
    with translate_errors(path):
        try:
            return _object(path).fs.read(_object(path).path) if is_remote(path) else path.read_bytes()
        except FileNotFoundError:
            if is_remote(path) and not _object(path).fs.has_bucket(_object(path).path):
                raise
            return None


def _object(path: Path) -> "Remote":
    """Return the same path, by the type it has in a bucket."""
    return cast("Remote", path)


@contextlib.contextmanager
def whole_file(path: "str | Path") -> Iterator[BinaryIO]:
    """Open a file that appears under its name complete and on disk, or not at all.

    Args:
        path: The final name; missing folders are made.

    Raises:
        UserError: It cannot be written.
    """
    path = as_path(path)
    with translate_errors(path), _whole_object(_object(path)) if is_remote(path) else _whole_local(path) as file:
        yield file


@contextlib.contextmanager
def _whole_local(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def _whole_object(path: "Remote") -> Iterator[BinaryIO]:
    """An upload takes effect when it is complete; fsspec's own ``with`` would complete it after an error, too."""
    file: Any = path.fs.open(path.path, "wb")
    try:
        yield file
        file.close()
    except BaseException:
        with contextlib.suppress(Exception):
            file.discard()
        raise
    finally:
        file.closed = True  # else the garbage collector would complete it


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut, where the file system knows how."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rewrite(path: "str | Path", change: Callable[[bytes | None], bytes]) -> None:
    """Replace a file by a changed one in one step; of several that do so at once, none loses its change.

    On a disk they wait for one another. A bucket has no locks, but writes an object only if it is still the one that
    was read; else it is read and changed again.

    Args:
        path: The file; its folder exists.
        change: Makes the new content of the old one, or of None where there is no file; may be called again.

    Raises:
        UserError: The file cannot be read or written.
    """
    path = as_path(path)
    if is_remote(path):
        _rewrite_object(_object(path), change)
        return
    with translate_errors(path), _alone(path.parent):
        for aside in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):  # a writer was killed: nobody else is here
            aside.unlink(missing_ok=True)
        old = path.read_bytes() if path.exists() else None
        with whole_file(path) as file:
            file.write(change(old))


def _rewrite_object(path: "Remote", change: Callable[[bytes | None], bytes]) -> None:
    for _ in range(TRIES):
        with translate_errors(str(path)):
            try:
                old, version = path.fs.get_version(path.path)
            except FileNotFoundError:
                old, version = None, 0
            content = change(old)
            with contextlib.suppress(FileExistsError):
                return path.fs.put_version(path.path, content, version)
    raise UserError("others keep changing this file", where=str(path), fix="run it again")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def listing(folder: "str | Path") -> dict[str, Stat]:
    """List every file below a folder, by its name with forward slashes, in one sweep; links are followed.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    folder = as_path(folder)
    with translate_errors(folder, fix="name a folder that exists"):
        if is_remote(folder):
            return _objects(_object(folder))
        return dict(_files(str(folder), "", set()))


def _objects(folder: "Remote") -> dict[str, Stat]:
    found = {name: Stat(size, version) for name, size, version in folder.fs.below(folder.path)}
    if not found:
        raise FileNotFoundError(str(folder))
    return found


def _files(folder: str, prefix: str, seen: set[str]) -> Iterator[tuple[str, Stat]]:
    real = os.path.realpath(folder)
    if real in seen:  # a link to a folder above
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _files(entry.path, f"{prefix}{entry.name}/", {*seen, real})
            elif entry.is_file():  # no broken link
                found = entry.stat()
                yield prefix + entry.name, Stat(found.st_size, f"{found.st_mtime_ns:x}-{found.st_ino:x}")


@contextlib.contextmanager
def write_unsynced(path: Path, token: str = "") -> Iterator[BinaryIO]:
    """Open a file that appears when it is complete; unlike ``whole_file`` it does not wait for the disk.

    Args:
        path: The final name; its folder must be there.
        token: Part of the name until then, so that a later attempt finds and replaces what a killed one left; by
            default it is random.

    Raises:
        UserError: The disk is full, or the folder is not there.
    """
    if is_remote(path):
        with whole_file(path) as file:
            yield file
        return
    aside = path.with_name(f".{path.name}.{token or secrets.token_hex(4)}.tmp")
    with translate_errors(path):
        try:
            with open(aside, "wb") as file:
                yield file
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
