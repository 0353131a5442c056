"""Hidden: joints on the slopes of higher peaks, which are no local maxima.

Where the joints of two people are less than about two cells apart, their Gaussians have one maximum. The cells two away
from it then are far higher than a lone Gaussian would make them, and on the far side of the second joint they are its
alone: its place comes from the neighbours there, and that of the first joint from the neighbours on its own far side.
"""

import math

from numba import njit

from bodyposenet.common.pose.refine import logarithms, measured, refined

LEAST = 0.2  # of the peak: lower cells are slopes of anything
RATIO, MARGIN = 1.6, 0.2  # a cell is too high above RATIO times what a lone peak makes it, and MARGIN of the peak
SLACK, WIDEST = 1.2, 3.0  # a lone peak may be wider than measured, and is measured up to so many variances


@njit(nogil=True, cache=True)
def add_hidden(plane, threshold, variance, cells, places, heights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Append one joint's hidden peaks to its local maxima, and place those beside them anew; return how many there are.

    Args:
        plane: ``(H, W)`` float32, the joint's heatmap.
        threshold: Least value of a peak.
        variance: That peaks were drawn with, in cells squared.
        cells: ``(P, 2)`` row, column of the local maxima.
        places: ``(2 P, 2)`` float32 x, y; the first P are filled.
        heights: ``(2 P,)`` float32 values; the first P are filled.
    """
    found = len(cells)
    for peak in range(len(cells)):
        row, column = _slope(plane, cells[peak], places[peak], threshold, variance)
        if row < 0 or _near(cells, row, column, peak):
            continue
        down, right = _side(row - cells[peak, 0]), _side(column - cells[peak, 1])
        places[found] = refined(plane, row, column, variance, -right, -down)
        heights[found] = plane[row, column]
        places[peak] = refined(plane, cells[peak, 0], cells[peak, 1], variance, right, down)
        found += 1
    return found


@njit(nogil=True, cache=True)
def _side(step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """On which side a cell two away lies: its neighbour there is between the two peaks."""
    return step // 2 if abs(step) == 2 else 0


@njit(nogil=True, cache=True)
def _slope(plane, cell, place, threshold, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The highest of the cells two away from a peak's that are too high for it, or -1, -1."""
    rows, columns = plane.shape
    row, column = cell
    value = plane[row, column]
    best, where, wide = max(threshold, LEAST * value), (-1, -1), 0.0
    for i in range(max(row - 2, 0), min(row + 3, rows)):
        for j in range(column - 2, column + 3, 1 if abs(i - row) == 2 else 4):
            if j < 0 or j >= columns or not best < plane[i, j] <= value:
                continue
            other = plane[i, j]
            wide = _width(plane, row, column, variance) if wide == 0 else wide
            if other > MARGIN * value + RATIO * value * math.exp(_fall(i, j, row, column, place) / (2 * wide)):
                best, where = other, (i, j)
    return where


@njit(nogil=True, cache=True)
def _width(plane, row, column, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Variance that a lone peak may have: the lesser of both axes', since the other may be two peaks'."""
    centre, left, right, above, below = logarithms(plane, row, column)
    across = measured(left, centre, right, WIDEST * variance)
    return SLACK * max(min(across, measured(above, centre, below, WIDEST * variance)), variance)


@njit(nogil=True, cache=True)
def _fall(i, j, row, column, place):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Square distance of the peak from its own cell, less that from another: cells squared."""
    own = (column - place[0]) ** 2 + (row - place[1]) ** 2
    return own - (j - place[0]) ** 2 - (i - place[1]) ** 2


@njit(nogil=True, cache=True)
def _near(cells, row, column, own):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether another local maximum is at or beside a cell."""
    for peak in range(len(cells)):
        if peak != own and abs(cells[peak, 0] - row) <= 1 and abs(cells[peak, 1] - column) <= 1:
            return True
    return False
