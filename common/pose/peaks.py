"""Peaks: where each joint may be, to a fraction of a cell."""

import functools
import logging
import math

import numpy as np
from numba import njit

logger = logging.getLogger(__name__)

FLOOR = 1e-4  # heatmap values are raised to it before their logarithm is taken
NARROW, WIDE = 0.7, 1.5  # how far a peak's measured variance may be from the one it was drawn with
CELLS_A_PEAK = 24  # a joint's strongest peaks are kept, one in so many cells of the grid; more are noise
LEAST_CAP = 64  # peaks of a joint that are kept on any grid


def find_peaks(
    heatmaps: np.ndarray, joints: int, threshold: float, spread: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the local maxima of every joint's heatmap.

    A cell is a peak if it is above the threshold and no neighbour is higher; of equal neighbours the first counts. Its
    place between the cells comes from the logarithms of the values beside it, which for a Gaussian of variance
    ``spread**2`` differ by its offset (``codec`` benchmark, refinement "hyb"): with values a, v, b along an axis the
    offset is ``var / 2 * (ln b - ln a)``, and ``var = 1 / (2 ln v - ln a - ln b)`` is trusted near ``spread**2`` only.

    Args:
        heatmaps: ``(H, W, K)`` float32, or with more channels; values that are not finite are no peaks.
        joints: K.
        threshold: Least value of a peak.
        spread: Sigma that peaks were drawn with, in cells.

    Returns:
        ``(P, 2)`` x, y in cells, ``(P,)`` values, and ``(K + 1,)`` int64 bounds: joint k's peaks are those from
        ``bounds[k]`` to ``bounds[k + 1]``, strongest first, at most one in ``CELLS_A_PEAK`` cells.
    """
    rows, columns = heatmaps.shape[:2]
    most = max(LEAST_CAP, rows * columns // CELLS_A_PEAK)
    cells, values, bounds, seen = _local_maxima(heatmaps, joints, np.float32(threshold), most)
    if len(values) < seen:
        _warn(rows, columns)
    return _refine(heatmaps, cells, bounds, spread * spread), values, bounds


@functools.cache
def _warn(rows: int, columns: int) -> None:
    """Tell once of a kind of picture that peaks were left out."""
    logger.warning(
        "a %d x %d heatmap has more peaks than people fit; the strongest of each joint are kept", rows, columns
    )


@njit(nogil=True, cache=True)
def _local_maxima(heatmaps, joints, threshold, most):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Row and column of the peaks, grouped by joint, strongest first; values; bounds; how many there were."""
    rows, columns = heatmaps.shape[:2]
    cells, values = np.empty((joints * most, 2), np.int64), np.empty(joints * most, np.float32)
    bounds = np.zeros(joints + 1, np.int64)
    room = (rows + 1) // 2 * ((columns + 1) // 2)  # no two peaks are neighbours
    places, heights = np.empty((room, 2), np.int64), np.empty(room, np.float32)
    total, seen = 0, 0
    for joint in range(joints):
        found = 0
        for row in range(rows):
            for column in range(columns):
                value = heatmaps[row, column, joint]
                if value > threshold and math.isfinite(value) and _is_peak(heatmaps, row, column, joint, value):
                    places[found, 0], places[found, 1], heights[found] = row, column, value
                    found += 1
        for place in np.argsort(-heights[:found], kind="mergesort")[:most]:
            cells[total], values[total] = places[place], heights[place]
            total += 1
        bounds[joint + 1] = total
        seen += found
    return cells[:total], values[:total], bounds, seen


@njit(nogil=True, cache=True)
def _is_peak(heatmaps, row, column, joint, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    rows, columns = heatmaps.shape[:2]
    for i in range(max(row - 1, 0), min(row + 2, rows)):
        for j in range(max(column - 1, 0), min(column + 2, columns)):
            other = heatmaps[i, j, joint]
            earlier = i < row or (i == row and j < column)
            if other > value or (earlier and other == value):
                return False
    return True


@njit(nogil=True, cache=True)
def _refine(heatmaps, cells, bounds, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    rows, columns = heatmaps.shape[:2]
    points = np.empty((len(cells), 2), np.float32)
    for joint in range(len(bounds) - 1):
        for peak in range(bounds[joint], bounds[joint + 1]):
            row, column = cells[peak]
            value = heatmaps[row, column, joint]
            left = heatmaps[row, column - 1, joint] if column > 0 else np.nan
            right = heatmaps[row, column + 1, joint] if column < columns - 1 else np.nan
            above = heatmaps[row - 1, column, joint] if row > 0 else np.nan
            below = heatmaps[row + 1, column, joint] if row < rows - 1 else np.nan
            points[peak, 0] = column + _offset(left, value, right, column == 0, column == columns - 1, variance)
            points[peak, 1] = row + _offset(above, value, below, row == 0, row == rows - 1, variance)
    return points


@njit(nogil=True, cache=True)
def _offset(before, value, after, first, last, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Cells from a peak's cell to the peak, along one axis; at the border one neighbour has to do."""
    if first and last:
        return 0.0
    centre = math.log(value)
    a = math.log(before) if before > FLOOR else math.log(FLOOR)
    b = math.log(after) if after > FLOOR else math.log(FLOOR)
    if first:
        return min(max(0.5 - variance * (centre - b), -1.0), 1.0)
    if last:
        return min(max(variance * (centre - a) - 0.5, -1.0), 1.0)
    curvature = 2 * centre - a - b
    measured = 1 / curvature if curvature > 0 else WIDE * variance
    trusted = min(max(measured, NARROW * variance), WIDE * variance)
    return min(max(0.5 * trusted * (b - a), -0.5), 0.5)
