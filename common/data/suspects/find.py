"""Find: the labels of a set that are likely wrong, told from the geometry of bodies and boxes alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Floats, Person, Photo
from bodyposenet.common.data.annotations.fields import Mask
from bodyposenet.common.data.suspects.bodies import Bodies, learn_build, measure_build
from bodyposenet.common.data.suspects.meetings import Meetings, find_meetings
from bodyposenet.common.data.suspects.sides import (
    LEAST_EVIDENCE,
    REASONS,
    HumanParts,
    find_contradictions,
    find_exchange,
    weigh_sides,
)
from bodyposenet.common.data.suspects.suspect import BOX, DOUBLED, STRAY, SWAPPED, Suspect, rank

PARTLY = 0.6  # score of a label with a part of the sides exchanged

BEYOND = 0.1  # of a box's side, from which on a joint outside counts
OFF_JOINTS, OFF_SHARE = 3, 0.3  # joints outside their box, and their share of those labelled, from which on it is off
WIDE_JOINTS, WIDE = 10, 0.55  # joints from which on a box is too large whose sides they fill less than this

# Log odds that a joint is another person's. Fitted to people of COCO val2017 with wrists, arms, ankles and legs moved
# to a neighbour's, who keeps or loses them.
NO_STRAY, SHARED, BETTER, DISTANT, OUTSIDE = -5.6, 6.4, 1.25, 1.4, 9.7
MOST_SPREADS, MOST_OUTSIDE = 8.0, 1.0  # beyond these nothing becomes more certain
NAMED = 3  # joints that a reason names


@dataclass(frozen=True, eq=False)
class SetGeometry:
    """What the geometry of a set's labelled people says.

    Attributes:
        bodies: The people.
        sides: ``(N,)`` log odds of each cue that sides are as labelled; none where the skeleton says nothing.
        contradictions: ``(N,)`` who has a part of the sides exchanged, by the reason.
        distances: ``(N, K)`` by how many spreads joints are too far from the rest of their body.
        outside: ``(N, K)`` how far joints lie outside their box, as a share of its side.
        meetings: Who is labelled where somebody else is.
    """

    bodies: Bodies
    sides: Mapping[str, Floats]
    contradictions: Mapping[str, Mask]
    distances: Floats
    outside: Floats
    meetings: Meetings

    @classmethod
    def make(cls, coco: CocoSet) -> "SetGeometry":
        """Look at the labelled people of a set."""
        bodies = Bodies.take(coco)
        parts = HumanParts.find(coco.joints)
        build = measure_build(bodies, learn_build(bodies))
        distances, outside = build.distances, bodies.outside
        meetings = find_meetings(bodies, build, distances + outside)
        if parts is None:
            return cls(bodies, {}, {}, distances, outside, meetings)
        return cls(bodies, weigh_sides(bodies, parts), find_contradictions(bodies, parts), distances, outside, meetings)

    @property
    def evidence(self) -> Floats:
        """``(N,)`` log odds that the sides of each person are as labelled; 0 where nothing tells."""
        return sum(self.sides.values(), np.zeros(len(self.bodies)))

    @property
    def off_box(self) -> Mask:
        """``(N,)`` who has many joints outside the box."""
        count = (self.outside > BEYOND).sum(axis=1)
        share = count / np.maximum(self.bodies.shown.sum(axis=1), 1)
        return np.asarray((count >= OFF_JOINTS) & (share > OFF_SHARE))

    @property
    def strays(self) -> Floats:
        """``(N, K)`` log odds that each joint is another person's; of a box that is off nothing is told by the box."""
        outside = np.where(self.off_box[:, None], 0, np.minimum(self.outside, MOST_OUTSIDE))
        shared, better = self.meetings.owner_of >= 0, self.meetings.better_for >= 0
        odds = NO_STRAY + np.where(shared, SHARED, BETTER * better)
        odds += DISTANT * np.minimum(self.distances, MOST_SPREADS) + OUTSIDE * outside
        return np.where(self.bodies.shown & (self.meetings.first_of < 0)[:, None], odds, -np.inf)


def find_by_geometry(coco: CocoSet, pairs: Sequence[tuple[str, str]] | None = None) -> list[Suspect]:
    """Find the labels that are likely wrong, the likeliest first.

    Args:
        coco: The set; its visibility flags are 0 not labelled, 1 hidden, 2 visible.
        pairs: Left and right joint of each pair; None goes by the names.
    """
    if not coco.labelled.any():
        return []
    found, makers = SetGeometry.make(coco), (_tell_swapped, _tell_crossed, _tell_doubled, _tell_strays, _tell_boxes)
    order = find_exchange(coco.joints, pairs)
    return rank(suspect for tell in makers for suspect in tell(_Set(coco, order), found))


