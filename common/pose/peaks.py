"""Peaks: where each joint may be, to a fraction of a cell."""

import functools
import logging

import numpy as np

from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.pose.refine import FRAME, add_hidden, refine

logger = logging.getLogger(__name__)

CELLS_A_PEAK = 27  # a joint's strongest peaks are kept, one in so many cells of the grid; more are noise
INFINITE = np.float32(np.inf)
WORD = 8  # bytes
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
    framed = _frame(heatmaps)
    cells, starts = _by_joint(_local_maxima(framed, threshold), framed.shape, joints)
    room = 2 * np.max(starts[1:] - starts[:-1])  # a peak hides one at most
    places, heights = np.empty((room, 2), np.float32), np.empty(room, np.float32)
    total, seen = 0, 0
    for joint in range(joints):
        plane, own = framed[:, :, joint], cells[starts[joint] : starts[joint + 1]]
        found = len(own)
        for peak in range(found):
            row, column = own[peak]
            places[peak, 0], places[peak, 1] = refine(plane, row, column, variance, 0, 0)
            heights[peak] = plane[row, column]
        if found < most:
            found = add_hidden(plane, threshold, variance, own, places, heights)
        for place in np.argsort(-heights[:found], kind="mergesort")[:most]:
            points[total, 0], points[total, 1] = places[place, 0] - FRAME, places[place, 1] - FRAME
            values[total] = heights[place]
            total += 1
        bounds[joint + 1] = total
        seen += found
    return points[:total], values[:total], bounds, seen


@njit(nogil=True, cache=True)
def _frame(heatmaps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Put the heatmaps in a frame of minus infinity."""
    rows, columns, channels = heatmaps.shape
    framed = np.full((rows + 2 * FRAME, columns + 2 * FRAME, channels), -INFINITE)
    framed[FRAME : FRAME + rows, FRAME : FRAME + columns] = heatmaps
    return framed


@njit(nogil=True, cache=True)
def _local_maxima(framed, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find the flat places of the peaks of all channels, in order.

    Every cell is compared with every neighbour, and many cells at once, since a cell's channels lie side by side as
    its neighbours' do: quicker than choosing the cells to compare.
    """
    _, columns, channels = framed.shape
    flat, right, below = framed.reshape(-1), channels, columns * channels
    first, last = FRAME * (below + right), flat.size - FRAME * (below + right)
    is_peak = np.zeros(-(-flat.size // WORD) * WORD, np.uint8)
    before = (
        flat[first - below - right : last - below - right],
        flat[first - below : last - below],
        flat[first - below + right : last - below + right],
        flat[first - right : last - right],
    )
    after = (
        flat[first + right : last + right],
        flat[first + below - right : last + below - right],
        flat[first + below : last + below],
        flat[first + below + right : last + below + right],
    )
    _mark(flat[first:last], before, after, threshold, is_peak[first:last])
    return _places(is_peak)


@njit(nogil=True, cache=True)
def _mark(values, before, after, threshold, is_peak):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Tell which values have no higher neighbour, and none of the earlier ones as high."""
    above_left, above, above_right, left = before
    right, below_left, below, below_right = after
    for place in range(len(values)):
        value = values[place]
        higher = (above_left[place] >= value) | (above[place] >= value) | (above_right[place] >= value)
        higher |= (left[place] >= value) | (right[place] > value)
        higher |= (below_left[place] > value) | (below[place] > value) | (below_right[place] > value)
        is_peak[place] = (value > threshold) & (value < INFINITE) & (not higher)


@njit(nogil=True, cache=True)
def _places(marks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find where the marks are that are not 0; most are, and ruled out a word at a time."""
    words = marks.view(np.uint64)
    places, count = np.empty(WORD * np.count_nonzero(words) + 1, np.int64), 0
    for word in range(len(words)):
        if words[word]:
            for place in range(WORD * word, WORD * word + WORD):
                places[count] = place
                count += int(marks[place])  # of eight bits, of which Python would count no further than 255
    return places[:count]


@njit(nogil=True, cache=True)
def _by_joint(places, shape, joints):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sort flat places: ``(P, 2)`` rows and columns by joint, and ``(K + 1,)`` where each joint's begin."""
    _, columns, channels = shape
    starts = np.zeros(channels + 1, np.int64)
    for place in places:
        starts[place % channels + 1] += 1
    starts = np.cumsum(starts)
    cells, filled = np.empty((len(places), 2), np.int64), starts.copy()
    for place in places:
        cell, channel = place // channels, place % channels
        cells[filled[channel], 0], cells[filled[channel], 1] = cell // columns, cell % columns
        filled[channel] += 1
    return cells, starts[: joints + 1]
