"""Photo store: the files of a dataset, in a folder or a zip archive, on a disk or in a bucket."""

import functools
import logging
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from bodyposenet.common.bounds import PHOTO_BYTES, PHOTO_RATIO, PHOTO_RATIO_FROM
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import listing
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.location import Location, Stat, locate
from bodyposenet.common.storage.unpacking import BROKEN_ZIP, read_name

# Of photos, wherever a folder is looked through for them; and the same in words
SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".webp", ".tif", ".tiff")
PHOTOS = "JPEG, PNG, BMP, WebP or TIFF"
MOST_TOLD = 20  # files that a message names
STORED, DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
HEAD = struct.Struct("<4s22xHH")  # of a packed file: signature, lengths of its name and of its extra field
SLACK = 1024  # bytes that a packed file's own head may be longer than the archive's directory tells
LEAVE_OUT = "replace it, or leave the image out of the annotations"
log = logging.getLogger(__name__)
REPACK = "pack the photos again, with 'zip -r photos.zip photos'"


class PhotoStore(Protocol):
    """Files by name; may be pickled, and read from several threads and processes at once."""

    def listing(self) -> dict[str, Stat]:
        """Every file's size and version, by name."""
        ...

    def read(self, name: str) -> bytes:
        """A file's content.

        Raises:
            UserError: The name leaves the store, or the file is missing, damaged or no photo by its size.
            AwayError: Nothing can be read, whatever the file.
        """
        ...


def is_photo(name: str) -> bool:
    """Tell a photo by the end of its name, in capitals or not."""
    return name.lower().endswith(SUFFIXES)


def choose_photos(names: Iterable[str], where: str, *, below: bool = False) -> list[str]:
    """Choose the photos of a folder by their names, and log each file that is passed over.

    Args:
        names: Files, with ``/`` between folders; hidden ones and what a Mac adds to archives are nobody's photos.
        where: The folder, for the log.
        below: Take those of folders in it, too.

    Returns:
        The photos, in order.
    """
    seen = [name for name in sorted(names) if not is_hidden(name)]
    chosen = [name for name in seen if is_photo(name) and (below or "/" not in name)]
    passed = sorted({*seen} - {*chosen})
    for name in passed[:MOST_TOLD]:
        why = "it is in a folder below" if is_photo(name) else f"no photo by its name ({PHOTOS})"
        log.warning("%s/%s is passed over: %s", where, name, why)
    if len(passed) > MOST_TOLD:
        log.warning("%s: %d more files are passed over", where, len(passed) - MOST_TOLD)
    return chosen


def is_hidden(name: str) -> bool:
    """Tell whether a file is hidden, or one that a Mac leaves in archives."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def open_photos(where: str | Path | Location) -> PhotoStore:
    """Open the photos of a folder or a zip archive.

    Args:
        where: Either, on a disk or in a bucket; below an archive, a folder in it: ``export.zip/images``.

    Raises:
        UserError: There is no such folder or archive, or it is damaged.
    """
    place = locate(where)
    inside = ""
    for archive in (place, *place.parents):
        if archive.suffix.lower() == ".zip" and _is_file(archive):
            store = ZipPhotos(archive, inside)
            store.check()
            return store
        inside = f"{archive.name}/{inside}"
    if not place.remote and not place.is_dir():
        raise UserError("there is no such folder", where=str(place), fix="name a folder or a zip archive of photos")
    return FolderPhotos(place)


def _is_file(path: Location) -> bool:
    with translate_errors(path):
        return path.is_file()


def _check(name: str, where: str) -> str:
    if not stays_inside(name):
        fix = "name files by their path below the folder of images, without '..'"
        raise UserError(f"{name!r} is no name of a file in here", where=where, fix=fix)
    return name


def _photo_sized(size: int, where: str) -> None:
    if size > PHOTO_BYTES:
        raise UserError(f"has {size >> 20} MiB; a photo has at most {PHOTO_BYTES >> 20}", where=where, fix=LEAVE_OUT)


class FolderPhotos:
    """The files below a folder.

    Args:
        folder: On a disk or in a bucket.
    """

    def __init__(self, folder: Location) -> None:
        self.folder = folder

    def listing(self) -> dict[str, Stat]:
        """Every file's size and version, by name; links are followed."""
        return listing(self.folder)

    def read(self, name: str) -> bytes:
        """A file's content."""
        path = self.folder / _check(name, str(self.folder))
        with translate_errors(path, fix=LEAVE_OUT):
            data = path.fetch(0, PHOTO_BYTES + 1)
        _photo_sized(len(data), str(path))
        return data


class ZipEntry(NamedTuple):
    """A packed file: where it begins in the archive, its packed and unpacked bytes, and its checksum."""

    offset: int
    packed: int
    size: int
    crc: int
    method: int
    locked: bool
    name_bytes: int


