"""Histograms: which values a tensor takes, counted image by image, and where best to clip them.

A histogram's range is a power of two and doubles when a larger value comes, which merges bins two by two and loses
nothing. So one pass over the images is enough, memory does not grow with their number, and histograms of two halves
merge into exactly the histogram of the whole, in any order.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.words import CalibrationMethod

BINS = 4096  # at least half of them lie below the largest value: never fewer than 2048 in use
PERCENTILE = 99.99  # of the magnitudes that the percentile method keeps
LEVELS = 128  # magnitudes of a signed 8-bit number
TIE = 1e-9  # nats: divergences that are nearer differ by rounding only
SMALLEST_EXPONENT = -60  # of a histogram's range: that of a tensor of zeros
LARGEST_EXPONENT = 128  # of a float


@dataclass(frozen=True)
class Histogram:
    """How often a tensor's magnitudes fall in each of ``BINS`` equal bins of ``[0, 2 ** exponent)``.

    Attributes:
        counts: ``(BINS,)`` int64.
        exponent: Binary logarithm of the range.
        low: Smallest value seen.
        high: Largest value seen.
    """

    counts: np.ndarray
    exponent: int
    low: float
    high: float

    @classmethod
    def count(cls, values: np.ndarray) -> "Histogram":
        """Count an array of any shape.

        Raises:
            UserError: A value is not finite.
        """
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise UserError("a value is not a finite number", fix="look for NaN in the model's weights and the images")
        exponent = max(int(np.frexp(max(-low, high))[1]), SMALLEST_EXPONENT)
        bins = np.abs(values).ravel() * np.float32(2.0**-exponent * BINS)  # exact: a power of two
        return cls(np.bincount(bins.astype(np.int32), minlength=BINS), exponent, low, high)

    @classmethod
    def take(cls, counts: np.ndarray, exponent: int, low: float, high: float) -> "Histogram":
        """Make one of what was kept of it.

        Raises:
            ValueError: It is none: other bins, no counts, or ends that are no numbers.
        """
        counts = np.asarray(counts)
        whole = counts.dtype.kind in "iu" and counts.shape == (BINS,) and counts.min() >= 0
        if not whole or not np.isfinite([low, high]).all() or not SMALLEST_EXPONENT <= exponent <= LARGEST_EXPONENT:
            raise ValueError("this is no histogram")
        return cls(counts.astype(np.int64), exponent, low, high)

    def merge(self, other: "Histogram") -> "Histogram":
        """The histogram of both tensors' values."""
        exponent = max(self.exponent, other.exponent)
        counts = self.widen(exponent) + other.widen(exponent)
        return Histogram(counts, exponent, min(self.low, other.low), max(self.high, other.high))

    def widen(self, exponent: int) -> np.ndarray:
        """The counts over a range that is ``2 ** (exponent - self.exponent)`` times as wide."""
        factor = min(2 ** (exponent - self.exponent), BINS)
        counts = np.zeros_like(self.counts)
        counts[: BINS // factor] = self.counts.reshape(-1, factor).sum(axis=1)
        return counts

    @property
    def amax(self) -> float:
        """The largest magnitude seen."""
        return max(-self.low, self.high)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return float(2.0**self.exponent / BINS)


def threshold(histogram: Histogram, method: CalibrationMethod, *, levels: int) -> float:
    """The magnitude at which to clip a tensor before quantizing it.

    Args:
        histogram: The tensor's magnitudes.
        method: ``entropy`` loses the least information (Migacz, "8-bit inference with TensorRT", GTC 2017),
            ``percentile`` keeps 99.99 % of the values, ``minmax`` keeps all.
        levels: Quantized magnitudes: 128 for signed 8-bit numbers, 256 for unsigned ones.
    """
    return min(SEARCHES[method](histogram, levels), histogram.amax)


def percentile_threshold(histogram: Histogram, levels: int) -> float:
    """Upper edge of the first bin with at least 99.99 % of the values at or below it."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    return float((np.searchsorted(share, PERCENTILE / 100) + 1) * histogram.width)


def entropy_threshold(histogram: Histogram, levels: int) -> float:
    """The threshold whose quantized distribution diverges least (Kullback-Leibler) from the clipped one."""
    counts = histogram.counts.astype(np.float64)
    counts[0] = counts[1]  # zeros are exact at every scale, and after a ReLU they would outvote the rest
    return least_divergent(counts, levels) * histogram.width


def least_divergent(counts: np.ndarray, levels: int = LEVELS) -> int:
    """How many bins to keep: those whose quantized distribution diverges least; of equals the fewest.

    Every number of bins from ``levels`` to the last filled one is tried.

    Args:
        counts: ``(B,)``, not negative.
        levels: Quantized magnitudes.

    Returns:
        From ``levels`` on; the number of the last filled bin, from 1, where that is less.
    """
    counts = counts.astype(np.float64)
    used = int(np.flatnonzero(counts).max(initial=-1)) + 1
    if used <= levels:
        return used
    sizes = np.arange(levels, used + 1)
    found = divergences(counts[:used], sizes, levels)
    return int(sizes[np.flatnonzero(found <= found.min() + TIE)[0]])


def divergences(counts: np.ndarray, sizes: np.ndarray, levels: int) -> np.ndarray:
    """Kullback-Leibler divergence of quantizing, for many thresholds at once.

    For a threshold of ``n`` bins the reference ``P`` is the first ``n`` counts, the rest added to the last of them;
    the candidate ``Q`` spreads each level's count evenly over the level's bins that are filled. As ``Q`` is constant
    within a level, sums over bins become differences of running sums: ``O(levels)`` a threshold.

    Args:
        counts: ``(B,)`` float64.
        sizes: ``(C,)`` thresholds, in bins, from ``levels`` to B.
        levels: Quantized magnitudes.

    Returns:
        ``(C,)`` divergences in nats.
    """
    total, filled, plogp = (_running(values) for values in (counts, counts > 0, _xlogx(counts)))
    edges = np.arange(levels + 1) * sizes[:, None] // levels  # (C, levels + 1)
    mass, bins = np.diff(total[edges]), np.diff(filled[edges])  # (C, levels)
    last, tail = counts[sizes - 1], total[-1] - total[sizes]
    bins[:, -1] += (last == 0) & (tail > 0)
    log_q = np.log(np.maximum(mass, np.finfo(float).tiny) / np.maximum(bins, 1))
    mass[:, -1] += tail  # from Q's levels to P's
    p_log_p = plogp[sizes] - _xlogx(last) + _xlogx(last + tail)
    kept = total[sizes]
    divergence = (p_log_p - (mass * log_q).sum(axis=1)) / total[-1] - np.log(total[-1])
    return np.where(kept > 0, divergence + np.log(np.where(kept > 0, kept, 1)), np.inf)  # all clipped: as bad as can be


def _running(values: np.ndarray) -> np.ndarray:
    """``(B + 1,)`` sums of the first 0, 1, … B values."""
    return np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])


def _xlogx(values: np.ndarray) -> np.ndarray:
    return values * np.log(np.where(values > 0, values, 1))


SEARCHES: dict[CalibrationMethod, Callable[[Histogram, int], float]] = {
    "entropy": entropy_threshold,
    "percentile": percentile_threshold,
    "minmax": lambda histogram, levels: histogram.amax,
}
