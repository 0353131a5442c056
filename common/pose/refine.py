"""Refine: a peak's place between the cells.

Logarithms of a Gaussian's values at neighbouring cells differ by its offset: with values a, v, b along an axis the
offset is ``var / 2 * (ln b - ln a)``, and ``var = 1 / (2 ln v - ln a - ln b)`` is trusted near the variance that peaks
were drawn with only (codec benchmark, refinement "hyb"). Where one neighbour is missing, or is another peak's, the
other does: ``var * (ln v - ln a) - 1 / 2``.
"""

import math

import numpy as np

from bodyposenet.common.machine.compiling import njit

FRAME = 2  # cells of minus infinity around a heatmap
FLOOR = 1e-4  # heatmap values are raised to it before their logarithm is taken
NARROW, WIDE = 0.7, 1.5  # how far a peak's measured variance may be from the one it was drawn with

LEAST = 0.2  # of the peak: lower cells are slopes of anything
RATIO, MARGIN = 1.6, 0.2  # a cell is too high above RATIO times what a lone peak makes it, and MARGIN of the peak
HALFWAY = 1.75  # cells; a peak nearer than that, halfway between two cells, is high in both
SLACK, WIDEST = 1.2, 3.0  # a lone peak may be wider than measured, and is measured up to so many variances


@njit(nogil=True, cache=True)
def refine(plane, row, column, variance, blind_x, blind_y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Find a peak's x and y, in cells; neighbours on blind sides (-1 left or above, 1 right or below) do not count."""
    rows, columns = plane.shape
    first, last_column, last_row = FRAME, columns - FRAME - 1, rows - FRAME - 1
    centre, left, right, above, below = logarithms(plane, row, column)
    has_left, has_right = column > first and blind_x >= 0, column < last_column and blind_x <= 0
    has_above, has_below = row > first and blind_y >= 0, row < last_row and blind_y <= 0
    across = _clip_variance(left, centre, right, variance) if has_left and has_right else -1.0
    down = _clip_variance(above, centre, below, variance) if has_above and has_below else -1.0
    spare = max(across, down) if max(across, down) > 0 else variance
    x = column + _offset(left, centre, right, has_left, has_right, across if across > 0 else spare)
    y = row + _offset(above, centre, below, has_above, has_below, down if down > 0 else spare)
    return np.float32(x), np.float32(y)


@njit(nogil=True, cache=True)
def logarithms(plane, row, column):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Return those of a cell, and of those left, right, above and below; beyond the border they mean nothing."""
    centre, left, right = _log(plane[row, column]), _log(plane[row, column - 1]), _log(plane[row, column + 1])
    above, below = _log(plane[row - 1, column]), _log(plane[row + 1, column])
    return centre, left, right, above, below


@njit(nogil=True, cache=True)
def measure(before, centre, after, widest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Measure the variance of a Gaussian by the logarithms of three values."""
    curvature = 2 * centre - before - after
    return min(1 / curvature, widest) if curvature > 0 else widest


@njit(nogil=True, cache=True)
def _log(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return math.log(value) if FLOOR < value < np.inf else math.log(FLOOR)


@njit(nogil=True, cache=True)
def _clip_variance(before, centre, after, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return max(measure(before, centre, after, WIDE * variance), NARROW * variance)


@njit(nogil=True, cache=True)
def _offset(before, centre, after, has_before, has_after, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return how many cells there are from a peak's cell to the peak, along one axis."""
    if has_before and has_after:
        return min(max(0.5 * variance * (after - before), -0.5), 0.5)
    if has_before:
        return min(max(variance * (centre - before) - 0.5, -1.0), 1.0)
    if has_after:
        return min(max(0.5 - variance * (centre - after), -1.0), 1.0)
    return 0.0


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
        if row < 0 or _near(cells, places, row, column, peak):
            continue
        down, right = _side(row - cells[peak, 0]), _side(column - cells[peak, 1])
        places[found, 0], places[found, 1] = refine(plane, row, column, variance, -right, -down)
        heights[found] = plane[row, column]
        places[peak, 0], places[peak, 1] = refine(plane, own[0], own[1], variance, right, down)
        found += 1
    return found


@njit(nogil=True, cache=True)
def _side(step):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Tell on which side a cell two away lies: its neighbour there is between the two peaks."""
    return step // 2 if abs(step) == 2 else 0


@njit(nogil=True, cache=True)
def _slope(plane, peak, threshold, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find the highest of the cells two away from a peak's that are too high for it, or -1, -1."""
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
    """Return the variance that a lone peak may have: the lesser of both axes', as the other may be two peaks'."""
    centre, left, right, above, below = logarithms(plane, row, column)
    across = measure(left, centre, right, WIDEST * variance)
    return SLACK * max(min(across, measure(above, centre, below, WIDEST * variance)), variance)


@njit(nogil=True, cache=True)
def _near(cells, places, row, column, own):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Tell whether another local maximum is at or beside a cell, or halfway between its own cell and one beside it."""
    for peak in range(len(cells)):
        if peak == own:
            continue
        if abs(cells[peak, 0] - row) <= 1 and abs(cells[peak, 1] - column) <= 1:
            return True
        if abs(places[peak, 1] - row) <= HALFWAY and abs(places[peak, 0] - column) <= HALFWAY:
            return True
    return False
