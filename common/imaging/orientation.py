"""Orientation: how a photo's EXIF data turn it, and whether its annotations are of the picture that this gives."""

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from bodyposenet.common.bounds import EXIF_ENTRIES, PHOTO_PARTS
from bodyposenet.common.imaging.headers import TIFF, Size
from bodyposenet.common.pages.numbers import pluralize

Frame = Literal["shown", "stored"]
Reason = Literal["", "shown", "stored", "unclear"]

STORED = 1  # the orientation that turns nothing
_TRANSPOSING = (5, 6, 7, 8)  # those that swap height and width
_TAG, _SHORT, _HEADER = 0x0112, 3, b"Exif\0\0"
_PNG = b"\x89PNG\r\n\x1a\n"


class Turn(NamedTuple):
    """How a photo's pixels become the picture that its annotations are of.

    Attributes:
        orientation: EXIF's number, 1 to 8, by which they are turned; 1 leaves them as they are stored.
        reason: What the annotations are of: ``shown`` or ``stored``; ``unclear`` if the sizes do not tell; empty if
            the file says nothing of a turn.
    """

    orientation: int
    reason: Reason


def choose_turn(data: bytes, stored: Size, told: Size, unclear: Frame) -> Turn:
    """Decide whether annotations are of the picture as shown or of the pixels as stored.

    Args:
        data: The photo's file.
        stored: ``(height, width)`` of its pixels.
        told: ``(height, width)`` that the annotations say.
        unclear: What they are of where both have the same size: half turns, mirrors and square photos.
    """
    orientation = read_orientation(data)
    if orientation == STORED:
        return Turn(STORED, "")
    shown = turn_size(stored, orientation)
    if shown == stored:
        return Turn(orientation if unclear == "shown" else STORED, "unclear")
    return Turn(orientation, "shown") if told == shown else Turn(STORED, "stored")


def describe_turns(counts: Mapping[str, int], unclear: Frame) -> str:
    """Tell in a line what annotations are of in the photos that EXIF data turn; empty if there are none.

    Args:
        counts: Photos by the reason of their :class:`Turn`.
        unclear: What those of no clear reason were taken for.
    """
    words = {
        "shown": "annotated as shown",
        "stored": "annotated as stored",
        "unclear": f"of which the size does not tell, taken as {unclear} (unclear_orientation)",
    }
    told = [f"{counts[reason]:,} {text}" for reason, text in words.items() if counts.get(reason)]
    photos = pluralize(sum(counts.get(reason, 0) for reason in words), "photo")
    return f"EXIF data turn {photos}: {', '.join(told)}" if told else ""


def turn_size(size: Size, orientation: int) -> Size:
    """Return ``(height, width)`` after a turn."""
    return (size[1], size[0]) if orientation in _TRANSPOSING else size


def turn_image(image: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Turn ``(H, W, ...)`` pixels as an EXIF orientation, 1 to 8, says."""
    if orientation in _TRANSPOSING:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):  # top to bottom
        image = image[::-1]
    if orientation in (2, 3, 6, 7):  # left to right
        image = image[:, ::-1]
    return np.ascontiguousarray(image)


def read_orientation(data: bytes) -> int:
    """Read the orientation, 1 to 8, of a JPEG, PNG, WebP or TIFF file; 1 where none is told."""
    return next((found.value for found in _find_turns(data)), STORED)


def drop_orientation(data: bytes) -> bytes:
    """Return the file with orientation 1; its pixels stay as they are."""
    changed = bytearray(data)
    for found in _find_turns(data):
        struct.pack_into(f"{found.order}H", changed, found.place, STORED)
    if data.startswith(_PNG):
        for start, end in _png_chunks(data):
            if data[start - 4 : start] == b"eXIf":
                changed[end : end + 4] = zlib.crc32(changed[start - 4 : end]).to_bytes(4, "big")
    return bytes(changed)


class _Tag(NamedTuple):
    """Where an orientation stands, which, and the order of its bytes as :mod:`struct` calls it."""

    place: int
    value: int
    order: str


def _find_turns(data: bytes) -> Iterator[_Tag]:
    """Find each orientation that turns something."""
    for start, end in _exif_blocks(data):
        found = _find_tag(data, start, end)
        if found is not None and STORED < found.value <= 8:
            yield found


def _exif_blocks(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where the EXIF data of a file begin and end, their header left out."""
    if data.startswith(b"\xff\xd8"):
        blocks = _jpeg_segments(data)
    elif data.startswith(_PNG):
        blocks = ((start, end) for start, end in _png_chunks(data) if data[start - 4 : start] == b"eXIf")
    elif data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        blocks = _webp_chunks(data)
    elif data[:4] in TIFF:  # EXIF data are such a file within others: its own tags stand in it as they do there
        blocks = iter([(0, len(data))])
    else:
        return
    for start, end in blocks:
        headed = data[start : start + len(_HEADER)] == _HEADER
        yield start + len(_HEADER) * headed, end


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield the content of the APP1 segments of EXIF before the picture: ITU-T T.81, B.1.1."""
    at = 2
    for _ in range(PHOTO_PARTS):
        if at + 4 > len(data) or data[at] != 0xFF:
            return
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no segment
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker == 0xE1 and data[at + 4 : at + 4 + len(_HEADER)] == _HEADER:
            yield at + 4, min(end, len(data))
        at = end


def _png_chunks(data: bytes) -> Iterator[tuple[int, int]]:
    at = len(_PNG)
    for _ in range(PHOTO_PARTS):
        end = at + 8 + int.from_bytes(data[at : at + 4])  # length, kind, content, checksum: ISO 15948, 5.3
        if end + 4 > len(data):
            return
        yield at + 8, end
        at = end + 4


def _webp_chunks(data: bytes) -> Iterator[tuple[int, int]]:
    at = 12
    for _ in range(PHOTO_PARTS):
        if at + 8 > len(data):
            return
        # kind, length, content, padded to an even length: RFC 9649, 2.3
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            yield at + 8, min(at + 8 + length, len(data))
        at += 8 + length + length % 2


def _find_tag(data: bytes, start: int, end: int) -> _Tag | None:
    """Find the orientation in the first directory of TIFF data."""
    order = TIFF.get(data[start : start + 4])
    if order is None or end - start < 10:
        return None
    (offset,) = struct.unpack_from(f"{order}I", data, start + 4)
    at = start + offset
    if at + 2 > end:
        return None
    (count,) = struct.unpack_from(f"{order}H", data, at)
    for entry in range(at + 2, at + 2 + 12 * min(count, EXIF_ENTRIES), 12):
        if entry + 12 > end:
            return None
        tag, kind, number, value = struct.unpack_from(f"{order}HHIH", data, entry)
        if (tag, kind, number) == (_TAG, _SHORT, 1):
            return _Tag(entry + 8, value, order)
    return None
