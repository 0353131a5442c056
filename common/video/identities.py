"""Identities: who in one frame is who in the next, by where a person's joints are expected.

A person goes on as they went (constant velocity), and is compared with those who are found by OKS, COCO's measure of
how alike joints are. Where people stand close together a network puts bodies together of the joints of two: the more
what is found is like others who are expected, too, the less it draws along whoever it is taken for. Whoever is hidden
is expected for a while. No picture is looked at: two who meet and turn back while both are hidden change their numbers.
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.video.assignment import assign

HIDDEN = 0.502  # seconds that a person may be hidden for: 15 frames at 29.97 a second, told in whole milliseconds
LEAST = 0.15  # OKS; below it nobody is the same
COMMON = 3  # joints that two are compared by; with fewer of them they are less alike
NEWEST = 0.1  # weight of the last frame's step in the velocity; of the first steps there is the mean
DOUBT = 4  # power of the share that somebody has in what is found, by which it counts beside what was expected
UNCERTAIN = 0.1  # by so much, a frame, what is expected of someone hidden may be further off
FLAT = 0.25  # of a box's longer side: the least that counts as its shorter one

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Followed:
    """A person who is followed.

    Attributes:
        number: Their identity.
        joints: ``(K, 3)`` x, y and score as they were last found, moved on to the frame in which the person was seen,
            nearer to where they were expected if it may have been somebody else; score 0 where one was never found.
        velocity: ``(2,)`` pixels a frame.
        area: In square pixels, of the box around the joints.
        time: When they were last seen, in seconds.
        hidden: Frames since they were seen.
        seen: Frames in which they were.
    """

    number: int
    joints: Floats
    velocity: Floats
    area: float
    time: float
    hidden: int = 0
    seen: int = 1

    def expect(self) -> Floats:
        """Where the joints are in the coming frame: ``(K, 2)``."""
        return np.asarray(self.joints[:, :2] + self.velocity * (self.hidden + 1))


class Identities:
    """Numbers people from frame to frame.

    Numbers begin at 1 and are never given again; who comes at once is numbered from left to right. In which order the
    people of a frame are given does not matter.

    Args:
        skeleton: Names the joints and says how far each may be off.
        hidden: Seconds that a person may be hidden for, and still keep their number; a frame they may be in any case.
    """

    def __init__(self, skeleton: Skeleton, hidden: float = HIDDEN) -> None:
        self.hidden = hidden
        self._spread = (2 * np.asarray(skeleton.sigmas, float)) ** 2
        self._followed: list[_Followed] = []
        self._last = 0

    @property
    def expected(self) -> frozenset[int]:
        """The numbers of those who were seen, or may come back."""
        return frozenset(each.number for each in self._followed)

    def follow(self, people: People, time: float) -> tuple[int, ...]:
        """Number the people of the next frame, who may be nobody.

        Args:
            people: In pixels of the video.
            time: Seconds; later than the last frame's.

        Returns:
            A number for each, in their order.
        """
        found = people.keypoints.astype(float)
        alike = self._compare(found)
        pairs = dict(assign(alike))
        trust = (alike / np.maximum(alike.sum(axis=0), 1e-9)) ** DOUBT
        seen = {
            column: _move(self._followed[row], found[column], float(trust[row, column]), time)
            for row, column in pairs.items()
        }  # fmt: skip
        missed = [replace(each, hidden=each.hidden + 1) for row, each in enumerate(self._followed) if row not in pairs]
        new = [column for column in range(len(found)) if column not in seen]
        for column in sorted(new, key=lambda column: _order(found[column])):
            self._last += 1
            seen[column] = _Followed(self._last, found[column], np.zeros(2), _measure(found[column]), time)
        kept = [each for each in missed if each.hidden == 1 or time - each.time <= self.hidden]
        self._followed = [*seen.values(), *kept]
        self._followed.sort(key=lambda each: each.number)
        return tuple(seen[column].number for column in range(len(found)))

    def _compare(self, found: Floats) -> Floats:
        """``(F, N)`` OKS of everybody expected with everybody found; 0 where it is too low."""
        table = np.zeros((len(self._followed), len(found)))
        if not table.size:
            return table
        there, scores = found[..., :2], found[..., 2] > 0
        areas = np.array([_measure(each) for each in found])
        for row, each in enumerate(self._followed):
            both = scores & (each.joints[:, 2] > 0)
            area = (each.area + areas) / 2 * (1 + UNCERTAIN * each.hidden) ** 2
            apart = ((there - each.expect()) ** 2).sum(axis=-1)
            alike = np.exp(-apart / (2 * area[:, None] * self._spread)) * both
            table[row] = alike.sum(axis=1) / np.maximum(both.sum(axis=1), COMMON)
        return np.where(table >= LEAST, table, 0.0)


def _move(person: _Followed, found: Floats, trust: float, time: float) -> _Followed:
    """Take over where a person was found, as far as it is trusted; joints that were not found stay with the others."""
    there, known, expected = found[:, 2] > 0, person.joints[:, 2] > 0, person.expect()
    both = there & known
    off = np.median((found[:, :2] - expected)[both], axis=0) / (person.hidden + 1) if both.any() else np.zeros(2)
    velocity = person.velocity + trust * max(NEWEST, 1 / person.seen) * off
    weight = there * np.where(known, trust, 1.0)
    places = expected + weight[:, None] * (found[:, :2] - expected)
    joints = np.column_stack([places, np.where(there, found[:, 2], person.joints[:, 2])])
    area = person.area + trust * NEWEST * (_measure(found) - person.area)
    return _Followed(person.number, joints, velocity, area, time, 0, person.seen + 1)


def _measure(joints: Floats) -> float:
    """The area of the box around the joints that were found, of one that is flat more; 1 at least."""
    sides = np.ptp(joints[joints[:, 2] > 0, :2], axis=0) if (joints[:, 2] > 0).any() else np.zeros(2)
    return max(1.0, float(sides.max() * max(sides.min(), FLAT * sides.max())))


def _order(joints: Floats) -> tuple[float, ...]:
    """What people are sorted by from left to right, those alike by all that is known of them."""
    placed = joints[joints[:, 2] > 0, :2]
    return (*(placed.mean(axis=0) if len(placed) else np.zeros(2)), *joints.ravel())
