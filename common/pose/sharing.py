"""Sharing: joints of two people that lie on each other, given to both.

Where one person's joint hides another's, the heatmap has one peak for both. A person may share a peak that a strong
limb leads to (codec benchmark, "peak sharing").
"""

import numpy as np

from bodyposenet.common.machine.compiling import njit

STRONG = 0.3  # least mean field of a limb to a shared peak
WHOLE = 3  # joints of a person who may share
PASSES = 2  # a shared joint may lead to the next


@njit(nogil=True, cache=True)
def share(groups, totals, bounds, limbs, tables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Fill empty joints beside filled ones with the peaks that the strongest limbs lead to, in place.

    Args:
        groups: ``(G, K)`` int64 peak of each joint, -1 where there is none.
        totals: ``(G,)`` their scores.
        bounds: ``(K + 1,)`` where each joint's peaks begin and end.
        limbs: ``(L, 2)`` joints at the ends.
        tables: How well the field agrees with each pair, as ``find_limbs`` gives it.
    """
    for group in range(len(groups)):
        if (groups[group] >= 0).sum() < WHOLE:
            continue
        for _ in range(PASSES):
            offset = 0
            for start, end in limbs:
                rows, columns = bounds[start + 1] - bounds[start], bounds[end + 1] - bounds[end]
                if (groups[group, start] >= 0) != (groups[group, end] >= 0) and rows * columns:
                    table = tables[offset : offset + rows * columns].reshape((rows, columns))
                    totals[group] += _lead(groups[group], table, start, end, bounds)
                offset += rows * columns


@njit(nogil=True, cache=True)
def _lead(joints, table, start, end, bounds):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill the one empty end of a limb with the peak that it leads to, if that is one; return what it adds."""
    forward = joints[start] >= 0
    empty = end if forward else start
    scores = table[joints[start] - bounds[start]] if forward else table[:, joints[end] - bounds[end]].copy()
    peak = np.argmax(scores)
    if scores[peak] <= STRONG:
        return 0.0
    joints[empty] = bounds[empty] + peak
    return float(scores[peak])