class _Set:
    """Looks up the labels of a set."""

    def __init__(self, coco: CocoSet, order: Sequence[int]) -> None:
        self.coco, self.order = coco, list(order)
        self._last: tuple[int, Photo] | None = None  # the next suspect is often in the same photo

    def find(self, found: SetGeometry, number: int) -> tuple[Photo, Person]:
        place = int(found.bodies.photo_of[number])
        if self._last is None or self._last[0] != place:
            self._last = place, self.coco.photos[place]
        photo = self._last[1]
        return photo, photo.people[int(found.bodies.rows[number] - self.coco.annotations.first[place])]


def _tell_swapped(coco: _Set, found: SetGeometry) -> Iterator[Suspect]:
    evidence = found.evidence
    for number in np.flatnonzero(evidence < -LEAST_EVIDENCE).tolist():
        photo, person = coco.find(found, number)
        cue = min(found.sides, key=lambda name: found.sides[name][number])
        score = _to_share(-float(evidence[number]) - LEAST_EVIDENCE)
        yield Suspect(photo, person, SWAPPED, score, REASONS[cue], person.keypoints[coco.order])


def _tell_crossed(coco: _Set, found: SetGeometry) -> Iterator[Suspect]:
    for reason, crossed in found.contradictions.items():
        for number in np.flatnonzero(crossed).tolist():
            photo, person = coco.find(found, number)
            yield Suspect(photo, person, SWAPPED, PARTLY, reason)


def _tell_doubled(coco: _Set, found: SetGeometry) -> Iterator[Suspect]:
    for number in np.flatnonzero(found.meetings.first_of >= 0).tolist():
        photo, person = coco.find(found, number)
        before = coco.find(found, int(found.meetings.first_of[number]))[1]
        oks = float(found.meetings.likeness[number])
        reason = f"of the same person as annotation {before.annotation_id}: OKS {oks:.2f} between the two"
        yield Suspect(photo, person, DOUBLED, min(1.0, oks), reason)


def _tell_strays(coco: _Set, found: SetGeometry) -> Iterator[Suspect]:
    odds = found.strays
    for number in np.flatnonzero(odds.max(axis=1, initial=-np.inf) > 0).tolist():
        photo, person = coco.find(found, number)
        joints = np.flatnonzero(odds[number] > 0)
        worst = int(odds[number].argmax())
        told = describe_strays(found.bodies.joints, joints.tolist())
        reason = f"{told} {_explain_stray(coco, found, number, worst, few=len(joints) == 1)}"
        proposal = person.keypoints.copy()
        proposal[joints] = 0
        score = _to_share(float(odds[number, worst]))
        yield Suspect(photo, person, STRAY, score, reason, proposal, tuple(joints.tolist()))


def _explain_stray(coco: _Set, found: SetGeometry, number: int, joint: int, *, few: bool) -> str:
    """Say why the worst of somebody's strange joints, of one or of several, is another person's."""
    owner, better = (int(each[number, joint]) for each in (found.meetings.owner_of, found.meetings.better_for))
    if owner >= 0:
        return f"on {'that' if few else 'those'} of annotation {coco.find(found, owner)[1].annotation_id}"
    if better >= 0:
        other = coco.find(found, better)[1].annotation_id
        return f"where {'it fits' if few else 'they fit'} the body of annotation {other} better"
    if DISTANT * found.distances[number, joint] > OUTSIDE * found.outside[number, joint]:
        return "too far from the other joints for one body"
    return "far outside the box"


def _tell_boxes(coco: _Set, found: SetGeometry) -> Iterator[Suspect]:
    count = found.bodies.shown.sum(axis=1)
    outside = (found.outside > BEYOND).sum(axis=1)
    filled = ((found.bodies.high - found.bodies.low) / np.maximum(found.bodies.boxes[:, 2:], 1)).max(axis=1)
    wide = (count >= WIDE_JOINTS) & (filled < WIDE)
    off = found.off_box
    for number in np.flatnonzero(off | wide).tolist():
        photo, person = coco.find(found, number)
        if off[number]:
            reason = f"{outside[number]} of {count[number]} labelled joints lie outside the box"
            score = 0.4 + 0.6 * float(outside[number] / count[number])
        else:
            reason = f"{count[number]} labelled joints fill {100 * filled[number]:.0f} % of the box's sides at most"
            score = min(1.0, 1.2 - float(filled[number]))
        yield Suspect(photo, person, BOX, score, reason, person.keypoints)


def _to_share(odds: float) -> float:
    """Turn log odds into a share; above 0, however small."""
    return float(1 / (1 + np.exp(-np.clip(odds, -20, 20))))


def describe_strays(joints: Sequence[str], numbers: Sequence[int]) -> str:
    """Name some joints, and begin to say where they lie."""
    named = [joints[number] for number in numbers[:NAMED]]
    more = len(numbers) - len(named)
    told = [*named, f"{more} more"] if more else named
    if len(told) == 1:
        return f"{told[0]} lies"
    return f"{', '.join(told[:-1])} and {told[-1]} lie"
