"""Photo: an image file as pixels, no more of them than are looked at."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from bodyposenet.common.bounds import PHOTO_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.headers import JPEG, Size, read_header_size
from bodyposenet.common.imaging.orientation import (
    STORED,
    Frame,
    Turn,
    choose_turn,
    read_orientation,
    turn_image,
    turn_size,
)
from bodyposenet.common.imaging.pixels import decode, describe_fault
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.storage.location import Location

COLOUR = cv2.IMREAD_COLOR_RGB
REDUCTIONS = (8, 4, 2)  # that a JPEG decoder has: each way so many pixels to one
REDUCED = {  # greyscale's flags, as colour's contain BGR
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
}
LARGE = 2**25  # pixels: 100 MB as they are decoded, and as much again as they are fitted
Reduce = Callable[[Size], int]  # given (height, width) of a photo as it is looked at: by how much to reduce it


@dataclass(frozen=True, eq=False)
class DecodedPhoto:
    """A photo as it was decoded.

    Attributes:
        pixels: ``(h, w, 3)`` RGB uint8, turned as asked.
        size: ``(height, width)`` of the whole photo, turned so, too.
        reduced: How many of its pixels, each way, were averaged to one; at the right and the bottom a square of them
            may reach beyond the photo.
    """

    pixels: np.ndarray
    size: Size
    reduced: int = 1

    @classmethod
    def whole(cls, pixels: np.ndarray) -> "DecodedPhoto":
        """Take all of a photo's pixels."""
        return cls(pixels, (pixels.shape[0], pixels.shape[1]))


def reduce_size(size: Size, reduced: int) -> Size:
    """Return ``(height, width)`` of what a photo of a size is decoded to."""
    return -(-size[0] // reduced), -(-size[1] // reduced)


def keep_whole(size: Size) -> int:
    """Reduce no photo."""
    return 1


@contextmanager
def make_room(data: bytes) -> Iterator[None]:
    """Within it a large photo's pixels are the only ones of that kind, whatever other threads look at.

    Args:
        data: The photo's file.
    """
    height, width = read_header_size(data) or (0, 0)
    with _room if height * width > LARGE else nullcontext():
        yield


_room = threading.Lock()


def decode_photo(
    data: bytes, *, where: str, orientation: int | None = None, reduce: Reduce = keep_whole
) -> DecodedPhoto:
    """Decode a photo, a JPEG no larger than asked.

    Args:
        data: The file's content.
        where: What messages call it.
        orientation: EXIF's number of how to turn it; 1 leaves it as it is stored, None takes that of the file.
        reduce: Says by how much to reduce a photo of some size.

    Raises:
        UserError: It is no image.
    """
    turn, stored = read_orientation(data) if orientation is None else orientation, read_header_size(data)
    if stored is not None and (reduced := _choose(stored, turn, reduce) if data.startswith(JPEG) else 1) > 1:
        pixels = decode(data, COLOUR | REDUCED[reduced])
        if pixels is not None and pixels.shape[:2] == reduce_size(stored, reduced):
            return DecodedPhoto(turn_image(pixels, turn), turn_size(stored, turn), reduced)
    pixels = decode(data, COLOUR)
    if pixels is None:
        problem, fix = describe_fault(data)
        raise UserError(problem, where=where, fix=fix)
    return DecodedPhoto.whole(turn_image(pixels, turn))


def _choose(stored: Size, turn: int, reduce: Reduce) -> int:
    """Reduce as asked, or less where a turn would bring squares that reach beyond the photo to its top or left."""
    asked = reduce(turn_size(stored, turn))
    fitting = (each for each in REDUCTIONS if each <= asked and not (stored[0] % each or stored[1] % each))
    return asked if turn == STORED else next(fitting, 1)


def read_image(path: Path | Location, *, upright: bool = True) -> np.ndarray:
    """Read a photo.

    Args:
        path: The file.
        upright: Turn it as its EXIF data say; otherwise leave it as it is stored.

    Returns:
        ``(H, W, 3)`` RGB uint8.

    Raises:
        UserError: The file is missing or is no image.
    """
    data = read_bytes(path, fix="check the path", most=PHOTO_BYTES)
    return decode_image(data, where=str(path), orientation=None if upright else STORED)


def decode_image(data: bytes, *, where: str, orientation: int | None = None) -> np.ndarray:
    """Decode a photo; as for :func:`read_image`.

    Args:
        data: The file's content.
        where: What messages call it.
        orientation: EXIF's number of how to turn it; 1 leaves it as it is stored, None takes that of the file.
    """
    return decode_photo(data, where=where, orientation=orientation).pixels


def decode_annotated(
    data: bytes, told: Size, *, unclear: Frame, where: str, reduce: Reduce = keep_whole
) -> tuple[DecodedPhoto, Turn]:
    """Decode a photo as it was annotated: as shown, or as stored.

    Args:
        data: The file's content.
        told: ``(height, width)`` that the annotations say.
        unclear: See :func:`~bodyposenet.common.imaging.orientation.choose_turn`.
        where: What messages call it.
        reduce: See :func:`decode_photo`.

    Returns:
        The photo, and how the stored pixels were turned.

    Raises:
        UserError: It is no image, or of another size.
    """
    stored = read_header_size(data)
    turn = Turn(STORED, "") if stored is None else choose_turn(data, stored, told, unclear)
    photo = decode_photo(data, where=where, orientation=turn.orientation, reduce=reduce)
    if photo.size != told:
        height, width = turn_size(photo.size, turn.orientation)
        raise UserError(
            f"has {width} x {height} pixels, the annotations say {told[1]} x {told[0]}",
            where=where,
            fix="annotate the photo as it is",
        )
    return photo, turn
