"""Decoder: heatmaps and part affinity fields to people, at the grid's own resolution."""

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.pose.group import adopt, count_once, group_limbs, lend, share
from bodyposenet.common.pose.limbs import Fields, find_limbs, lay_flat
from bodyposenet.common.pose.peaks import find_peaks, warn_of_crowd
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton

NO_PRIOR = np.empty((0, 0)), np.empty((0, 0))
MOST = 1e6  # greatest sum of peak values and limb scores: float32 still tells its score from 1


def decode(
    heatmaps: np.ndarray,
    pafs: np.ndarray,
    skeleton: Skeleton,
    *,
    stride: int = 8,
    sigma: float = 7.0,
    paf_shift: tuple[float, float] = (0.0, 0.0),
    heatmap_threshold: float = 0.1,
    paf_threshold: float = 0.05,
    min_parts: int = 3,
    max_people: int | None = None,
) -> People:
    """Find the people that one picture's maps describe.

    Shape letters: N people, K joints, L limbs, H and W the grid's rows and columns.

    Args:
        heatmaps: ``(H, W, K + 1)`` or ``(H, W, K)`` float32 or float16; a background channel is ignored.
        pafs: ``(H, W, 2 L)`` float32 or float16; read where they lie if their channels lie side by side or plane after
            plane.
        skeleton: Names the channels.
        stride: Input pixels per cell.
        sigma: Spread of a peak, in input pixels, that the network was trained to draw.
        paf_shift: Input pixels, to the right and down, from a cell of the fields to the heatmaps' cell of that place.
        heatmap_threshold: Least heatmap value of a joint.
        paf_threshold: Least field along a limb, at nine of ten points.
        min_parts: Joints that a person must have.
        max_people: Keep only so many, best first.

    Returns:
        The people, x and y in input pixels.

    Raises:
        UserError: The maps are not those of the skeleton.
    """
    maps, fields = _check(heatmaps, pafs, skeleton)
    prior = skeleton.prior.arrays if skeleton.prior else NO_PRIOR
    thresholds = np.float32(heatmap_threshold), np.float32(paf_threshold)
    grid = float(stride), sigma / stride, paf_shift[0] / stride, paf_shift[1] / stride
    limits = min_parts, maps.shape[0] * maps.shape[1] if max_people is None else max_people
    keypoints, scores, left_out = _decode(
        maps, fields, skeleton.num_joints, skeleton.limb_array, prior, thresholds, grid, limits
    )
    if left_out:
        warn_of_crowd(*maps.shape[:2])
    return People(keypoints, scores)


def _check(heatmaps: np.ndarray, pafs: np.ndarray, skeleton: Skeleton) -> tuple[np.ndarray, Fields]:
    """Return the maps as compiled code takes them.

    Raises:
        UserError: They are not those of the skeleton.
    """
    K, L = skeleton.num_joints, skeleton.num_limbs
    if heatmaps.ndim != 3 or heatmaps.shape[2] not in (K, K + 1) or pafs.shape != (*heatmaps.shape[:2], 2 * L):
        raise UserError(
            f"maps of shapes {heatmaps.shape} and {pafs.shape} are not those of {K} joints and {L} limbs",
            where=skeleton.name,
            fix=f"give heatmaps (H, W, {K + 1}) and part affinity fields (H, W, {2 * L}) of one picture",
        )
    return np.ascontiguousarray(heatmaps, np.float32), lay_flat(pafs)


@njit(nogil=True, cache=True)
def _decode(maps, fields, joints, limbs, prior, thresholds, grid, limits):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return keypoints and scores as People has them, and how many peaks were left out."""
    points, values, bounds, seen = find_peaks(maps, joints, thresholds[0], grid[1])
    pairs, scores, tables = find_limbs(fields, points + np.array(grid[2:], np.float32), bounds, limbs, thresholds[1])
    groups, totals = group_limbs(pairs, scores, values, bounds)
    if prior[0].size:
        groups, totals = adopt(groups, totals, points, prior[0], prior[1])
    share(groups, totals, bounds, limbs, tables)
    if prior[0].size:
        lend(groups, totals, len(values), points, prior[0], prior[1])
    count_once(groups, totals, len(values))
    keypoints, scores = _people(groups, totals, points, values, grid[0], limits[0], limits[1])
    return keypoints, scores, seen - len(values)


@njit(nogil=True, cache=True)
def _people(groups, totals, points, values, stride, min_parts, most):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return ``(N, K, 3)`` x, y in input pixels and score, and ``(N,)`` scores, of groups of enough parts, best first.

    A person's score is its total, the sum of its peaks' values and its limbs' scores, brought into [0, 1): TAO has
    1 - 1/sum, negative below 1.
    """
    large = np.flatnonzero((groups >= 0).sum(axis=1) >= min_parts)
    order = large[np.argsort(-totals[large], kind="mergesort")[:most]]
    keypoints = np.zeros((len(order), groups.shape[1], 3), np.float32)
    scores = np.empty(len(order), np.float32)
    for person in range(len(order)):
        total = min(totals[order[person]], MOST)
        scores[person] = total / (1 + total)
        for joint in range(groups.shape[1]):
            peak = groups[order[person], joint]
            if peak >= 0:
                keypoints[person, joint, 0] = points[peak, 0] * stride + (stride - 1) / 2
                keypoints[person, joint, 1] = points[peak, 1] * stride + (stride - 1) / 2
                keypoints[person, joint, 2] = min(values[peak], np.float32(1))
    return keypoints, scores
