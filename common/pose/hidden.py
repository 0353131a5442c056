"""Hidden: joints on the slopes of higher peaks, which are no local maxima.

Where the joints of two people are less than about two cells apart, their Gaussians have one maximum. The cells two away
from it then are far higher than a lone Gaussian would make them, and on the far side of the second joint they are its
alone: its place comes from the neighbours there, and that of the first joint from the neighbours on its own far side.
"""

import math

import numpy as np

from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.pose.refine import logarithms, measured, refined

LEAST = 0.2  # of the peak: lower cells are slopes of anything
RATIO, MARGIN = 1.6, 0.2  # a cell is too high above RATIO times what a lone peak makes it, and MARGIN of the peak
SLACK, WIDEST = 1.2, 3.0  # a lone peak may be wider than measured, and is measured up to so many variances


@njit(nogil=True, cache=True)
def add_hidden(plane, threshold, variance, cells, places, heights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Append one joint's hidden peaks to its local maxima, and place those beside them anew; return how many there are.

    Args:
        plane: ``(H + 4, W + 4)`` float32, the joint's heatmap in a frame of minus infinity.
        threshold: Least value of a peak.
        variance: That peaks were drawn with, in cells squared.
        cells: ``(P, 2)`` row, column of the local maxima.
        places: ``(2 P, 2)`` float32 x, y; the first P are filled.
        heights: ``(2 P,)`` float32 values; the first P are filled.
    """
    found = len(cells)
    for peak in range(len(cells)):
        own = cells[peak, 0], cells[peak, 1], places[peak, 0], places[peak, 1]
        row, column = _slope(plane, own, threshold, variance)
        if row < 0 or _near(cells, row, column, peak):
            continue
        down, right = _side(row - cells[peak, 0]), _side(column - cells[peak, 1])
        places[found, 0], places[found, 1] = refined(plane, row, column, variance, -right, -down)
        heights[found] = plane[row, column]
        places[peak, 0], places[peak, 1] = refined(plane, own[0], own[1], variance, right, down)
        found += 1
    return found


@njit(nogil=True, cache=True)
def _side(step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """On which side a cell two away lies: its neighbour there is between the two peaks."""
    return step // 2 if abs(step) == 2 else 0


@njit(nogil=True, cache=True)
def _slope(plane, peak, threshold, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The highest of the cells two away from a peak's that are too high for it, or -1, -1."""
    row, column, x, y = peak
    value = plane[row, column]
    best, where, wide, own = max(threshold, np.float32(LEAST) * value), (-1, -1), 0.0, 0.0
    for i in range(row - 2, row + 3):
        for j in range(column - 2, column + 3, 1 if abs(i - row) == 2 else 4):
            other = plane[i, j]
            if best < other <= value:
                if wide == 0:
                    wide = _width(plane, row, column, variance)
                    own = (column - x) ** 2 + (row - y) ** 2
                alone = value * math.exp((own - (j - x) ** 2 - (i - y) ** 2) / (2 * wide))
                if other > MARGIN * value + RATIO * alone:
                    best, where = other, (i, j)
    return where


@njit(nogil=True, cache=True)
def _width(plane, row, column, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Variance that a lone peak may have: the lesser of both axes', since the other may be two peaks'."""
    centre, left, right, above, below = logarithms(plane, row, column)
    across = measured(left, centre, right, WIDEST * variance)
    return SLACK * max(min(across, measured(above, centre, below, WIDEST * variance)), variance)


@njit(nogil=True, cache=True)
def _near(cells, row, column, own):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Whether another local maximum is at or beside a cell."""
    for peak in range(len(cells)):
        if peak != own and abs(cells[peak, 0] - row) <= 1 and abs(cells[peak, 1] - column) <= 1:
            return True
    return False
