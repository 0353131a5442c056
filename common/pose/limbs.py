"""Limbs: which peaks the part affinity fields join.

The score of a pair is the line integral of the field along it: Cao et al., "Realtime Multi-Person 2D Pose Estimation
using Part Affinity Fields" (CVPR 2017, equation 10), sampled at ten points.
"""

import math

import numpy as np
from numba import njit

SAMPLES = 10
NEEDED = 9  # samples that must point along the pair (reference 9.6)
ORDER = (0, 9, 4, 7, 2, 5, 8, 1, 6, 3)  # far apart first, since most pairs fail


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
    return _match(pafs, points, bounds, limbs, threshold)


@njit(nogil=True, cache=True)
def _match(pafs, points, bounds, limbs, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    most = 0
    for limb in range(len(limbs)):
        start, end = limbs[limb]
        most += min(bounds[start + 1] - bounds[start], bounds[end + 1] - bounds[end])
    pairs, scores = np.empty((most, 3), np.int64), np.empty(most, np.float32)
    count = 0
    for limb in range(len(limbs)):
        start, end = limbs[limb]
        table = _agreement(pafs, points, bounds, start, end, limb, threshold)
        count = _pick(table, limb, bounds[start], bounds[end], pairs, scores, count)
    return pairs[:count], scores[:count]


@njit(nogil=True, cache=True)
def _agreement(pafs, points, bounds, start, end, limb, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """``(S, E)`` how well the field agrees with each start joined to each end, 0 where it does not."""
    starts, ends = points[bounds[start] : bounds[start + 1]], points[bounds[end] : bounds[end + 1]]
    table = np.zeros((len(starts), len(ends)), np.float32)
    for i in range(len(starts)):
        for j in range(len(ends)):
            table[i, j] = agreement(pafs, starts[i, 0], starts[i, 1], ends[j, 0], ends[j, 1], limb, threshold)
    return table


@njit(nogil=True, cache=True)
def _pick(table, limb, start, end, pairs, scores, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Append the table's pairs, best first, each row and column once; of equals the first."""
    rows, columns = table.shape
    best = np.empty(rows, np.int64)  # column of each row's greatest value
    for row in range(rows):
        best[row] = np.argmax(table[row]) if columns else 0
    for _ in range(min(rows, columns)):
        top = 0
        for row in range(1, rows):
            if table[row, best[row]] > table[top, best[top]]:
                top = row
        column = best[top]
        if table[top, column] <= 0:
            break
        pairs[count, 0], pairs[count, 1], pairs[count, 2] = limb, start + top, end + column
        scores[count] = table[top, column]
        count += 1
        table[top, :] = 0
        table[:, column] = 0
        for row in range(rows):
            if best[row] == column:
                best[row] = np.argmax(table[row])
    return count


@njit(nogil=True, cache=True)
def agreement(pafs, x0, y0, x1, y1, limb, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Mean of the samples from x0, y0 to x1, y1 that are above the threshold, or 0 if too few are."""
    dx, dy = float(x1) - float(x0), float(y1) - float(y0)
    length = math.sqrt(dx * dx + dy * dy)
    if length < 1e-3:
        return np.float32(0)
    ux, uy = dx / length, dy / length
    total, missed = 0.0, 0
    for sample in ORDER:
        share = sample / (SAMPLES - 1)
        value = _along(pafs, x0 + share * dx, y0 + share * dy, ux, uy, limb)
        if value > threshold and math.isfinite(value):
            total += value
        else:
            missed += 1
            if missed > SAMPLES - NEEDED:
                return np.float32(0)
    return np.float32(total / (SAMPLES - missed))


@njit(nogil=True, cache=True)
def _along(pafs, x, y, ux, uy, limb):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The field's component along (ux, uy), bilinear between cell centres, constant beyond the border."""
    rows, columns = pafs.shape[:2]
    x, y = min(max(x, 0.0), columns - 1.0), min(max(y, 0.0), rows - 1.0)
    column, row = min(int(x), max(columns - 2, 0)), min(int(y), max(rows - 2, 0))
    right, below = min(column + 1, columns - 1), min(row + 1, rows - 1)
    fx, fy = x - column, y - row
    c = 2 * limb
    top_left = ux * pafs[row, column, c] + uy * pafs[row, column, c + 1]
    top_right = ux * pafs[row, right, c] + uy * pafs[row, right, c + 1]
    low_left = ux * pafs[below, column, c] + uy * pafs[below, column, c + 1]
    low_right = ux * pafs[below, right, c] + uy * pafs[below, right, c + 1]
    return (1 - fy) * ((1 - fx) * top_left + fx * top_right) + fy * ((1 - fx) * low_left + fx * low_right)