class ZipPhotos:
    """The files of a zip archive, as it was when this was made.

    Each is read with one request, and nothing is unpacked to the disk.

    Args:
        archive: On a disk or in a bucket.
        inside: The folder in it, with a slash at its end; nothing is all of it.
    """

    def __init__(self, archive: Location, inside: str = "") -> None:
        self.archive, self.inside = archive, inside
        with translate_errors(archive):
            self._version = archive.find_version()

    def check(self) -> None:
        """Read the archive's directory; files whose names lead out of it are passed over, which is told.

        Raises:
            UserError: It cannot be read, or has nothing in the folder.
        """
        with translate_errors(self.archive):
            odd = _directory(self.archive, self._version).odd
        if odd:
            told = f"{odd[0]!r} and {len(odd) - 1} more are" if odd[1:] else f"{odd[0]!r} is"
            log.warning("%s: %s passed over: such a name leads out of the archive", self.archive, told)
        if not any(name.startswith(self.inside) for name in self._entries()):
            where = f"{self.archive}/{self.inside}"
            if any(self.inside.startswith(f"{name}/") for name in self._entries()):
                raise UserError("an archive within an archive is not looked into", where=where, fix="unpack it")
            raise UserError("nothing is packed in here", where=where, fix="name another folder of the archive")

    def listing(self) -> dict[str, Stat]:
        """Every packed file's size and checksum, by name."""
        return {
            name[len(self.inside) :]: Stat(entry.size, f"{entry.crc:08x}")
            for name, entry in self._entries().items()
            if name.startswith(self.inside)
        }

    def read(self, name: str) -> bytes:
        """A packed file's content, held to its checksum.

        Raises:
            UserError: It is not there, packed in a way that is not read, or damaged.
        """
        where = f"{self.archive}/{self.inside}{name}"
        entry = self._entries().get(self.inside + _check(name, str(self.archive)))
        if entry is None:
            raise UserError("there is no such file in the archive", where=where, fix=LEAVE_OUT)
        _readable(entry, where)
        with translate_errors(self.archive):
            data = _unpack(self.archive, entry)
        if data is None or len(data) != entry.size or zlib.crc32(data) != entry.crc:
            raise UserError("is packed wrongly, or damaged", where=where, fix=REPACK)
        return data

    def _entries(self) -> dict[str, ZipEntry]:
        with translate_errors(self.archive):
            return _directory(self.archive, self._version).entries


class Directory(NamedTuple):
    """What an archive says is in it: entries by name, and names that lead out of it."""

    entries: dict[str, ZipEntry]
    odd: list[str]


@functools.lru_cache(maxsize=4)
def _directory(archive: Location, _version: str) -> Directory:
    """Read what is in an archive; once in a process."""
    try:
        with archive.open_stream() as file, zipfile.ZipFile(file) as packed:
            members = [info for info in packed.infolist() if not info.is_dir()]
            inside = [info for info in members if stays_inside(info.filename)]
            odd = [info.filename for info in members if not stays_inside(info.filename)]
            return Directory({read_name(info): _entry(info) for info in inside}, odd)
    except BROKEN_ZIP as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"this is no whole zip archive ({error})", where=str(archive), fix=REPACK) from error


def _entry(info: zipfile.ZipInfo) -> ZipEntry:
    locked = bool(info.flag_bits & 0x41)  # encrypted, or strongly encrypted
    name_bytes = len(info.orig_filename.encode("utf-8", "surrogateescape"))
    sizes = info.compress_size, info.file_size, info.CRC
    return ZipEntry(info.header_offset, *sizes, info.compress_type, locked, name_bytes)


def _readable(entry: ZipEntry, where: str) -> None:
    """Refuse what cannot or must not be unpacked."""
    if entry.locked:
        raise UserError("is encrypted", where=where, fix="pack the photos without a password")
    if entry.method not in (STORED, DEFLATED):
        raise UserError(f"is packed by a method that is not read here ({entry.method})", where=where, fix=REPACK)
    _photo_sized(entry.size, where)
    if entry.size > PHOTO_RATIO_FROM and entry.size > PHOTO_RATIO * entry.packed:
        ratio = entry.size // max(entry.packed, 1)
        raise UserError(f"would unpack to {ratio} times its size: no photo does", where=where, fix=LEAVE_OUT)


def _unpack(archive: Location, entry: ZipEntry) -> bytes | None:
    """The content of a packed file, at most one byte more than its size; None where there is none."""
    if entry.offset < 0 or entry.packed > entry.size + entry.size // 64 + SLACK:  # packing adds less
        return None
    raw = archive.fetch(entry.offset, entry.offset + HEAD.size + entry.name_bytes + SLACK + entry.packed)
    if len(raw) < HEAD.size:
        return None
    signature, name, extra = HEAD.unpack_from(raw)
    start = HEAD.size + name + extra
    if signature != b"PK\3\4":
        return None
    if start + entry.packed > len(raw):  # an uncommonly long head
        raw, start = archive.fetch(entry.offset + start, entry.offset + start + entry.packed), 0
    packed = raw[start : start + entry.packed]
    if entry.method == STORED:
        return packed
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, entry.size + 1)
    except zlib.error:
        return None
