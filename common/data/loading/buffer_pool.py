"""Buffer pool: memory for batches that is used again once nobody holds the batch.

Fresh memory costs a page fault for every page that is first written to, which is a tenth of what a batch costs to make.
"""

from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT = 64  # bytes; TensorFlow takes such arrays without a copy


class BufferPool:
    """Lends blocks of one size.

    Args:
        keep: Blocks that are kept for use again, at most.
    """

    def __init__(self, keep: int) -> None:
        self._free: deque[npt.NDArray[np.uint8]] = deque(maxlen=keep)

    def acquire(self, shapes: list[tuple[tuple[int, ...], Any]]) -> list[npt.NDArray[Any]]:
        """Return arrays of these shapes and types, side by side in one block; what they hold is not known.

        The block is lent again once the last of them, and of all views of them, is gone.
        """
        sizes = [int(np.prod(shape)) * np.dtype(kind).itemsize for shape, kind in shapes]
        starts = np.cumsum([0] + [-(-size // ALIGNMENT) * ALIGNMENT for size in sizes]).tolist()
        whole = np.asarray(_Lease(self._free, self._block(starts[-1])))
        return [
            whole[start : start + size].view(kind).reshape(shape)
            for (shape, kind), start, size in zip(shapes, starts, sizes, strict=False)
        ]

    def _block(self, size: int) -> npt.NDArray[np.uint8]:
        try:
            block = self._free.popleft()
        except IndexError:
            block = np.empty(0, np.uint8)
        if len(block) == size:
            return block
        room = np.empty(size + ALIGNMENT, np.uint8)
        begin = -room.ctypes.data % ALIGNMENT
        return room[begin : begin + size]


class _Lease:
    """A block while arrays look into it: they hold this, and its end gives the block back."""

    def __init__(self, free: deque[npt.NDArray[np.uint8]], block: npt.NDArray[np.uint8]) -> None:
        self._free, self._block = free, block
        self.__array_interface__ = block.__array_interface__

    def __del__(self) -> None:
        self._free.append(self._block)
