"""Photos: image files as they are, held to what the annotations say of them."""

from pathlib import Path

import cv2
import numpy as np

from bodyposenet.common.data.coco import Photo
from bodyposenet.common.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # start-of-frame markers: ITU-T T.81, table B.1
_JPEG_BARE = {0x01, *range(0xD0, 0xD9)}  # markers without a segment


def read_photo(path: Path, photo: Photo, *, thorough: bool = False) -> bytes:
    """Read a photo's file.

    Args:
        path: The file.
        photo: What the annotations say of it.
        thorough: Decode it, so that a damaged file is found too; else its header is read.

    Raises:
        UserError: The file is missing, no image, damaged, or of another size than the annotations say.
    """
    where = f"image {photo.image_id}: {path}"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the image: {error.strerror}",
            where=where,
            fix="check images_root_dir_path, or leave out such images with --check_files",
        ) from None
    size = decoded_size(data) if thorough else header_size(data) or decoded_size(data)
    if size is None:
        raise UserError("this is no readable image", where=where, fix="replace it, or leave it out with --check_files")
    if size != (photo.height, photo.width):
        raise UserError(
            f"the image has {size[1]} x {size[0]} pixels, the annotations say {photo.width} x {photo.height}",
            where=where,
            fix="annotate the image as it is, or leave it out with --check_files",
        )
    return data


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
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    return None if image is None else image.shape[:2]
