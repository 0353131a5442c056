"""Headers: the size of an image, from its first bytes or by decoding it."""

import cv2
import numpy as np

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers: ITU-T T.81, table B.1
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


def read_header_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` that the header of a JPEG or PNG file states, as stored: before any rotation by EXIF."""
    if data.startswith(_PNG) and data[12:16] == b"IHDR":
        return int.from_bytes(data[20:24]), int.from_bytes(data[16:20])
    return _jpeg_size(data) if data.startswith(b"\xff\xd8") else None


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


def decode_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` of the decoded image, or None where it does not decode."""
    if not data:
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # it says that it has more pixels than OpenCV takes
        return None
    return None if image is None else image.shape[:2]
