"""Runner: what every network is to its callers, whatever runs it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.card import Card

Maps = tuple[np.ndarray, np.ndarray]

EXPORT_AGAIN = "export it again with `bpnet export`"


class Runner(Protocol):
    """A network, whatever runs it.

    One that has a true ``takes_pixels`` normalises pictures itself, and is given them as they are.
    """

    card: Card

    def __call__(self, images: np.ndarray) -> Maps:
        """Compute the last stage's maps.

        Args:
            images: ``(B, H, W, 3)`` float32, normalised as the card says, or RGB uint8 where ``takes_pixels``;
                the stride divides H and W.

        Returns:
            Heatmaps ``(B, H / stride, W / stride, K + 1)`` and PAFs ``(B, H / stride, W / stride, 2L)``, float32.
        """
        ...


def as_pixels(images: np.ndarray, card: Card) -> np.ndarray:
    """Normalised pictures as the RGB uint8 pixels that they were made of, for a network that normalises itself.

    Args:
        images: ``(..., 3)`` float32.
        card: How they were normalised.

    Returns:
        ``(..., 3)`` uint8 RGB.
    """
    pixels = (images + np.array(card.image_offset, np.float32)) * np.array(card.image_scale, np.float32)
    rounded: np.ndarray = np.rint(pixels).clip(0, 255).astype(np.uint8)
    return rounded


@contextmanager
def running(where: str) -> Iterator[None]:
    """Tell what a library raises while it runs a network that is not what it seems.

    Raises:
        UserError: In place of it; what a disk says, and a lack of memory, pass.
    """
    try:
        yield
    except (UserError, OSError, MemoryError):
        raise
    except Exception as error:  # the libraries have a class for each reason, and no common one
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
        raise UserError(f"the network does not run: {reason}", where=where, fix=EXPORT_AGAIN) from error


def require_maps(maps: Maps, count: int, where: str) -> Maps:
    """Return what a network has computed, if that can be maps of so many pictures.

    Raises:
        UserError: It cannot.
    """
    shapes: list[tuple[int, ...]] = [np.shape(each) for each in maps]
    if not all(len(shape) == 4 and shape[0] == count for shape in shapes):
        told = " and ".join("x".join(map(str, shape)) or "a number" for shape in shapes)
        raise UserError(f"the network computes {told}, no maps of {count} pictures", where=where, fix=EXPORT_AGAIN)
    return maps


def require_images(images: np.ndarray, stride: int, *, where: str = "pictures") -> None:
    """Refuse a batch that the network's grid does not fit.

    Raises:
        UserError: The shape is not ``(B, H, W, 3)`` or the stride does not divide H and W.
    """
    fits = images.ndim == 4 and images.shape[3] == 3
    if not fits or not all(size and size % stride == 0 for size in images.shape[1:3]):
        shape = "x".join(map(str, images.shape))
        fix = f"give (batch, height, width, 3), height and width multiples of {stride}"
        raise UserError(f"shape {shape} does not fit the network", where=where, fix=fix)
