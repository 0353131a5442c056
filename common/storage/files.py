"""Files: read and written alike in every store, whole or not at all, with failures told so that they can be mended."""

import contextlib
import csv
import errno
import io
import mmap
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from bodyposenet.common.bounds import FILE_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location, Stat, locate
from bodyposenet.common.storage.stores.store import Change

LARGE = 1 << 22  # bytes of a file that is better not held in memory
FORMULA = re.compile(r"[=+@\t\r-](?!\d*\.?\d+\Z)")  # how a text begins that a spreadsheet computes; no number does
_ROOM = 4  # times a copy's size that must be free for it: others write there, too
_BLOCK = 1 << 20  # bytes that are copied at once


def read_bytes(path: str | Path | Location, *, fix: str = "check the path", most: int = FILE_BYTES) -> bytes:
    """Read a file's content.

    Args:
        path: In any store.
        fix: What to do where it is missing.
        most: Bytes that it may have.

    Raises:
        UserError: It cannot be read, or is larger.
    """
    found = find_bytes(path, most=most)
    if found is None:
        raise UserError("there is no such file", where=str(path), fix=fix)
    return found


def find_bytes(path: str | Path | Location, *, most: int = FILE_BYTES) -> bytes | None:
    """Read a file's content, or return None where there is none; as :func:`read_bytes` otherwise."""
    place = locate(path)
    with translate_errors(place):
        try:
            found = _fetch_at_most(place, most)
        except FileNotFoundError:
            place.require_store()
            return None
    if found is None:
        problem = f"this file has more than {most:,} bytes, so it is not what is wanted here"
        raise UserError(problem, where=str(place), fix="name another")
    return found


def _fetch_at_most(place: Location, most: int) -> bytes | None:
    """Read a file; None where it is larger. One of a store that is small takes a single request."""
    if place.remote:
        few = min(most, LARGE)
        found = place.fetch(0, few + 1)
        if len(found) <= few or few == most:
            return found if len(found) <= few else None
    size = 0
    with contextlib.suppress(*([UserError] if place.remote else [])):  # not every server tells it
        size = place.count_bytes()
    found = place.fetch(0, most + 1) if size <= most else b""
    return None if max(size, len(found)) > most else found


def map_file(path: Location, *, most: int = FILE_BYTES) -> mmap.mmap | None:
    """Map a large file of a disk here, so that the kernel can take its memory back.

    What is mapped is a copy without a name in the folder for temporary files: the file itself may be written anew
    meanwhile, and who reads a mapped file that was cut is killed. The copy is gone with the last who holds it.

    Returns:
        None where the file is small, larger than ``most``, or elsewhere, cannot be read, or there is little room for a
        copy: read it.
    """
    try:
        size = 0 if path.remote else path.count_bytes()
        if not LARGE <= size <= most:
            return None
        with path.open_stream() as file:
            return _map_copy(file, size)
    except OSError:
        return None


def move_aside(content: bytes) -> bytes | mmap.mmap:
    """Map large content from such a copy, too, if there is room for one, so that its bytes can go."""
    mapped = _map_copy(io.BytesIO(content), len(content)) if len(content) >= LARGE else None
    return content if mapped is None else mapped


def _map_copy(file: BinaryIO, size: int) -> mmap.mmap | None:
    try:
        if shutil.disk_usage(tempfile.gettempdir()).free < _ROOM * size:
            return None
        with tempfile.TemporaryFile() as copy:
            shutil.copyfileobj(file, copy, _BLOCK)
            copy.flush()
            return mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):  # such as a file that is empty by now
        return None


@contextlib.contextmanager
def whole_file(path: str | Path | Location) -> Iterator[BinaryIO]:
    """Open a file that appears under its name complete and on disk, or not at all.

    Args:
        path: The final name; missing folders are made.

    Raises:
        UserError: It cannot be written.
    """
    place = locate(path)
    with translate_errors(place), place.write_whole() as file:
        yield file


def write_text(path: str | Path | Location, text: str) -> None:
    """Write a text as UTF-8, as :func:`whole_file` does."""
    with whole_file(path) as file:
        file.write(text.encode())


def write_table(path: str | Path | Location, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table as CSV, as :func:`whole_file` does.

    A text that a spreadsheet would compute, such as a photo called ``=HYPERLINK(…).jpg``, gets an apostrophe before it.

    Args:
        path: The final name.
        columns: Their names.
        rows: Texts and numbers; texts may hold what a file's name can.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        table.writerow([f"'{each}" if isinstance(each, str) and FORMULA.match(each) else each for each in row])
    with whole_file(path) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


@contextlib.contextmanager
def write_unsynced(path: Location, token: str = "", *, smaller: str = "") -> Iterator[BinaryIO]:
    """Open a file that appears when it is complete; unlike :func:`whole_file` it does not wait for the disk.

    Args:
        path: The final name; its folder must be there.
        token: Part of the name until then, so that a later attempt finds and replaces what a killed one left; by
            default it is random.
        smaller: How such a file is made smaller, for the message of a limit.

    Raises:
        UserError: The disk is full, or the folder is not there.
    """
    with translate_errors(path, smaller=smaller), path.write_soon(token) as file:
        yield file


def settle(path: Path) -> None:
    """Wait until a file's content is on the disk: its new name might be there before."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_whole(staged: Path, final: Path) -> None:
    """Rename a complete file on a disk; onto another disk it is copied, whole or not at all.

    Args:
        staged: The file; it is on its disk already, see :func:`settle`.
        final: Its new name; missing folders are made, and what is called so is replaced.

    Raises:
        UserError: A disk refuses.
    """
    with translate_errors(final):
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, final)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with whole_file(final) as file, staged.open("rb") as taken:
                shutil.copyfileobj(taken, file)
            staged.unlink()


def rename_file(path: Path, name: str) -> None:
    """Give a file on a disk another name in its folder; what has that name is replaced.

    Raises:
        UserError: The folder takes no changes.
    """
    with translate_errors(path):
        path.replace(path.with_name(name))


def rewrite(path: str | Path | Location, change: Change) -> None:
    """Replace a file by a changed one in one step; of several that do so at once, none loses its change.

    On a disk they wait for one another. A bucket has no locks, but writes an object only if it is still the one that
    was read; else it is read and changed again.

    Args:
        path: The file; its folder exists.
        change: Makes the new content of the old one, or of None where there is no file; may be called again.

    Raises:
        UserError: The file cannot be read or written.
    """
    place = locate(path)
    with translate_errors(place):
        place.change(change)


def listing(folder: str | Path | Location) -> dict[str, Stat]:
    """List every file below a folder, by its name with forward slashes, in one sweep; links are followed.

    Raises:
        UserError: There is no such folder, or it cannot be read.
    """
    place = locate(folder)
    with translate_errors(place, fix="name a folder that exists"):
        return place.list_files()
