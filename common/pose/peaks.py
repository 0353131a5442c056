"""Peaks: where each joint may be, to a fraction of a cell."""

import functools
import logging
import math

import numpy as np
from numba import njit

from bodyposenet.common.pose.hidden import add_hidden
from bodyposenet.common.pose.refine import refined

logger = logging.getLogger(__name__)

CELLS_A_PEAK = 27  # a joint's strongest peaks are kept, one in so many cells of the grid; more are noise
LEAST_CAP = 64  # peaks of a joint that are kept on any grid


@functools.cache
def warn_of_crowd(rows: int, columns: int) -> None:
    """Tell once of a kind of picture that peaks were left out."""
    logger.warning(
        "a %d x %d heatmap has more peaks than people fit; the strongest of each joint are kept", rows, columns
    )


@njit(nogil=True, cache=True)
def find_peaks(heatmaps, joints, threshold, spread):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Find the local maxima of every joint's heatmap.

    A cell is a peak if it is above the threshold and no neighbour is higher; of equal neighbours the first counts.
    Peaks on the slopes of others are found too, and all are placed between the cells.

    Args:
        heatmaps: ``(H, W, K)`` float32, or with more channels; values that are not finite are no peaks.
        joints: K.
        threshold: float32 least value of a peak.
        spread: Sigma that peaks were drawn with, in cells.

    Returns:
        ``(P, 2)`` x, y in cells, ``(P,)`` values, and ``(K + 1,)`` int64 bounds: joint k's peaks are those from
        ``bounds[k]`` to ``bounds[k + 1]``, strongest first, at most one in ``CELLS_A_PEAK`` cells; and how many peaks
        there were.
    """
    rows, columns = heatmaps.shape[:2]
    most, variance = max(LEAST_CAP, rows * columns // CELLS_A_PEAK), spread * spread
    points, values = np.empty((joints * most, 2), np.float32), np.empty(joints * most, np.float32)
    bounds = np.zeros(joints + 1, np.int64)
    room = (rows + 1) // 2 * ((columns + 1) // 2)  # no two peaks are neighbours
    cells, plane = np.empty((room, 2), np.int64), np.empty((rows, columns), np.float32)
    places, heights = np.empty((2 * room, 2), np.float32), np.empty(2 * room, np.float32)
    total, seen = 0, 0
    for joint in range(joints):
        _copy(heatmaps, joint, plane)
        found = _local_maxima(plane, threshold, cells)
        for peak in range(found):
            row, column = cells[peak]
            places[peak] = refined(plane, row, column, variance, 0, 0)
            heights[peak] = plane[row, column]
        if found < most:
            found = add_hidden(plane, threshold, variance, cells[:found], places, heights)
        for place in np.argsort(-heights[:found], kind="mergesort")[:most]:
            points[total], values[total] = places[place], heights[place]
            total += 1
        bounds[joint + 1] = total
        seen += found
    return points[:total], values[:total], bounds, seen


@njit(nogil=True, cache=True)
def _copy(heatmaps, joint, plane):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take one joint's heatmap out of all, so that its cells lie together."""
    for row in range(plane.shape[0]):
        for column in range(plane.shape[1]):
            plane[row, column] = heatmaps[row, column, joint]


@njit(nogil=True, cache=True)
def _local_maxima(plane, threshold, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Write row and column of one joint's peaks to ``cells``; return their number."""
    rows, columns = plane.shape
    found = 0
    for row in range(rows):
        for column in range(columns):
            value = plane[row, column]
            if value > threshold and math.isfinite(value) and _is_peak(plane, row, column, value):
                cells[found, 0], cells[found, 1] = row, column
                found += 1
    return found


@njit(nogil=True, cache=True)
def _is_peak(plane, row, column, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    rows, columns = plane.shape
    for i in range(max(row - 1, 0), min(row + 2, rows)):
        for j in range(max(column - 1, 0), min(column + 2, columns)):
            other = plane[i, j]
            earlier = i < row or (i == row and j < column)
            if other > value or (earlier and other == value):
                return False
    return True
