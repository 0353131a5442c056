"""Pixels: image files decoded, if they are of a kind that this project reads and no larger than its bounds.

OpenCV would take any kind that it knows, and up to 2**30 pixels: a PNG of 120 KB can ask for 9 GB.
"""

import zlib

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.common.bounds import PHOTO_PARTS, PHOTO_PIXELS
from bodyposenet.common.imaging.excess import has_excess
from bodyposenet.common.imaging.headers import JPEG, PNG, TIFF, Size, read_header_size
from bodyposenet.common.imaging.orientation import drop_orientation
from bodyposenet.common.storage.photo_store import PHOTOS

Pixels = npt.NDArray[np.uint8]
_SMALL_GREY = cv2.IMREAD_REDUCED_GRAYSCALE_8  # of a JPEG; nothing else is cheaper to decode small


_CONVERT = "convert it to JPEG, turned as its annotations are"
_OTHERS = (  # where in a file of another kind what mark stands, and what to do about it
    (4, b"ftyphei", "a HEIC photo", _CONVERT),
    (4, b"ftypmif1", "a HEIF photo", _CONVERT),
    (4, b"ftypmsf1", "a HEIF sequence", _CONVERT),
    (4, b"ftypavi", "an AVIF photo", _CONVERT),
    (4, b"jP  ", "a JPEG 2000 photo", _CONVERT),
    (4, b"JXL ", "a JPEG XL photo", _CONVERT),
    (0, b"\xff\x0a", "a JPEG XL photo", _CONVERT),
    (4, b"ftyp", "a video", "take photos from it, as its annotations are of"),
    (0, b"8BPS", "a Photoshop file", _CONVERT),
    (0, b"%PDF", "a PDF", _CONVERT),
    (0, b"GIF8", "a GIF", _CONVERT),
    (0, b"<", "a web page or XML", "download the photo again"),
    (0, b"{", "JSON", "download the photo again"),
    (0, b"version https://git-lfs", "a pointer of Git LFS", "fetch the photo itself with 'git lfs pull'"),
)


def average_squares(image: Pixels, factor: int) -> Pixels:
    """Average each ``factor`` x ``factor`` of an image's pixels to one; where a square reaches beyond it, of its edge.

    Args:
        image: ``(H, W, C)``.
        factor: 1 leaves the image as it is.
    """
    if factor == 1:
        return image
    height, width = image.shape[:2]
    framed = cv2.copyMakeBorder(image, 0, -height % factor, 0, -width % factor, cv2.BORDER_REPLICATE)
    size = (framed.shape[1] // factor, framed.shape[0] // factor)
    return np.asarray(cv2.resize(framed, size, interpolation=cv2.INTER_AREA), np.uint8)


def decode(data: bytes, flags: int) -> Pixels | None:
    """Decode an image as it is stored, before any rotation by EXIF.

    Args:
        data: The file's content.
        flags: OpenCV's ``IMREAD_…``.

    Returns:
        ``(H, W)`` or ``(H, W, 3)`` uint8; None if it is damaged or refused, see :func:`describe_fault`.
    """
    size = read_header_size(data)
    if size is None or size[0] * size[1] > PHOTO_PIXELS:
        return None
    if data.startswith(PNG) and not is_sound_png(data, critical=True):  # libpng would print it, after it took memory
        return None
    if has_excess(data):
        return None
    if data[:4] in TIFF:  # which OpenCV turns whatever the flags say
        data = drop_orientation(data)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if image is None else np.asarray(image, np.uint8)


def describe_fault(data: bytes) -> tuple[str, str]:
    """Say what is wrong with an image that was not decoded, and what to do about it."""
    height, width = read_header_size(data) or (0, 0)
    if height * width > PHOTO_PIXELS:
        problem = f"says that it has {width} x {height} pixels; {PHOTO_PIXELS / 1e6:.0f} million are taken at most"
        return problem, "make it smaller"
    if has_excess(data):
        return "has more in it to decode than its pixels are worth", "save it anew, or replace it"
    if not data:
        return "is empty, an image of 0 bytes", "copy or download it again"
    for start, mark, kind, fix in _OTHERS:
        if data.startswith(mark, start):
            return f"is {kind}, not a {PHOTOS} file", fix
    return "is no readable image", f"replace it with a {PHOTOS} file"


def decode_grey(data: bytes) -> Pixels | None:
    """Decode ``(H, W)`` grey as stored, a JPEG to an eighth of its size; None where it does not decode."""
    return decode(data, _SMALL_GREY if data.startswith(JPEG) else cv2.IMREAD_GRAYSCALE)


def decode_pixels(data: bytes) -> Pixels | None:
    """Decode ``(H, W, 3)`` BGR as stored; None where it does not decode."""
    return decode(data, cv2.IMREAD_COLOR)


def decode_size(data: bytes) -> Size | None:
    """``(height, width)`` of an image that decodes, a JPEG to an eighth of its size; None where it does not."""
    image = decode_grey(data) if data.startswith(JPEG) else decode_pixels(data)
    return None if image is None else read_header_size(data)


def is_sound_png(data: bytes, *, critical: bool = False) -> bool:
    """Tell whether the chunks of a PNG lie in it, up to its end, and have their checksums: all, or the critical ones.

    Without those there are no pixels; a lower-case kind is ancillary: ISO 15948, 5.4.
    """
    view, at = memoryview(data), len(PNG)
    for _ in range(PHOTO_PARTS):
        if at + 12 > len(data):  # length, kind, content, checksum: ISO 15948, 5.3
            break
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if end + 4 > len(data):
            return False
        counts = not critical or data[at + 4 : at + 5].isupper()
        if counts and int.from_bytes(data[end : end + 4]) != zlib.crc32(view[at + 4 : end]):
            return False
        if data[at + 4 : at + 8] == b"IEND":
            return True
        at = end + 4
    return False
