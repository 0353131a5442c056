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


@njit(nogil=True, cache=True)
def refined(plane, row, column, variance, blind_x, blind_y):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """A peak's x and y, in cells; neighbours on its blind sides (-1 left or above, 1 right or below) are ignored."""
    rows, columns = plane.shape
    first, last_column, last_row = FRAME, columns - FRAME - 1, rows - FRAME - 1
    centre, left, right, above, below = logarithms(plane, row, column)
    has_left, has_right = column > first and blind_x >= 0, column < last_column and blind_x <= 0
    has_above, has_below = row > first and blind_y >= 0, row < last_row and blind_y <= 0
    across = _trusted(left, centre, right, variance) if has_left and has_right else -1.0
    down = _trusted(above, centre, below, variance) if has_above and has_below else -1.0
    spare = max(across, down) if max(across, down) > 0 else variance
    x = column + _offset(left, centre, right, has_left, has_right, across if across > 0 else spare)
    y = row + _offset(above, centre, below, has_above, has_below, down if down > 0 else spare)
    return np.float32(x), np.float32(y)


@njit(nogil=True, cache=True)
def logarithms(plane, row, column):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Of a cell, and of those left, right, above and below; beyond the border they mean nothing."""
    centre, left, right = _log(plane[row, column]), _log(plane[row, column - 1]), _log(plane[row, column + 1])
    above, below = _log(plane[row - 1, column]), _log(plane[row + 1, column])
    return centre, left, right, above, below


@njit(nogil=True, cache=True)
def measured(before, centre, after, widest):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Variance of a Gaussian, by the logarithms of three values."""
    curvature = 2 * centre - before - after
    return min(1 / curvature, widest) if curvature > 0 else widest


@njit(nogil=True, cache=True)
def _log(value):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return math.log(value) if FLOOR < value < np.inf else math.log(FLOOR)


@njit(nogil=True, cache=True)
def _trusted(before, centre, after, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    return max(measured(before, centre, after, WIDE * variance), NARROW * variance)


@njit(nogil=True, cache=True)
def _offset(before, centre, after, has_before, has_after, variance):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Cells from a peak's cell to the peak, along one axis."""
    if has_before and has_after:
        return min(max(0.5 * variance * (after - before), -0.5), 0.5)
    if has_before:
        return min(max(variance * (centre - before) - 0.5, -1.0), 1.0)
    if has_after:
        return min(max(0.5 - variance * (centre - after), -1.0), 1.0)
    return 0.0
