"""Batches: samples drawn in threads, in an order that (seed, epoch, index) alone decides."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from bodyposenet.common.data.targets import encode
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton import Skeleton

STRIDE = 8
AHEAD = 4  # batches being made while one is trained on


class Batch(NamedTuple):
    """What the network learns from at once; arrays are float32 but for the last.

    Attributes:
        images: ``(B, H, W, 3)``, normalised.
        heatmaps: ``(B, H/8, W/8, K + 1)``.
        pafs: ``(B, H/8, W/8, 2 L)``.
        mask: ``(B, H/8, W/8, 1)`` in [0, 1]: 0 where errors do not count.
        image_ids: ``(B,)`` int64: the photos, as their dataset numbers them.
    """

    images: np.ndarray
    heatmaps: np.ndarray
    pafs: np.ndarray
    mask: np.ndarray
    image_ids: np.ndarray


@dataclass(frozen=True)
class Sample:
    """One augmented picture at the input's size.

    Attributes:
        image: ``(H, W, 3)`` uint8 RGB.
        mask: ``(H/8, W/8)`` float32.
        joints: ``(N, K, 2)`` x, y in input pixels.
        visible: ``(N, K)`` bool: joints that are drawn as targets.
        image_id: The photo, as its dataset numbers it.
    """

    image: np.ndarray
    mask: np.ndarray
    joints: np.ndarray
    visible: np.ndarray
    image_id: int = -1


class Source(Protocol):
    """Where samples come from."""

    def __len__(self) -> int:
        """Samples in an epoch."""

    def sample(self, index: int, epoch: int) -> Sample:
        """Sample ``index`` as epoch ``epoch`` sees it; the same arguments give the same sample."""


@dataclass(frozen=True)
class Drawing:
    """How samples become batches.

    Attributes:
        skeleton: Names the channels.
        size: ``(height, width)`` of the input.
        sigma: Spread of a heatmap peak, in input pixels.
        paf_width: Half the width of a limb's band, in cells.
        scale: Per channel: input = RGB / scale - offset.
        offset: Per channel, see ``scale``.
    """

    skeleton: Skeleton
    size: tuple[int, int]
    sigma: float
    paf_width: float
    scale: tuple[float, ...]
    offset: tuple[float, ...]


def order_of(epoch: int, *, samples: int, seed: int) -> np.ndarray:
    """``(samples,)`` int64: the order in which an epoch visits the samples."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def epoch_batches(
    source: Source, drawing: Drawing, *, batch_size: int, seed: int, epoch: int, first: int = 0, threads: int = 2
) -> Iterator[Batch]:
    """The batches of one epoch, made ahead of use.

    Args:
        source: Where samples come from.
        drawing: How they become batches.
        batch_size: Samples a batch; what is left over at the end of an epoch is not used.
        seed: Decides the order.
        epoch: Number of the epoch, from 0.
        first: Batches to leave out at the start: those that a resumed training has seen.
        threads: That make batches.

    Raises:
        UserError: There are fewer samples than a batch has.
    """
    if len(source) < batch_size:
        raise UserError(
            f"{len(source)} samples do not fill a batch of {batch_size}",
            where="dataloader.batch_size",
            fix="give more data or a smaller batch",
        )
    order = order_of(epoch, samples=len(source), seed=seed)
    starts = range(first * batch_size, len(source) - batch_size + 1, batch_size)
    waiting: deque[Future[Batch]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="batches") as pool:
        try:
            for start in starts:
                indices = order[start : start + batch_size]
                waiting.append(pool.submit(make_batch, source, drawing, indices, epoch))
                if len(waiting) > AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def make_batch(source: Source, drawing: Drawing, indices: np.ndarray, epoch: int) -> Batch:
    """Draw the samples ``indices`` of an epoch into one batch."""
    height, width = drawing.size
    rows, columns = height // STRIDE, width // STRIDE
    batch = Batch(
        np.empty((len(indices), height, width, 3), np.float32),
        np.empty((len(indices), rows, columns, drawing.skeleton.num_joints + 1), np.float32),
        np.empty((len(indices), rows, columns, 2 * drawing.skeleton.num_limbs), np.float32),
        np.empty((len(indices), rows, columns, 1), np.float32),
        np.empty(len(indices), np.int64),
    )
    scale, offset = np.float32(1) / np.float32(drawing.scale), np.float32(drawing.offset)
    for place, index in enumerate(indices):
        sample = source.sample(int(index), epoch)
        np.multiply(sample.image, scale, out=batch.images[place])
        batch.images[place] -= offset
        batch.heatmaps[place], batch.pafs[place] = encode(
            sample.joints, sample.visible, drawing.skeleton,
            size=(rows, columns), stride=STRIDE, sigma=drawing.sigma, paf_width=drawing.paf_width,
        )  # fmt: skip
        batch.mask[place, ..., 0] = sample.mask
        batch.image_ids[place] = sample.image_id
    return batch
