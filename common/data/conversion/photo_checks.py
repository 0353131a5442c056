"""Photos: image files as they are, held to what the annotations say of them."""

import cv2
import numpy as np

from bodyposenet.common.data.annotations.coco import Photo
from bodyposenet.common.data.annotations.problems import Problem

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers: ITU-T T.81, table B.1
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


def photo_problem(data: bytes, photo: Photo, file: str, *, thorough: bool = False) -> Problem | None:
    """Hold an image file to what the annotations say of it.

    Args:
        data: The file's bytes.
        photo: What the annotations say.
        file: The file's name, for the problem.
        thorough: Decode it, so that a damaged file is found too; else its header is read.

    Returns:
        What is wrong: it is no image, damaged, or of another size; None if it is sound.
    """
    size = header_size(data)
    if size is None or (thorough and size == (photo.height, photo.width)):
        size = decoded_size(data)
    if size is None:
        return Problem(file, "unreadable image", "this is no readable image", "replace it", photo.image_id)
    if size != (photo.height, photo.width):
        text = f"the image has {size[1]} x {size[0]} pixels, the annotations say {photo.width} x {photo.height}"
        return Problem(file, "size of the image", text, "annotate the image as it is", photo.image_id)
    return None


def header_size(data: bytes) -> tuple[int, int] | None:
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


def decoded_size(data: bytes) -> tuple[int, int] | None:
    """``(height, width)`` of the decoded image, or None where it does not decode."""
    if not data:
        return None
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:  # it says that it has more pixels than OpenCV takes
        return None
    return None if image is None else image.shape[:2]
