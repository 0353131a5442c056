"""Meetings: people of one photo who are labelled at the same place: one person twice, or a joint of another's."""

from dataclasses import dataclass

import numpy as np

from bodyposenet.common.data.annotations.coco import Floats
from bodyposenet.common.data.annotations.fields import Mask, Numbers
from bodyposenet.common.data.suspects.bodies import Bodies, Build, compare_joints, iterate_neighbours, measure_fit

LEAST_LIKENESS = 0.5  # OKS of two labels, from which on they are suspected to be of one person
SAME_PLACE = 0.9  # likeness of a joint of two people, from which on it is one joint
MISFIT, FITS = 0.3, 0.5  # misfit from which on a joint may be another's; and below which it fits that one's body
LEAST_JOINTS = 3  # that two labels have in common, to be of one person


@dataclass(frozen=True, eq=False)
class Meetings:
    """Who is labelled where somebody else is.

    Attributes:
        first_of: ``(N,)`` for each person the one before of whom this is a second label; -1 for none.
        likeness: ``(N,)`` the OKS between the two.
        owner_of: ``(N, K)`` for each joint a person who has theirs at the same place, and whose body it fits better;
            -1 for none.
        better_for: ``(N, K)`` for each joint that fits its body badly a person without one there whose body it fits.
    """

    first_of: Numbers
    likeness: Floats
    owner_of: Numbers
    better_for: Numbers


def find_meetings(bodies: Bodies, build: Build, misfits: Floats) -> Meetings:
    """Find who is labelled twice, and joints that two people share.

    Args:
        bodies: The people.
        build: How their joints lie to each other.
        misfits: ``(N, K)`` how badly each joint fits its body; of two people at one place it is the better one's.
    """
    count, joints = misfits.shape
    found = Meetings(np.full(count, -1), np.zeros(count), np.full((count, joints), -1), np.full((count, joints), -1))
    for ones, others in iterate_neighbours(bodies):
        alike, both = compare_joints(bodies, ones, others)
        labelled = np.stack([bodies.shown[ones].sum(axis=1), bodies.shown[others].sum(axis=1)])
        oks = (alike.sum(axis=1) / labelled).mean(axis=0)
        twice = (oks > LEAST_LIKENESS) & (both.sum(axis=1) >= np.minimum(LEAST_JOINTS, labelled.max(axis=0)))
        better = twice & (oks > found.likeness[others])
        found.first_of[others[better]], found.likeness[others[better]] = ones[better], oks[better]
        for own, other in ((ones, others), (others, ones)):
            _compare_fit(found.better_for, bodies, build, misfits, own[~twice], other[~twice])
        _share(found.owner_of, ones, others, misfits, (alike >= SAME_PLACE) & ~twice[:, None])
    return found


def _share(owner_of: Numbers, ones: Numbers, others: Numbers, misfits: Floats, shared: Mask) -> None:
    """Note whose the shared joints are; where both bodies fit as well, the one before in the file has it."""
    pairs, joints = np.nonzero(shared)
    first, second = ones[pairs], others[pairs]
    later = misfits[second, joints] >= misfits[first, joints]
    owner_of[np.where(later, second, first), joints] = np.where(later, first, second)


def _compare_fit(
    better_for: Numbers, bodies: Bodies, build: Build, misfits: Floats, own: Numbers, others: Numbers
) -> None:
    """Note joints that fit their own body badly and another's well."""
    pairs, joints = np.nonzero((misfits[own] > MISFIT) & bodies.shown[own])
    if build.prior is not None and len(pairs):
        people, owners = own[pairs], others[pairs]
        fit = measure_fit(bodies, build.prior, build.scales, people, joints, owners)
        better = (fit < FITS) & (misfits[people, joints] > fit + MISFIT)
        better_for[people[better], joints[better]] = owners[better]
