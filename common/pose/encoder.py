"""Encoder: joints drawn as the maps that a network learns.

Heatmaps are Gaussians at the joints, part affinity fields unit vectors along the limbs: Cao et al., "Realtime
Multi-Person 2D Pose Estimation using Part Affinity Fields" (CVPR 2017, sections 2.2 and 2.3). Both are sampled at cell
centres: cell ``c`` of a grid with stride S lies at ``c * S + (S - 1) / 2`` input pixels.
"""

import math

import numpy as np

from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.skeleton.skeleton import Skeleton

CUTOFF = 0.001  # heatmap values below it are 0, as in TAO


def encode(
    joints: np.ndarray,
    visible: np.ndarray,
    skeleton: Skeleton,
    *,
    size: tuple[int, int],
    stride: int = 8,
    sigma: float = 7.0,
    paf_width: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw people on the network's output grid.

    Shape letters: N people, K joints, L limbs, H and W the grid's rows and columns.

    Args:
        joints: ``(N, K, 2)`` x, y in input pixels; joints outside the picture draw what of them reaches into it.
        visible: ``(N, K)`` bool; joints that are False draw nothing, nor do their limbs.
        skeleton: Names the channels.
        size: ``(H, W)`` of the grid.
        stride: Input pixels per cell.
        sigma: Spread of a heatmap peak, in input pixels.
        paf_width: Greatest distance of a cell centre from a limb's segment, in cells.

    Returns:
        Heatmaps ``(H, W, K + 1)`` float32 in [0, 1], the last channel being the background, 1 minus the greatest of the
        others; and part affinity fields ``(H, W, 2 L)`` float32 in [-1, 1], x and y for each limb, the mean of the
        people where their limbs overlap.
    """
    heatmaps = np.empty((*size, skeleton.num_joints + 1), np.float32)
    pafs = np.empty((*size, 2 * skeleton.num_limbs), np.float32)
    encode_into(heatmaps, pafs, joints, visible, skeleton, stride=stride, sigma=sigma, paf_width=paf_width)
    return heatmaps, pafs


def encode_into(
    heatmaps: np.ndarray,
    pafs: np.ndarray,
    joints: np.ndarray,
    visible: np.ndarray,
    skeleton: Skeleton,
    *,
    stride: int,
    sigma: float,
    paf_width: float,
) -> None:
    """Do what :func:`encode` does, into contiguous float32 arrays that are there, whatever they hold.

    Args:
        heatmaps: ``(H, W, K + 1)`` float32, contiguous, written to.
        pafs: ``(H, W, 2 L)`` float32, contiguous, written to.
        joints: As for :func:`encode`, and so are the others.
        visible: ``(N, K)``.
        skeleton: Names the channels.
        stride: Input pixels per cell.
        sigma: Input pixels.
        paf_width: Cells.
    """
    points = np.ascontiguousarray(joints, np.float32)
    drawn = np.ascontiguousarray(visible, np.bool_)
    heatmaps[:], pafs[:] = 0, 0
    _draw_heatmaps(points, drawn, float(stride), float(sigma), heatmaps)
    _draw_pafs(points, drawn, skeleton.limb_array, float(stride), float(paf_width * stride), pafs)


@njit(nogil=True, cache=True)
def _span(low, high, stride, cells):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find the first and last-but-one cell whose centres lie in [low, high] pixels."""
    offset = (stride - 1) / 2
    first = math.ceil((max(low, -1e6) - offset) / stride)
    last = math.floor((min(high, 1e6) - offset) / stride)
    return max(first, 0), min(last, cells - 1) + 1


@njit(nogil=True, cache=True)
def _draw_heatmaps(joints, visible, stride, sigma, heatmaps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    across = np.empty(heatmaps.shape[1])
    for person in range(joints.shape[0]):
        for joint in range(joints.shape[1]):
            x, y = float(joints[person, joint, 0]), float(joints[person, joint, 1])
            if visible[person, joint] and math.isfinite(x) and math.isfinite(y):
                _draw_peak(x, y, joint, stride, sigma, across, heatmaps)
    _draw_background(heatmaps)


@njit(nogil=True, cache=True)
def _draw_peak(x, y, joint, stride, sigma, across, heatmaps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Raise one channel to a Gaussian at x, y; ``across`` is room for a row of it."""
    rows, columns = heatmaps.shape[:2]
    reach = sigma * math.sqrt(-2 * math.log(CUTOFF))
    factor = -1 / (2 * sigma * sigma)
    offset = (stride - 1) / 2
    left, right = _span(x - reach, x + reach, stride, columns)
    top, bottom = _span(y - reach, y + reach, stride, rows)
    for column in range(left, right):
        across[column] = math.exp(factor * (column * stride + offset - x) ** 2)
    for row in range(top, bottom):
        down = math.exp(factor * (row * stride + offset - y) ** 2)
        for column in range(left, right):
            value = down * across[column]
            if value >= CUTOFF and value > heatmaps[row, column, joint]:
                heatmaps[row, column, joint] = value


@njit(nogil=True, cache=True)
def _draw_background(heatmaps):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill the last channel with what the others leave of 1."""
    rows, columns, channels = heatmaps.shape
    for row in range(rows):
        for column in range(columns):
            most = np.float32(0)
            for joint in range(channels - 1):
                most = max(most, heatmaps[row, column, joint])
            heatmaps[row, column, channels - 1] = np.float32(1) - most


@njit(nogil=True, cache=True)
def _draw_pafs(joints, visible, limbs, stride, reach, pafs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    rows, columns = pafs.shape[:2]
    drawn = np.zeros((rows, columns), np.int32)
    for limb in range(limbs.shape[0]):
        start, end = limbs[limb, 0], limbs[limb, 1]
        drawn[:] = 0
        for person in range(joints.shape[0]):
            if visible[person, start] and visible[person, end]:
                _draw_limb(joints[person, start], joints[person, end], limb, stride, reach, drawn, pafs)


@njit(nogil=True, cache=True)
def _draw_limb(start, end, limb, stride, reach, drawn, pafs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Average one person's limb into its two channels; ``drawn`` counts the people in each cell."""
    rows, columns = pafs.shape[:2]
    offset = (stride - 1) / 2
    x0, y0 = float(start[0]), float(start[1])
    along_x, along_y = float(end[0]) - x0, float(end[1]) - y0
    length = math.sqrt(along_x * along_x + along_y * along_y)
    if not (length > 0 and math.isfinite(length) and math.isfinite(x0 + y0)):
        return
    ux, uy = along_x / length, along_y / length
    left, right = _span(min(x0, x0 + along_x) - reach, max(x0, x0 + along_x) + reach, stride, columns)
    top, bottom = _span(min(y0, y0 + along_y) - reach, max(y0, y0 + along_y) + reach, stride, rows)
    for row in range(top, bottom):
        dy = row * stride + offset - y0
        for column in range(left, right):
            dx = column * stride + offset - x0
            t = min(max(dx * ux + dy * uy, 0.0), length)
            if (dx - t * ux) ** 2 + (dy - t * uy) ** 2 <= reach * reach:
                drawn[row, column] += 1
                share = 1 / drawn[row, column]
                pafs[row, column, 2 * limb] += share * (ux - pafs[row, column, 2 * limb])
                pafs[row, column, 2 * limb + 1] += share * (uy - pafs[row, column, 2 * limb + 1])
