"""Peaks: where each joint may be, to a fraction of a cell."""

import functools
import logging

import numpy as np
from numba import njit

from bodyposenet.common.pose.hidden import add_hidden
from bodyposenet.common.pose.refine import FRAME, refined

logger = logging.getLogger(__name__)

CELLS_A_PEAK = 27  # a joint's strongest peaks are kept, one in so many cells of the grid; more are noise
INFINITE = np.float32(np.inf)
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
    cells, plane = (
        np.empty((rows * columns + 1, 2), np.int32),
        np.full((rows + 2 * FRAME, columns + 2 * FRAME), -INFINITE),
    )
    places, heights = np.empty((2 * room, 2), np.float32), np.empty(2 * room, np.float32)
    total, seen = 0, 0
    for joint in range(joints):
        found = _local_maxima(plane, cells, _take(heatmaps, joint, threshold, plane, cells))
        for peak in range(found):
            row, column = cells[peak, 0], cells[peak, 1]
            places[peak, 0], places[peak, 1] = refined(plane, row, column, variance, 0, 0)
            heights[peak] = plane[row, column]
        if found < most:
            found = add_hidden(plane, threshold, variance, cells[:found], places, heights)
        for place in np.argsort(-heights[:found], kind="mergesort")[:most]:
            points[total, 0], points[total, 1] = places[place, 0] - FRAME, places[place, 1] - FRAME
            values[total] = heights[place]
            total += 1
        bounds[joint + 1] = total
        seen += found
    return points[:total], values[:total], bounds, seen


@njit(nogil=True, cache=True)
def _take(heatmaps, joint, threshold, plane, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Take one joint's heatmap out of all, into the frame; return how many cells are above the threshold."""
    count = 0
    for row in range(heatmaps.shape[0]):
        for column in range(heatmaps.shape[1]):
            value = heatmaps[row, column, joint]
            plane[row + FRAME, column + FRAME] = value
            cells[count, 0], cells[count, 1] = row + FRAME, column + FRAME
            count += threshold < value < INFINITE
    return count


@njit(nogil=True, cache=True)
def _local_maxima(plane, cells, count):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Keep the cells that are peaks; return their number."""
    found = 0
    for place in range(count):
        row, column = cells[place, 0], cells[place, 1]
        if _is_peak(plane, row, column, plane[row, column]):
            cells[found, 0], cells[found, 1] = row, column
            found += 1
    return found


@njit(nogil=True, cache=True)
def _is_peak(plane, row, column, value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether no neighbour is higher, and none of the earlier ones as high."""
    if plane[row, column - 1] >= value or plane[row, column + 1] > value:
        return False
    if plane[row - 1, column] >= value or plane[row + 1, column] > value:
        return False
    if plane[row - 1, column - 1] >= value or plane[row - 1, column + 1] >= value:
        return False
    return not (plane[row + 1, column - 1] > value or plane[row + 1, column + 1] > value)
