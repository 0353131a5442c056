"""Group: limbs joined into people.

All matched limbs of all kinds are taken together, best first, and each joins the two groups that it touches unless both
own a joint of the same kind. Unlike assembly limb by limb (Cao et al., CVPR 2017, section 2.4) the result does not
depend on the order of the limbs, and a group can grow at either end.
"""

import math

import numpy as np

from bodyposenet.common.machine.compiling import njit

LIKELY = 2.0  # greatest mean deviation, in spreads; 1.5 to 3 do about as well
FORESHORTENED = 0.5  # deviations of distances that are too short count so much: limbs point at the camera at times
MOST_GROUPS = 192  # the largest may be taken up; more are noise
LEAST_DISTANCE = 0.1  # cells; closer joints are taken to be so far apart

STRONG = 0.3  # least mean field of a limb to a shared peak
WHOLE = 3  # joints of a person who may share
PASSES = 2  # a shared joint may lead to the next
SAME = 2  # joints that two groups share who may be one person


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


@njit(nogil=True, cache=True)
def adopt(groups, totals, points, means, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Join groups that own different joints and together make a likely body, the larger first.

    Args:
        groups: ``(G, K)`` int64 peak of each joint, -1 where there is none.
        totals: ``(G,)`` their scores.
        points: ``(P, 2)`` peaks, x, y in cells.
        means: ``(K, K)`` of the skeleton's prior.
        weights: ``(K, K)`` of the skeleton's prior.

    Returns:
        Fewer groups, the larger first, and their totals.
    """
    counts = (groups >= 0).sum(axis=1)
    order = np.argsort(-(counts + totals / (1 + totals)), kind="mergesort")
    members, scores, counts = groups[order], totals[order], counts[order]
    sums = np.full((len(members), 2), -1.0)  # weights, and weighted scales, of the pairs inside a group; -1: not yet
    ties = np.zeros(members.shape)  # weights of the pairs of each joint with a group
    kept = 0  # so many rows hold bodies; those up to the present one are free
    for group in range(len(members)):
        host = -1
        if group < MOST_GROUPS and counts[group] < members.shape[1]:
            host = _host(group, kept, members, counts, points, means, weights, sums, ties)
        if host < 0:
            members[kept], scores[kept], counts[kept] = members[group], scores[group], counts[group]
            sums[kept], ties[kept] = sums[group], ties[group]
            kept += 1
            continue
        _add_pairs(members[host], members[group], points, means, weights, sums[host])
        sums[host] += sums[group]
        ties[host] += ties[group]
        members[host] = np.maximum(members[host], members[group])
        counts[host] += counts[group]
        scores[host] += scores[group]
    return members[:kept], scores[:kept]


@njit(nogil=True, cache=True)
def _weigh(group, points, means, weights, sums, ties):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill a group's sums and ties."""
    sums[:] = 0
    for a in range(len(group)):
        if group[a] >= 0:
            for b in range(len(ties)):
                ties[b] += weights[a, b]
            for b in range(a):
                if group[b] >= 0:
                    sums[0] += weights[a, b]
                    sums[1] += weights[a, b] * _scale(points, group[a], group[b], means[a, b])


@njit(nogil=True, cache=True)
def _scale(points, one, other, mean):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Return the logarithm of a body's size, as two of its joints have it."""
    dx, dy = float(points[one, 0]) - points[other, 0], float(points[one, 1]) - points[other, 1]
    return 0.5 * math.log(max(dx * dx + dy * dy, LEAST_DISTANCE**2)) - mean


@njit(nogil=True, cache=True)
def _add_pairs(one, other, points, means, weights, sums):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Add the pairs of a joint of the one and a joint of the other."""
    for a in range(len(one)):
        if one[a] >= 0:
            for b in range(len(other)):
                if a != b and other[b] >= 0:
                    sums[0] += weights[a, b]
                    sums[1] += weights[a, b] * _scale(points, one[a], other[b], means[a, b])


@njit(nogil=True, cache=True)
def _host(group, kept, members, counts, points, means, weights, sums, ties):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Find the likeliest body for a group, or -1."""
    best, least = -1, LIKELY * LIKELY
    for other in range(kept):
        if counts[other] > 1 and disjoint(members[group], members[other]):
            for one in (group, other):
                if sums[one, 0] < 0:
                    _weigh(members[one], points, means, weights, sums[one], ties[one])
            scale = (sums[group, 1] + sums[other, 1]) / (sums[group, 0] + sums[other, 0])
            weight = 0.0
            for joint in range(members.shape[1]):
                if members[group, joint] >= 0:
                    weight += ties[other, joint]
            cost = _cost(members[group], members[other], points, means, weights, scale, least * weight) / weight
            if cost < least:
                best, least = other, cost
    return best


@njit(nogil=True, cache=True)
def _cost(one, other, points, means, weights, scale, most):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Sum of square deviations, weighted, of the pairs between two groups; infinite as soon as it is not below most."""
    cost = 0.0
    for a in range(len(one)):
        if one[a] < 0:
            continue
        for b in range(len(other)):
            if other[b] >= 0:
                off = _scale(points, one[a], other[b], means[a, b]) - scale
                off = off if off > 0 else FORESHORTENED * off
                cost += (weights[a, b] * off) ** 2
                if cost >= most:
                    return np.inf
    return cost


@njit(nogil=True, cache=True)
def disjoint(one, other):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Tell whether no joint is owned by both groups: the sign bit of all is set wherever one of them has -1."""
    signs = -1
    for joint in range(len(one)):  # without a way out: several joints at once
        signs &= one[joint] | other[joint]
    return signs < 0


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


@njit(nogil=True, cache=True)
def lend(groups, totals, peaks, points, means, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Let a group have the joints that it lacks of a lesser one that shares some of its own, in place.

    Where maps show one person twice, each of the two may have a part of the body; as they share joints, none joins the
    other. What is lent must make a likely body with the rest.

    Args:
        groups: ``(G, K)`` int64 peak of each joint, -1 where there is none.
        totals: ``(G,)`` their scores.
        peaks: How many there are.
        points: ``(P, 2)`` peaks, x, y in cells.
        means: ``(K, K)`` of the skeleton's prior.
        weights: ``(K, K)`` of the skeleton's prior.
    """
    holder = np.full(peaks, -1)
    for group in np.argsort(-totals, kind="mergesort"):
        host, shared = -1, 0
        for joint in range(groups.shape[1]):
            peak = groups[group, joint]
            if peak >= 0 and holder[peak] < 0:
                holder[peak] = group
            elif peak >= 0 and host in (-1, holder[peak]):
                host = holder[peak]
                shared += 1
        if shared >= SAME:
            _complete(groups[host], groups[group], points, means, weights)


@njit(nogil=True, cache=True)
def _complete(host, other, points, means, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """Fill what a group lacks with what another one has, if both make a likely body."""
    lent = np.where(host < 0, other, -1)
    if lent.max() < 0:
        return
    sums, ties = np.zeros(2), np.zeros(len(host))
    _weigh(host, points, means, weights, sums, ties)
    weight = 0.0
    for joint in range(len(host)):
        if lent[joint] >= 0:
            weight += ties[joint]
    most = LIKELY * LIKELY * weight
    if _cost(lent, host, points, means, weights, sums[1] / sums[0], most) < most:
        host[:] = np.maximum(host, lent)


@njit(nogil=True, cache=True)
def count_once(groups, totals, peaks):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
    """Let each peak count for the best of the groups that share it only, in place.

    Where maps show one person twice, in two sizes say, the second is made of the first one's joints mostly. Of a share
    ``f`` of joints that are a group's own, about ``f * f`` of its limbs have both ends of its own, and so much of its
    total is left.

    Args:
        groups: ``(G, K)`` int64 peak of each joint, -1 where there is none.
        totals: ``(G,)`` their scores.
        peaks: How many there are.
    """
    taken = np.zeros(peaks, np.bool_)
    for group in np.argsort(-totals, kind="mergesort"):
        own, joints = 0, 0
        for joint in range(groups.shape[1]):
            peak = groups[group, joint]
            if peak >= 0:
                own += not taken[peak]
                joints += 1
                taken[peak] = True
        totals[group] *= (own / joints) ** 2
