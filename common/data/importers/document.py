"""Document: unpack a file of annotations and decode its text, or say why that cannot be."""

import contextlib
import gc
import gzip
import io
import json
import posixpath
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from bodyposenet.common.bounds import ANNOTATION_BYTES, ANNOTATION_RATIO, ANNOTATION_RATIO_FROM
from bodyposenet.common.data.importers import foreign
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.unpacking import BROKEN_ZIP, read_name

EXPORT_AGAIN = "export it again"

ZIP, GZIP = (b"PK\x03\x04", b"PK\x05\x06"), b"\x1f\x8b"
_DAMAGE = (*BROKEN_ZIP, OSError)
_KEYPOINTS = "person_keypoints_"
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_MOST_TOLD = 8  # files that a message names


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cycle collector from walking a growing document, which has no cycles, over and over."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def objects(value: object) -> list[dict[str, Any]]:
    """List the objects of a list; none of anything else."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def number_in(entry: dict[str, Any], key: str) -> int | None:
    """Read a whole number of an object; None where there is another value."""
    value = entry.get(key)
    return value if type(value) is int else None


def read_number(value: Any) -> Any:
    """Read a number that is written as a text; return anything else as it is."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        UserError: The file is empty, or no text; the message names the line.
    """
    if not data or data.isspace():
        raise UserError("the file is empty", where=where, fix=EXPORT_AGAIN)
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"byte 0x{data[error.start]:02x} is no {encoding.upper()} text",
            where=f"{where}:{line}",
            fix="save the file as UTF-8",
        ) from None


class Fault(str):
    """Why a value cannot be used, in its place, for the check of the annotations to tell; no number, so it is found.

    Attributes:
        fix: What to do about it.
    """

    fix: str

    def __new__(cls, why: str, fix: str) -> "Fault":
        """Make one of what is wrong and what to do about it."""
        fault = super().__new__(cls, why)
        fault.fix = fix
        return fault


def gunzip(data: bytes, where: str) -> bytes:
    """Unpack gzip data.

    Raises:
        UserError: It is damaged, cut short, or unpacks to an absurd size.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return _read_bounded(file, len(data), where)


def list_members(archive: Location) -> list[str]:
    """List the files of a zip archive, without those that a Mac or a thumbnailer leaves; none of a damaged one."""
    try:
        with translate_errors(archive), archive.open_stream() as file, zipfile.ZipFile(file) as packed:
            return [name for name in map(read_name, packed.infolist()) if not _is_clutter(name)]
    except _DAMAGE:
        return []


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
        entries = {name: info for info in archive.infolist() if not _is_clutter(name := read_name(info))}
        name = choose_document([*entries], choice, where)
        info, place = entries[name], f"{where}: {name}"
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
    most = max(ANNOTATION_RATIO_FROM, min(ANNOTATION_BYTES, ANNOTATION_RATIO * packed))
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
    """Tell whether a name is a folder's, or one that a Mac or a thumbnailer leaves in archives."""
    return name.endswith("/") or name.startswith("__MACOSX/") or posixpath.basename(name).startswith(".")


def _is_note(name: str) -> bool:
    """Tell what Label Studio says of its own YOLO export, whose lines have the joints in another order."""
    return posixpath.basename(name) == "notes.json"


def choose_document(names: Sequence[str], choice: str, where: str) -> str:
    """Choose the annotation file of an archive or a folder.

    Args:
        names: The files.
        choice: As for :func:`annotation_file`.
        where: Their archive or folder.

    Raises:
        UserError: There is none, or several and no choice is made.
    """
    documents = [name for name in names if name.lower().endswith((".json", ".json.gz")) and not _is_note(name)]
    people = [name for name in documents if posixpath.basename(name).startswith(_KEYPOINTS)]
    results = [name for name in documents if posixpath.basename(name) == "result.json"]
    if choice and documents:
        return _find_named(documents, choice, where)
    usable = people or results or documents
    if not usable:
        raise foreign.no_annotations(names, where)
    if len(usable) > 1:
        known = _name_subsets(usable)
        more = " …" if len(known) > _MOST_TOLD else ""
        raise UserError(
            f"it holds {len(usable)} annotation files: {', '.join([*known][:_MOST_TOLD])}{more}",
            where=where,
            fix=f"name one of them after a #, as in {where}#{next(iter(known))}",
        )
    return usable[0]


def _find_named(documents: Sequence[str], choice: str, where: str) -> str:
    known = _name_subsets(documents)
    named = [name for name in documents if posixpath.basename(name) == choice]
    found = [choice] if choice in documents else [known[choice]] if choice in known else named
    if len(found) == 1:
        return found[0]
    told = ", ".join([*known][:_MOST_TOLD])
    raise UserError(f"no annotation file {choice!r} in it", where=where, fix=f"name one of: {told}")


def _name_subsets(names: Sequence[str]) -> dict[str, str]:
    """Name each file by its subset, by its folder where several are called alike, or else by its whole path."""
    counts = Counter(map(_subset, names))
    folders = Counter(posixpath.basename(posixpath.dirname(name)) for name in names)
    told = {}
    for name in names:
        folder = posixpath.basename(posixpath.dirname(name))
        alike = counts[_subset(name)] > 1
        told[name if alike and (not folder or folders[folder] > 1) else folder if alike else _subset(name)] = name
    return told


def _subset(name: str) -> str:
    """Return ``Train`` of ``annotations/person_keypoints_Train.json``, of other files the name without its ending."""
    stem = posixpath.basename(name).removesuffix(".gz").removesuffix(".json")
    return stem.removeprefix(_KEYPOINTS)
