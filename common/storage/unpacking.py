"""Unpacking: archives that runs keep for others, into a folder and nowhere else, if they are no larger than told."""

import errno
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from bodyposenet.common.bounds import ARCHIVE_MEMBERS
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.inside import join_inside, stays_inside

# What Python's reader raises on an archive that is damaged, encrypted, or packed in a way that it does not know
BROKEN_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    TypeError,
    OverflowError,
)
BEGINS = b"PK\3\4"  # an archive with anything in it
BLOCK = 1 << 20  # bytes that are copied at once
_UTF_8 = 0x800  # flag of a packed file whose name is UTF-8


def extract_all(archive: Path, folder: Path, *, most_bytes: int, fix: str) -> list[str]:
    """Unpack all files of a zip archive.

    Args:
        archive: A file on a disk.
        folder: Is made; what is there under the files' names is replaced.
        most_bytes: That they may come to.
        fix: What to do about an archive that cannot be used.

    Returns:
        The names of the files.

    Raises:
        UserError: The archive is damaged, names a file elsewhere or twice, or holds more.
    """
    where = str(archive)

    def report(error: Exception) -> UserError:
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        return UserError(f"is a damaged archive: {reason}", where=where, fix=fix)

    with translate_errors(archive), zip_errors(report), zipfile.ZipFile(archive) as packed:
        names = [member.filename for member in packed.infolist() if not member.is_dir()]
        _refuse_names(names, where, fix)
        left = most_bytes
        for name in names:
            left -= _extract(packed, name, join_inside(folder, name, where=where, fix=fix), left, where, fix)
        return names


def open_zip(file: IO[bytes]) -> zipfile.ZipFile:
    """Open an archive that begins where its file does; one that lost its end is told to have lost it.

    Python's reader takes the last table of contents that it finds, and in what is cut that may be the table of an
    archive inside: a checkpoint, cut within its own, would be taken for the arrays of its optimizer.

    Args:
        file: To read and seek in.

    Raises:
        BadZipFile: It is cut, or no archive. Other damage is told as Python's reader tells it, see :data:`BROKEN_ZIP`.
    """
    begins = begins_zip(file)
    if begins and not zipfile.is_zipfile(file):
        raise _report_cut(file)
    archive = zipfile.ZipFile(file)
    if begins and min((member.header_offset for member in archive.infolist()), default=1):
        raise _report_cut(file)
    return archive


def read_name(info: zipfile.ZipInfo) -> str:
    """Read a packed file's name as it was meant: with ``/`` between folders, and as UTF-8 where it can be that.

    Some programs of Windows write backslashes. A Mac's write UTF-8 without the flag that says so, which Python reads as
    code page 437, as the format has it (APPNOTE 6.3.10, appendix D); other texts of that page are hardly ever UTF-8.
    """
    name = info.filename.replace("\\", "/")
    if info.flag_bits & _UTF_8 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:  # it is of that page, or from the field for names in Unicode
        return name


def begins_zip(file: IO[bytes]) -> bool:
    """Tell whether a file begins as an archive does, whole or not."""
    file.seek(0)
    return file.read(len(BEGINS)) == BEGINS


def _report_cut(file: IO[bytes]) -> zipfile.BadZipFile:
    size = file.seek(0, io.SEEK_END)
    return zipfile.BadZipFile(f"it is cut: its end, with its table of contents, is missing after {size:,} bytes")


@contextmanager
def zip_errors(report: Callable[[Exception], UserError]) -> Iterator[None]:
    """Tell what Python's reader of archives raises where one is damaged; what a disk says passes.

    Args:
        report: Makes the error.

    Raises:
        UserError: The archive is damaged.
    """
    try:
        yield
    except UserError:
        raise
    except (OSError, *BROKEN_ZIP) as error:
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):  # a place before the file's begin
            raise
        raise report(error) from error


def _refuse_names(names: list[str], where: str, fix: str) -> None:
    if len(names) > ARCHIVE_MEMBERS:
        raise UserError(f"has {len(names):,} files; {ARCHIVE_MEMBERS:,} are taken at most", where=where, fix=fix)
    outside = next((name for name in names if not stays_inside(name)), None)
    if outside is not None:
        raise UserError(f"names a file outside of it: {outside!r}", where=where, fix=fix)
    if len({*names}) < len(names):
        raise UserError("has two files of one name", where=where, fix=fix)


def _extract(packed: zipfile.ZipFile, name: str, path: Path, left: int, where: str, fix: str) -> int:
    """Unpack a file; returns its bytes."""
    with translate_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with packed.open(name) as file, path.open("wb") as copy:
            size = 0
            for block in _read_blocks(file):
                size += len(block)
                if size > left:
                    raise UserError("unpacks to more than it may", where=where, fix=fix)
                copy.write(block)
    return size


def _read_blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(BLOCK):
        yield block
