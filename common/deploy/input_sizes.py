"""Input sizes: those that a compiled network takes, where it does not take all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError

Size = tuple[int, int]


@dataclass(frozen=True)
class InputSizes:
    """The inputs that a network takes.

    Attributes:
        smallest: ``(height, width)`` in pixels.
        largest: ``(height, width)`` in pixels.
        least: Fewest pictures at once.
        most: Most pictures at once; None is any number.
    """

    smallest: Size
    largest: Size
    least: int = 1
    most: int | None = None

    @property
    def fixed(self) -> bool:
        """Whether there is but one height and width."""
        return self.smallest == self.largest

    def hold(self, size: Size) -> bool:
        """Whether a height and width are among them."""
        return all(low <= side <= high for low, side, high in zip(self.smallest, size, self.largest, strict=True))

    def __str__(self) -> str:
        smallest, largest = ("x".join(map(str, size)) for size in (self.smallest, self.largest))
        return smallest if self.fixed else f"{smallest} to {largest}"

    def require(self, size: Size, *, where: str) -> None:
        """Refuse another size.

        Raises:
            UserError: It is not among them.
        """
        if not self.hold(size):
            fix = f"give pictures of {self}, or build for more sizes"
            raise UserError(f"takes inputs of {self}, not {size[0]}x{size[1]}", where=where, fix=fix)


def read_sizes(runner: Any) -> InputSizes | None:
    """What a runner takes; None where it takes any size that the stride divides."""
    found: InputSizes | None = getattr(runner, "sizes", None)
    return found


def in_batches(
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]], images: np.ndarray, sizes: InputSizes
) -> tuple[np.ndarray, np.ndarray]:
    """Run pictures through a network that takes only so many at once.

    Args:
        run: Takes ``(B, H, W, 3)``, B being between the least and the most; returns two maps of as many.
        images: ``(N, H, W, 3)``.
        sizes: How many at once. Too few are filled up with zeros, whose maps are left out.
    """
    found = []
    step = sizes.most or len(images)
    for start in range(0, len(images), step):
        batch = images[start : start + step]
        lacking = max(0, sizes.least - len(batch))
        filled = np.concatenate([batch, np.zeros((lacking, *batch.shape[1:]), batch.dtype)]) if lacking else batch
        found.append([maps[: len(batch)] for maps in run(filled)])
    heatmaps, pafs = (np.concatenate(maps) if len(maps) > 1 else maps[0] for maps in zip(*found, strict=True))
    return heatmaps, pafs
