"""Sharing: joints of two people that lie on each other, given to both.

Where one person's joint hides another's, the heatmap has one peak for both. A person may share a peak that a strong
limb leads to (codec benchmark, "peak sharing").
"""

import numpy as np
from numba import njit

from bodyposenet.common.pose.limbs import agreement

STRONG = 0.3  # least mean field of a limb to a shared peak
WHOLE = 3  # joints of a person who may share
PASSES = 2  # a shared joint may lead to the next


def share(
    groups: np.ndarray,
    totals: np.ndarray,
    points: np.ndarray,
    bounds: np.ndarray,
    pafs: np.ndarray,
    limbs: np.ndarray,
    threshold: float,
) -> None:
    """Fill empty joints beside filled ones with the peaks that the strongest limbs lead to, in place.

    Args:
        groups: ``(G, K)`` int64 peak of each joint, -1 where there is none.
        totals: ``(G,)`` their scores.
        points: ``(P, 2)`` peaks, x, y in cells.
        bounds: ``(K + 1,)`` where each joint's peaks begin and end.
        pafs: ``(H, W, 2 L)`` float32.
        limbs: ``(L, 2)`` joints at the ends.
        threshold: Least component of the field along a limb for a sample to count.
    """
    _share(groups, totals, points, bounds, pafs, limbs, threshold)


@njit(nogil=True, cache=True)
def _share(groups, totals, points, bounds, pafs, limbs, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for group in range(len(groups)):
        joints = groups[group]
        if (joints >= 0).sum() < WHOLE:
            continue
        for _ in range(PASSES):
            for limb in range(len(limbs)):
                start, end = limbs[limb]
                if (joints[start] >= 0) == (joints[end] >= 0):
                    continue
                forward = joints[start] >= 0
                peak, score = _strongest(joints, start, end, forward, points, bounds, pafs, limb, threshold)
                if peak >= 0:
                    joints[end if forward else start] = peak
                    totals[group] += score


@njit(nogil=True, cache=True)
def _strongest(joints, start, end, forward, points, bounds, pafs, limb, threshold):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The peak at a limb's other end, or -1, and how well the field agrees."""
    best, most = -1, np.float32(STRONG)
    empty = end if forward else start
    for peak in range(bounds[empty], bounds[empty + 1]):
        one, other = (joints[start], peak) if forward else (peak, joints[end])
        x0, y0, x1, y1 = points[one, 0], points[one, 1], points[other, 0], points[other, 1]
        score = agreement(pafs, x0, y0, x1, y1, limb, threshold)
        if score > most:
            best, most = peak, score
    return best, most
