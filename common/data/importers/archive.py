"""Archive: the annotation file in a zip or gzip file, unpacked in memory within bounds."""

import gzip
import io
import lzma
import posixpath
import struct
import zipfile
import zlib
from collections.abc import Sequence
from typing import Protocol

from bodyposenet.common.data.importers import foreign
from bodyposenet.common.errors import UserError

ZIP, GZIP = (b"PK\x03\x04", b"PK\x05\x06"), b"\x1f\x8b"
MOST_BYTES = 2 << 30  # of an annotation file, unpacked
MOST_RATIO = 200  # COCO's annotations shrink to a fifth; only what is all alike shrinks to less than a hundredth
FREE_BYTES = 64 << 20  # below this, no ratio is too high

_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)
_KEYPOINTS = "person_keypoints_"


def gunzip(data: bytes, where: str) -> bytes:
    """Unpack gzip data.

    Raises:
        UserError: It is damaged, cut short, or unpacks to an absurd size.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return _read_bounded(file, len(data), where)


def annotation_file(data: bytes, choice: str, where: str) -> tuple[str, bytes]:
    """Find the annotation file in a zip archive.

    Args:
        data: The archive.
        choice: Which one, if there are several: the subset's name, or the file's; empty takes the only one.
        where: The archive's name.

    Returns:
        Where it is, to be told in errors, and its content.

    Raises:
        UserError: The archive is damaged, holds no annotations that can be used, or several and no choice is made.
    """
    try:
        return _member(data, choice, where)
    except UserError:
        raise
    except _DAMAGE as error:
        raise UserError(f"damaged zip file: {error}", where=where, fix="download or export it again") from None


def _member(data: bytes, choice: str, where: str) -> tuple[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = [name for name in archive.namelist() if not _is_clutter(name)]
        name = _choose(names, choice, where)
        info, place = archive.getinfo(name), f"{where}: {name}"
        if name.startswith("/") or ".." in name.split("/"):
            raise UserError("this name leaves the archive's folder", where=place, fix="pack the archive again")
        if info.flag_bits & 1:
            raise UserError("it is encrypted", where=place, fix="pack it again without a password")
        with archive.open(info) as file:
            return place, _read_bounded(file, info.compress_size, place)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def _read_bounded(file: _Readable, packed: int, where: str) -> bytes:
    """Read a compressed file, but not more than its packed size can honestly hold."""
    most = max(FREE_BYTES, min(MOST_BYTES, MOST_RATIO * packed))
    try:
        content = file.read(most + 1)
    except _DAMAGE as error:
        raise UserError(f"damaged file: {error}", where=where, fix="download or export it again") from None
    if len(content) > most:
        raise UserError(
            f"its {packed} bytes unpack to more than {most}: no annotation file does that",
            where=where,
            fix="unpack it yourself and name the JSON file, if you trust it",
        )
    return content


def _is_clutter(name: str) -> bool:
    """Folders, and what a Mac or a thumbnailer leaves in archives."""
    return name.endswith("/") or name.startswith("__MACOSX/") or posixpath.basename(name).startswith(".")


def _choose(names: Sequence[str], choice: str, where: str) -> str:
    documents = [name for name in names if name.lower().endswith((".json", ".json.gz"))]
    people = [name for name in documents if posixpath.basename(name).startswith(_KEYPOINTS)]
    results = [name for name in documents if posixpath.basename(name) == "result.json"]
    if choice:
        return _find_named(documents, choice, where)
    usable = people or results or documents
    if not usable:
        raise foreign.no_annotations(names, where)
    if len(usable) > 1:
        known = ", ".join(map(_subset, usable))
        raise UserError(
            f"it holds {len(usable)} annotation files: {known}",
            where=where,
            fix=f"name one of them after a #, as in {where}#{_subset(usable[0])}",
        )
    return usable[0]


def _find_named(documents: Sequence[str], choice: str, where: str) -> str:
    for name in documents:
        if choice in (name, posixpath.basename(name), _subset(name)):
            return name
    known = ", ".join(map(_subset, documents)) or "none"
    raise UserError(f"no annotation file {choice!r} in it", where=where, fix=f"name one of: {known}")


def _subset(name: str) -> str:
    """``Train`` of ``annotations/person_keypoints_Train.json``; the file's name without its ending, otherwise."""
    stem = posixpath.basename(name).removesuffix(".gz").removesuffix(".json")
    return stem.removeprefix(_KEYPOINTS)
