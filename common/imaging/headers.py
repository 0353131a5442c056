"""Headers: the size of an image from its first bytes, for the kinds of files that this project reads."""

import struct

from bodyposenet.common.bounds import PHOTO_PARTS

JPEG, PNG, BMP, WEBP = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"BM", b"RIFF"
TIFF = {b"II*\0": "<", b"MM\0*": ">"}
Size = tuple[int, int]

_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers: ITU-T T.81, table B.1
_JPEG_BARE = {0x00, 0x01, *range(0xD0, 0xD9)}  # markers without a segment, and what is none
_JPEG_SCAN = 0xDA  # pixels begin: no size comes after it
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_NUMBERS = 256, 257, {3: "H", 4: "I"}  # tags and types: TIFF 6.0, section 8
_BMP_CORE = 12  # bytes of the oldest header, whose numbers are short


def read_header_size(data: bytes) -> Size | None:
    """Read ``(height, width)`` as stored, before any rotation by EXIF.

    Args:
        data: A JPEG, PNG, BMP, WebP or TIFF file.

    Returns:
        What its header states; None if it states nothing, or the file is of another kind.
    """
    try:
        size = _find_size(data)
    except struct.error:  # it ends within its header
        return None
    return size if size and min(size) > 0 else None


def _find_size(data: bytes) -> Size | None:
    if data.startswith(JPEG):
        return _jpeg_size(data)
    if data.startswith(PNG):
        width, height = struct.unpack_from(">2I", data, 16)
        return (height, width) if data[12:16] == b"IHDR" else None
    if data.startswith(BMP):
        return _bmp_size(data)
    if data.startswith(WEBP) and data[8:12] == b"WEBP":
        return _webp_size(data)
    return _tiff_size(data, TIFF[data[:4]]) if data[:4] in TIFF else None


def _jpeg_size(data: bytes) -> Size | None:
    """Look for the frame as libjpeg does, which passes over bytes between segments."""
    at = data.find(b"\xff", 2)
    for _ in range(PHOTO_PARTS):
        if not 0 <= at <= len(data) - 9 or (marker := data[at + 1]) == _JPEG_SCAN:
            break
        if marker in _JPEG_SIZES:
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        if marker == 0xFF:  # a fill byte
            at += 1
        else:
            at += 2 if marker in _JPEG_BARE else 2 + int.from_bytes(data[at + 2 : at + 4])
        at = data.find(b"\xff", at)
    return None


def _bmp_size(data: bytes) -> Size:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<2H" if header == _BMP_CORE else "<2i", data, 18)
    return abs(height), width  # below zero where the rows run from the top


def _webp_size(data: bytes) -> Size | None:
    """Read the first chunk: RFC 9649, sections 2.5 to 2.7; a lossy one's frame header: RFC 6386, section 9.1."""
    kind = data[12:16]
    if kind == b"VP8X":
        return _read_24(data, 27) + 1, _read_24(data, 24) + 1
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<2H", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if kind == b"VP8L" and data[20:21] == b"\x2f":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    return None


def _read_24(data: bytes, at: int) -> int:
    low, high = struct.unpack_from("<HB", data, at)
    return int(low | high << 16)


def _tiff_size(data: bytes, order: str) -> Size | None:
    """Read the first directory's width and height."""
    (at,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}2H", data, entry)
        if tag in (_TIFF_WIDTH, _TIFF_HEIGHT) and kind in _TIFF_NUMBERS:
            (found[tag],) = struct.unpack_from(order + _TIFF_NUMBERS[kind], data, entry + 8)
    return (found[_TIFF_HEIGHT], found[_TIFF_WIDTH]) if len(found) == 2 else None
