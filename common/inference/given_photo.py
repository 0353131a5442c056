"""Given photo: one as a caller has it at hand, a file, an address, an array or a PIL image, as RGB pixels."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np

from bodyposenet.common.bounds import PHOTO_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.photo import decode_image, make_room
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.storage.location import Location

Order = Literal["rgb", "bgr"]

FILES = (str, Path, bytes)
EIGHT_BITS = ("1", "L", "P", "LA", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr", "HSV")  # PIL's
KINDS = "a path, an address, a file's bytes, an array or a PIL image"


def is_one_photo(given: Any) -> bool:
    """Tell whether something given is one photo rather than several: a file, an array or a PIL image."""
    return isinstance(given, (*FILES, np.ndarray)) or _is_location(given) or _is_pil(given)


def name_photo(given: Any, otherwise: str) -> str:
    """Say what messages call a photo: its path, or else some words."""
    return str(given) if isinstance(given, str | Path) or _is_location(given) else otherwise


def check_order(order: str) -> None:
    """Refuse a word that is no order of colours.

    Raises:
        UserError: It is none.
    """
    if order not in get_args(Order):
        raise UserError(f"{order!r} is no order of colours", where="order", fix="give 'rgb' or 'bgr'")


def read_pixels(photo: Any, *, where: str, order: Order = "rgb") -> np.ndarray:
    """Read a photo as :func:`open_pixels` does, for good."""
    with open_pixels(photo, where=where, order=order) as pixels:
        return pixels


@contextmanager
def open_pixels(photo: Any, *, where: str, order: Order = "rgb") -> Iterator[np.ndarray]:
    """Read a photo; within the context a large one that is decoded here is the only one, whatever other threads do.

    Args:
        photo: A path or address, the bytes of a file, an array, or a PIL image. Files and PIL images are turned as
            their EXIF data say.
        where: What messages call it.
        order: Of an array's colours.

    Yields:
        ``(H, W, 3)`` uint8, RGB.

    Raises:
        UserError: It is no photo, or cannot be read.
    """
    if isinstance(photo, np.ndarray):
        yield _take_array(photo, where, order)
    elif _is_pil(photo):
        yield _take_array(_read_pil(photo, where), where, "rgb")
    elif isinstance(photo, FILES) or _is_location(photo):
        data = photo if isinstance(photo, bytes) else read_bytes(cast("str | Path | Location", photo), most=PHOTO_BYTES)
        with make_room(data):
            yield decode_image(data, where=where)
    else:
        raise UserError(f"{type(photo).__name__} is no photo", where=where, fix=f"give {KINDS}")


def _is_location(given: Any) -> bool:
    return hasattr(given, "fetch") and hasattr(given, "open_stream")


def _is_pil(given: Any) -> bool:
    """Whether it is a PIL image; who has one has imported PIL."""
    library = sys.modules.get("PIL.Image")
    return library is not None and isinstance(given, library.Image)


def _read_pil(photo: Any, where: str) -> np.ndarray:
    """Upright RGB pixels; transparency is left out, as it is of files."""
    from PIL import ImageOps

    if photo.mode not in EIGHT_BITS:
        raise UserError(f"a PIL image of mode {photo.mode} is no photo", where=where, fix="convert it to RGB")
    try:
        upright = ImageOps.exif_transpose(photo)
        alpha = photo.mode in ("LA", "PA", "RGBa")
        return np.asarray((upright.convert("RGBA") if alpha else upright).convert("RGB"))
    except OSError as error:  # PIL reads a file when its pixels are asked for
        raise UserError(f"cannot be read: {error}", where=where, fix="give a photo that is whole") from None


def _take_array(photo: np.ndarray, where: str, order: Order) -> np.ndarray:
    channels = photo.shape[2] if photo.ndim == 3 else 1
    if photo.dtype != np.uint8 or photo.ndim not in (2, 3) or channels not in (1, 3, 4) or not photo.size:
        fix = "give uint8 (H, W, 3), or (H, W) of greys; several photos as a list"
        raise UserError(f"{photo.dtype} of shape {photo.shape} is no photo", where=where, fix=fix)
    if channels == 1:
        return np.repeat(photo.reshape(*photo.shape[:2], 1), 3, axis=2)
    colours = photo[..., :3] if order == "rgb" else photo[..., 2::-1]
    return np.ascontiguousarray(colours)
