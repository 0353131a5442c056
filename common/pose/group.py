"""Group: limbs joined into people.

All matched limbs of all kinds are taken together, best first, and each joins the two groups that it touches unless both
own a joint of the same kind. Unlike assembly limb by limb (Cao et al., CVPR 2017, section 2.4) the result does not
depend on the order of the limbs, and a group can grow at either end.
"""

import numpy as np

from bodyposenet.common.machine.compiling import njit
from bodyposenet.common.pose.adoption import disjoint


@njit(nogil=True, cache=True)
def group_limbs(pairs, scores, values, bounds):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Assemble people.

    Args:
        pairs: ``(M, 3)`` limb, start peak, end peak.
        scores: ``(M,)`` of the limbs.
        values: ``(P,)`` of the peaks.
        bounds: ``(K + 1,)`` where each joint's peaks begin and end.

    Returns:
        ``(G, K)`` int64 peak of each joint, -1 where there is none, a row a group, single peaks too; and ``(G,)``
        float64, the sum of its peaks' values and its limbs' scores.
    """
    joints, peaks = len(bounds) - 1, len(values)
    members = np.full((peaks, joints), -1, np.int64)  # row p: the group whose first peak is p
    totals = values.astype(np.float64)
    owner = np.arange(peaks)
    for joint in range(joints):
        for peak in range(bounds[joint], bounds[joint + 1]):
            members[peak, joint] = peak
    for place in np.argsort(-scores, kind="mergesort"):
        a, b = owner[pairs[place, 1]], owner[pairs[place, 2]]
        if a == b:
            totals[a] += scores[place]
        elif disjoint(members[a], members[b]):
            _merge(members, owner, a, b)
            totals[a] += totals[b] + scores[place]
    heads = np.flatnonzero(owner == np.arange(peaks))
    return members[heads], totals[heads]


@njit(nogil=True, cache=True)
def _merge(members, owner, a, b):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    for joint in range(members.shape[1]):
        peak = members[b, joint]
        if peak >= 0:
            members[a, joint] = peak
            owner[peak] = a
