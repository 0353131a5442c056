"""Near duplicates: photos that show nearly the same, found by a hash of how brightness changes from left to right."""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from bodyposenet.common.imaging.orientation import read_orientation, turn_image
from bodyposenet.common.imaging.pixels import decode_grey

MOST_BITS = 8  # of 64 that differ; saved anew 5 do at most, of 1,830 pairs of other photos of COCO 15 at least
LEAST_CONTRAST = 6.0  # standard deviation of the small picture, in grey levels; plainer ones look all the same
_LARGE = 256  # pixels of the shorter side: every second row and column tells as much
_CELLS = (9, 8)  # of the small picture, across and down

Hashes = npt.NDArray[np.uint64]


class NearPair(NamedTuple):
    """Two photos that look alike, as places in two lists, and how many of 64 bits differ."""

    one: int
    other: int
    bits: int


def hash_picture(data: bytes, seen: npt.NDArray[np.uint8] | None = None) -> int | None:
    """Hash a photo to 64 bits; None where it cannot be read or is too plain to tell from others.

    Each bit says whether a cell of an 8 x 9 picture is darker than the one to its right.

    Args:
        data: Its file.
        seen: ``(H, W)`` grey or ``(H, W, 3)`` BGR, its pixels as stored, if somebody has decoded them.
    """
    seen = decode_grey(data) if seen is None else seen
    if seen is None:
        return None
    shown = turn_image(_make_grey(seen), read_orientation(data))
    small = np.asarray(cv2.resize(shown.astype(np.float32), _CELLS, interpolation=cv2.INTER_AREA))
    if small.std() < LEAST_CONTRAST:
        return None
    return int.from_bytes(np.packbits(small[:, 1:] > small[:, :-1]).tobytes())


def _make_grey(seen: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Make a picture grey and no larger than a hash needs it."""
    if seen.ndim == 2:
        return seen
    step = 2 if min(seen.shape[:2]) >= _LARGE else 1
    return np.asarray(cv2.cvtColor(np.ascontiguousarray(seen[::step, ::step]), cv2.COLOR_BGR2GRAY), np.uint8)


def find_pairs(ones: Sequence[int], others: Sequence[int], most: int = MOST_BITS) -> list[NearPair]:
    """Find for each hash of ``ones`` the nearest of ``others``, where at most so many bits differ.

    Args:
        ones: Hashes of N photos.
        others: Hashes of M photos.
        most: Bits.

    Returns:
        A pair for each of ``ones`` that has a near one, in their order.
    """
    if not len(ones) or not len(others):
        return []
    rest, pairs = np.array(others, np.uint64), []
    for place, own in enumerate(ones):
        nearest, bits = _find_nearest(np.uint64(own), rest)
        if bits <= most:
            pairs.append(NearPair(place, nearest, bits))
    return pairs


def _find_nearest(own: np.uint64, rest: Hashes) -> tuple[int, int]:
    differ = np.bitwise_count(rest ^ own)
    nearest = int(differ.argmin())
    return nearest, int(differ[nearest])
