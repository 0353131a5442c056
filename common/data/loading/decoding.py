"""Decoding: the picture in a record, no larger than a warp needs it.

A warp that shrinks would skip pixels, so the photo is averaged over squares of pixels first. JPEGs are decoded that way
at once, which is faster and no worse: held against the exact mean over each input pixel's footprint, photos of COCO
show, in dB of PSNR (18 photos, turned by up to 40 degrees):

============  ====  ====  ====  ====  ====  ====  ====
scale          .2   .25   .3    .4    .5    .6    .8
============  ====  ====  ====  ====  ====  ====  ====
as it is      33.0  32.4  32.0  32.2  33.1  34.5  37.5
halves        38.5  39.2  39.7  37.8  34.7  32.6  30.4
quarters      41.5  37.3  34.2  29.8  27.4  26.0  24.7
============  ====  ====  ====  ====  ====  ====  ====

Decoding all and averaging with ``INTER_AREA`` gives the same figures to .3 dB.
"""

import cv2

from bodyposenet.common.data.records.record import Record
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.bitmask_png import Bitmap, read_bitmap
from bodyposenet.common.imaging.headers import JPEG
from bodyposenet.common.imaging.orientation import turn_image
from bodyposenet.common.imaging.photo import COLOUR, REDUCED
from bodyposenet.common.imaging.pixels import Pixels, average_squares, decode

FACTORS = ((8, 0.11), (4, 0.22), (2, 0.5))  # averaged so many pixels to one, at and below this scale
IMAGE, MASK = "frame/image", "frame/mask"  # keys of a record


class SpoiltRecordError(UserError):
    """A record whose photo or mask cannot be decoded."""


def factor_for(scale: float) -> int:
    """Tell by how much a photo is reduced for a warp of this scale."""
    return next((factor for factor, most in FACTORS if scale <= most), 1)


def decode_photo(record: Record, factor: int = 1, *, whole: bool = False) -> Pixels:
    """Decode the record's photo, ``(H, W, 3)`` RGB, each ``factor`` x ``factor`` of its pixels averaged to one.

    At the right and the bottom a square may reach beyond the photo.

    Args:
        record: Has the photo.
        factor: 1, 2, 4 or 8.
        whole: Decode all pixels of a JPEG before they are averaged; as of other files.

    Raises:
        UserError: It cannot be decoded.
    """
    ragged = record.orientation != 1 and (record.height % factor or record.width % factor)
    whole = whole or factor == 1 or bool(ragged)  # a turn would bring the ragged edge to the top
    if whole or not record.image.startswith(JPEG):
        return average_squares(turn_image(_decode(record, IMAGE, COLOUR), record.orientation), factor)
    return turn_image(_decode(record, IMAGE, COLOUR | REDUCED[factor]), record.orientation)


def decode_mask(record: Record) -> Pixels | None:
    """Decode the mask, ``(H, W)`` 255 where the loss counts; None where that is everywhere.

    Raises:
        UserError: It cannot be decoded.
    """
    mask = read_mask(record)
    return mask.unpack() if isinstance(mask, Bitmap) else mask


def read_mask(record: Record) -> Pixels | Bitmap | None:
    """Decode the mask as :func:`decode_mask` does, but leave a bitmap's pixels in their bits: few are looked at."""
    if record.mask is None:
        return None
    bitmap = read_bitmap(record.mask)
    return _decode(record, MASK, cv2.IMREAD_GRAYSCALE) if bitmap is None else bitmap


def _decode(record: Record, key: str, mode: int) -> Pixels:
    data = record.image if key == IMAGE else record.mask
    image = decode(data or b"", mode)
    if image is None:
        raise SpoiltRecordError(
            f"{key} of this record cannot be decoded",
            where=f"image {record.image_id}, {record.image_path}",
            fix="convert the dataset again",
        )
    return image
