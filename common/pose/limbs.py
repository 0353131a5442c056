"""Limbs: which peaks the part affinity fields join.

The score of a pair is the line integral of the field along it: Cao et al., "Realtime Multi-Person 2D Pose Estimation
using Part Affinity Fields" (CVPR 2017, equation 10), sampled at ten points.
"""

import math

import numpy as np
from numba import njit

SAMPLES = 10
NEEDED = 9  # samples that must point along the pair (reference 9.6)


def find_limbs(
    pafs: np.ndarray, points: np.ndarray, bounds: np.ndarray, limbs: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Match the peaks at the two ends of every limb, best pair first, each peak once a limb.

    Args:
        pafs: ``(H, W, 2 L)`` float32.
        points: ``(P, 2)`` peaks, x, y in cells.
        bounds: ``(K + 1,)`` where each joint's peaks begin and end.
        limbs: ``(L, 2)`` joints at the ends.
        threshold: Least component of the field along the pair for a sample to count.

    Returns:
        ``(M, 3)`` int64: limb, peak at its start, peak at its end; and ``(M,)`` float32, the mean of the samples that
        count.
    """
    return _match(pafs, points, bounds, limbs, np.float32(threshold))


@njit(nogil=True, cache=True)
def _match(pafs, points, bounds, limbs, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    most = 0
    for limb in range(len(limbs)):
        start, end = limbs[limb]
        most += min(bounds[start + 1] - bounds[start], bounds[end + 1] - bounds[end])
    pairs, scores = np.empty((most, 3), np.int64), np.empty(most, np.float32)
    taken = np.zeros(len(points), np.bool_)
    count = 0
    for limb in range(len(limbs)):
        start, end = limbs[limb]
        first, second, score = _candidates(pafs, points, bounds, start, end, limb, threshold)
        taken[:] = False
        for place in np.argsort(-score, kind="mergesort"):
            if not (taken[first[place]] or taken[second[place]]):
                taken[first[place]] = taken[second[place]] = True
                pairs[count, 0], pairs[count, 1], pairs[count, 2] = limb, first[place], second[place]
                scores[count] = score[place]
                count += 1
    return pairs[:count], scores[:count]


@njit(nogil=True, cache=True)
def _candidates(pafs, points, bounds, start, end, limb, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """All pairs of one limb that the field supports."""
    room = (bounds[start + 1] - bounds[start]) * (bounds[end + 1] - bounds[end])
    first, second = np.empty(room, np.int64), np.empty(room, np.int64)
    score = np.empty(room, np.float32)
    count = 0
    for i in range(bounds[start], bounds[start + 1]):
        for j in range(bounds[end], bounds[end + 1]):
            mean = _integral(pafs, points[i, 0], points[i, 1], points[j, 0], points[j, 1], limb, threshold)
            if mean > 0:
                first[count], second[count], score[count] = i, j, mean
                count += 1
    return first[:count], second[:count], score[:count]


@njit(nogil=True, cache=True)
def _integral(pafs, x0, y0, x1, y1, limb, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Mean of the samples along the pair that are above the threshold, or 0 if too few are."""
    dx, dy = x1 - x0, y1 - y0
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-3:
        return np.float32(0)
    ux, uy = dx / length, dy / length
    total, missed = np.float32(0), 0
    for sample in range(SAMPLES):
        share = sample / (SAMPLES - 1)
        value = _along(pafs, x0 + share * dx, y0 + share * dy, ux, uy, limb)
        if value > threshold and math.isfinite(value):
            total += value
        else:
            missed += 1
            if missed > SAMPLES - NEEDED:
                return np.float32(0)
    return total / np.float32(SAMPLES - missed)


@njit(nogil=True, cache=True)
def _along(pafs, x, y, ux, uy, limb):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The field's component along (ux, uy), bilinear between cell centres, constant beyond the border."""
    rows, columns = pafs.shape[:2]
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    column, row = min(int(x), max(columns - 2, 0)), min(int(y), max(rows - 2, 0))
    right, below = min(column + 1, columns - 1), min(row + 1, rows - 1)
    fx, fy = x - column, y - row
    value = 0.0
    for axis in range(2):
        channel = 2 * limb + axis
        top = (1 - fx) * pafs[row, column, channel] + fx * pafs[row, right, channel]
        bottom = (1 - fx) * pafs[below, column, channel] + fx * pafs[below, right, channel]
        value += (ux if axis == 0 else uy) * ((1 - fy) * top + fy * bottom)
    return value
