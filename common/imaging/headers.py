"""Headers: the size of an image, from its first bytes or by decoding it."""

import zlib

import cv2
import numpy as np
import numpy.typing as npt

JPEG = b"\xff\xd8"
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers: ITU-T T.81, table B.1
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


def read_header_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` that the header of a JPEG or PNG file states, as stored: before any rotation by EXIF."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR":
        return int.from_bytes(data[20:24]), int.from_bytes(data[16:20])
    return _jpeg_size(data) if data.startswith(JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _JPEG_SIZES:
            return int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
        if marker == 0xFF:  # a fill byte
            at += 1
        else:
            at += 2 if marker in _JPEG_BARE else 2 + int.from_bytes(data[at + 2 : at + 4])
    return None


def is_whole(data: bytes) -> bool:
    """Tell whether a JPEG or PNG file decodes to its end, at less cost than its pixels; True of other kinds.

    A JPEG is decoded to an eighth of its size; the checksums of a PNG's chunks are compared.
    """
    if data.startswith(_PNG):
        return _is_whole_png(data)
    return not data.startswith(JPEG) or decode_grey(data) is not None


def decode_grey(data: bytes) -> npt.NDArray[np.uint8] | None:
    """Decode ``(H, W)`` grey as stored, a JPEG to an eighth of its size; None where it does not decode."""
    return _decode(data, cv2.IMREAD_REDUCED_GRAYSCALE_8 if data.startswith(JPEG) else cv2.IMREAD_GRAYSCALE)


def _decode(data: bytes, flags: int) -> npt.NDArray[np.uint8] | None:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION) if data else None
    except cv2.error:  # it says that it has more pixels than OpenCV takes
        return None
    return None if image is None else np.asarray(image, np.uint8)


def _is_whole_png(data: bytes) -> bool:
    at = len(_PNG)
    while at + 12 <= len(data):  # length, kind, content, checksum: ISO 15948, 5.3
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if int.from_bytes(data[end : end + 4]) != zlib.crc32(data[at + 4 : end]):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False


def decode_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` of the decoded image, or None where it does not decode."""
    image = decode_pixels(data)
    return None if image is None else image.shape[:2]


def decode_pixels(data: bytes) -> npt.NDArray[np.uint8] | None:
    """Decode ``(H, W, 3)`` BGR as stored; None where it does not decode."""
    return _decode(data, cv2.IMREAD_COLOR)
