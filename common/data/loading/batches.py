"""Batches: samples drawn in threads, in an order that (seed, epoch, index) alone decides."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, Protocol

import cv2
import numpy as np

from bodyposenet.common.data.loading.buffer_pool import BufferPool
from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.machine.prefetch import keep_ahead
from bodyposenet.common.pose.encoder import encode_into
from bodyposenet.common.skeleton.skeleton import Skeleton

STRIDE = 8
AHEAD = 4  # batches being made while one is trained on, at least
READERS = 16  # threads, at least, where each sample is waited for: requests to a bucket at once
COUNTS = 255  # of a mask, as records hold it: here errors count


class TrainingBatch(NamedTuple):
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


_MEMORY = BufferPool(keep=2 * AHEAD)


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


class SampleSource(Protocol):
    """Where samples come from."""

    def __len__(self) -> int:
        """Samples in an epoch."""

    def sample(self, index: int, epoch: int) -> Sample:
        """Sample ``index`` as epoch ``epoch`` sees it; the same arguments give the same sample, in any thread.

        A source whose attribute ``remote`` is true waits for most of the time that this takes. The last samples of one
        whose attribute ``negatives`` is a number, that many, show nobody: every batch gets its share of them.
        """


@dataclass(frozen=True)
class TargetDrawing:
    """How samples become batches.

    Attributes:
        skeleton: Names the channels.
        size: ``(height, width)`` of the input.
        sigma: Spread of a heatmap peak, in input pixels.
        paf_width: Half the width of a limb's band, in cells.
        scale: Per channel: input = RGB / scale - offset.
        offset: Per channel, see ``scale``.
        mask_scale: Mask = 255 / scale - offset where errors count, -offset where they do not.
        mask_offset: See ``mask_scale``.
    """

    skeleton: Skeleton
    size: tuple[int, int]
    sigma: float
    paf_width: float
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    mask_scale: float = 255.0
    mask_offset: float = 0.0

    @cached_property
    def rows(self) -> tuple[np.ndarray, np.ndarray]:
        """``(3 W,)`` float32 each: what a row of a picture is multiplied with, and what is subtracted then."""
        scale, offset = np.asarray(self.scale, np.float32), np.asarray(self.offset, np.float32)
        return np.tile(1 / scale, self.size[1]), np.tile(offset, self.size[1])

    def empty(self, samples: int) -> TrainingBatch:
        """A batch to be filled."""
        height, width = self.size
        grid = (samples, height // STRIDE, width // STRIDE)
        depths = (self.skeleton.num_joints + 1, 2 * self.skeleton.num_limbs, 1)
        shapes = [(samples, height, width, 3), *((*grid, depth) for depth in depths)]
        return TrainingBatch(*_MEMORY.acquire([(shape, np.float32) for shape in shapes] + [((samples,), np.int64)]))

    def draw(self, sample: Sample, batch: TrainingBatch, place: int) -> None:
        """Put a sample in its place of a batch."""
        if sample.image.shape != batch.images.shape[1:] or sample.image.dtype != np.uint8:
            raise ValueError(f"sample of {sample.image.shape}, {sample.image.dtype} for batches of {self.size}, uint8")
        height = self.size[0]
        image = np.ascontiguousarray(sample.image).reshape(height, -1)
        _normalise(image, *self.rows, batch.images[place].reshape(height, -1))
        encode_into(
            batch.heatmaps[place], batch.pafs[place], sample.joints, sample.visible, self.skeleton,
            stride=STRIDE, sigma=self.sigma, paf_width=self.paf_width,
        )  # fmt: skip
        batch.mask[place, ..., 0] = sample.mask * np.float32(COUNTS / self.mask_scale) - np.float32(self.mask_offset)
        batch.image_ids[place] = sample.image_id


def shuffle_order(epoch: int, *, samples: int, seed: int) -> np.ndarray:
    """``(samples,)`` int64: the order in which an epoch visits the samples, any of all orders."""
    return np.random.default_rng([seed, epoch]).permutation(samples)


def order_samples(source: SampleSource, epoch: int, *, seed: int) -> np.ndarray:
    """Order the samples of an epoch: shuffled, and those that show nobody spread evenly.

    Any so many samples in a row have their share of those that show nobody, to within one.

    Args:
        source: Its last ``negatives`` samples show nobody; without such an attribute none do.
        epoch: Number of the epoch, from 0.
        seed: Decides the order.

    Returns:
        ``(S,)`` int64: numbers of samples, each once.
    """
    samples, negatives = len(source), int(getattr(source, "negatives", 0))
    people = shuffle_order(epoch, samples=samples - negatives, seed=seed)
    if not negatives:
        return people
    start = np.random.default_rng([seed, 2, epoch, 2]).integers(samples)
    steps = (np.arange(samples + 1, dtype=np.int64) * negatives + start) // samples
    is_negative = np.diff(steps) > 0  # systematic: the places where a sum of equal shares passes a whole number
    order = np.empty(samples, np.int64)
    order[is_negative] = np.arange(samples - negatives, samples)
    order[~is_negative] = people
    return order


def require_batch(samples: int, batch_size: int) -> None:
    """Refuse fewer samples than a batch has.

    Raises:
        UserError: They are fewer.
    """
    if samples < batch_size:
        raise UserError(
            f"{samples} samples do not fill a batch of {batch_size}",
            where="dataloader.batch_size",
            fix="give more data or a smaller batch",
        )


def epoch_batches(
    source: SampleSource,
    drawing: TargetDrawing,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    first: int = 0,
    threads: int = 2,
    shard: tuple[int, int] = (0, 1),
) -> Iterator[TrainingBatch]:
    """The batches of one epoch, made ahead of use.

    Args:
        source: Where samples come from.
        drawing: How they become batches.
        batch_size: Samples a batch, of all shards; what is left over at the end of an epoch is not used.
        seed: Decides the order.
        epoch: Number of the epoch, from 0.
        first: Batches to leave out at the start: those that a resumed training has seen.
        threads: That draw samples, one at a time; they stay for the next epoch. A remote source gets ``READERS``.
        shard: ``(index, of)``: which part of every batch to make, of how many that are trained on side by side. The
            parts of all shards, one after the other, are the batch.

    Raises:
        UserError: There are fewer samples than a batch has.
    """
    require_batch(len(source), batch_size)
    order = order_samples(source, epoch, seed=seed)
    begin, end = (batch_size * edge // shard[1] for edge in (shard[0], shard[0] + 1))
    threads = max(threads, READERS) if getattr(source, "remote", False) else threads
    ahead = max(AHEAD, -(-2 * threads // max(end - begin, 1)))
    begun = (
        _Unfinished(source, drawing, order[start + begin : start + end], epoch, threads=threads)
        for start in range(first * batch_size, len(source) - batch_size + 1, batch_size)
    )
    yield from keep_ahead(begun, ahead)


def make_batch(
    source: SampleSource, drawing: TargetDrawing, indices: Sequence[int] | np.ndarray, epoch: int
) -> TrainingBatch:
    """Draw the samples ``indices`` of an epoch into one batch, here and now.

    Args:
        source: Of the samples.
        drawing: Of the targets.
        indices: ``(B,)`` numbers of samples.
        epoch: By which samples are varied.
    """
    batch = drawing.empty(len(indices))
    for place, index in enumerate(indices):
        drawing.draw(source.sample(int(index), epoch), batch, place)
    return batch


class _Unfinished:
    """A batch whose samples are being drawn by threads, each into its place."""

    def __init__(
        self, source: SampleSource, drawing: TargetDrawing, indices: np.ndarray, epoch: int, *, threads: int
    ) -> None:
        self._batch = drawing.empty(len(indices))
        some = max(1, len(indices) // (2 * threads))  # to be handed over at once
        self._drawn: list[Future[None]] = [
            _pool(threads).submit(self._draw, source, drawing, indices[start : start + some], epoch, start)
            for start in range(0, len(indices), some)
        ]

    def result(self) -> TrainingBatch:
        """The batch, once it is whole; or the error of the first sample that failed."""
        try:
            for drawn in self._drawn:
                drawn.result()
        except BaseException:
            self.cancel()
            raise
        return self._batch

    def cancel(self) -> None:
        """Draw no more samples than are begun."""
        for drawn in self._drawn:
            drawn.cancel()

    def _draw(self, source: SampleSource, drawing: TargetDrawing, indices: np.ndarray, epoch: int, start: int) -> None:
        for place, index in enumerate(indices.tolist(), start):
            drawing.draw(source.sample(index, epoch), self._batch, place)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that draw samples; each runs OpenCV by itself, whose own threads would only get in their way."""
    cv2.setNumThreads(1)
    return ThreadPoolExecutor(threads, thread_name_prefix="batches")


os.register_at_fork(after_in_child=_pool.cache_clear)  # a forked process has no threads


@njit(nogil=True, cache=True)
def _normalise(image, factors, offsets, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """``out[row, place] = image[row, place] * factors[place] - offsets[place]``, many at once as rows lie in a line."""
    for row in range(image.shape[0]):
        for place in range(image.shape[1]):
            out[row, place] = np.float32(image[row, place]) * factors[place] - offsets[place]
