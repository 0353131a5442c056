"""Photos stored turned, with the EXIF orientation that shows them upright, as cameras write them: by Pillow."""

import numpy as np
from PIL import Image

ORIENTATIONS = range(1, 9)
TURN_BACK = {  # what stores a picture so that each orientation shows it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
LOSSLESS = {".png": {}, ".webp": {"lossless": True}, ".jpg": {"quality": 97, "subsampling": 0}, ".tif": {}}


def draw_photo(seed, size):
    """``(H, W, 3)`` RGB: smooth noise, no two parts alike, so that JPEG keeps it."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 7, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize(size[::-1], Image.Resampling.BICUBIC))


def store_turned(path, shown, orientation, *, big=False):
    """Write a picture so that EXIF data turn it upright; returns the pixels as they are stored."""
    picture = Image.fromarray(shown)
    exif = Image.Exif()
    exif.endian = ">" if big else "<"
    exif[0x010F] = "camera"
    exif[0x0112] = orientation
    stored = picture.transpose(TURN_BACK[orientation]) if orientation in TURN_BACK else picture
    path.parent.mkdir(parents=True, exist_ok=True)
    stored.save(path, exif=exif, **LOSSLESS[path.suffix])
    return np.asarray(stored)
