"""Sides: labels whose left and right are exchanged, told from how faces, shoulders and hips lie to each other.

A face that shows both eyes and the nose is seen from the front. Of a head that is turned aside one ear and one eye are
seen, on the side that the nose points away from. Who has an ear labelled and no face is seen from behind. How much each
of these says was fitted to the people of COCO val2017. Skeletons without these joints, and animals, whose bodies lie,
say nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bodyposenet.common.data.annotations.coco import Floats
from bodyposenet.common.data.annotations.fields import Mask
from bodyposenet.common.data.suspects.bodies import Bodies
from bodyposenet.common.skeleton.joint_names import names_part, pairs_by_name

Pair = tuple[int, int]
HUMAN = ("eye", "ear", "shoulder", "hip", "elbow", "wrist", "knee", "ankle")  # pairs of joints; and a nose
NO_HUMAN = ("tail", "paw", "hoof", "wing", "withers")
NEAREST = 3.0  # pixels; joints that are no farther apart lie to no side of each other
LEAST_EVIDENCE = 2.0  # log odds for exchanged sides, from which on a label is suspected
TWIST = 0.2  # of the trunk's height: as wide across, and turned to opposite sides, shoulders and hips contradict
# Logarithm of the way over the arms, or thighs, as labelled over that with the elbows, or knees, exchanged
CROSSED = {"elbow": 0.2, "knee": 0.3}

# What a cue is worth in log odds, where it is as clear as can be.
WEIGHTS = {
    "face": 4.0, "eyes": 2.0, "ear": 2.8, "eye": 2.7, "near side": 2.0,
    "ears from behind": 2.0, "shoulders from behind": 1.0, "hips from behind": 0.5, "hips from the front": 0.5,
}  # fmt: skip
REASONS = {
    "face": "the face is seen from the front, and the left eye is where the right one should be",
    "eyes": "the left eye is where the right one should be",
    "ear": "the nose points away from the side of the head whose ear is labelled",
    "eye": "the nose points away from the side of the head whose eye is labelled",
    "near side": "the side that is turned away is labelled as the visible one",
    "ears from behind": "no face is labelled, so the back of the head is seen, with the ears on the wrong sides",
    "shoulders from behind": "no face is labelled, so the back is seen, with the shoulders on the wrong sides",
    "hips from behind": "no face is labelled, so the back is seen, with the hips on the wrong sides",
    "hips from the front": "the face is seen from the front, and the left hip is where the right one should be",
}


@dataclass(frozen=True)
class HumanParts:
    """Where the joints of a human body are among those of a skeleton: left and right of each pair, and the nose."""

    nose: int
    pairs: dict[str, Pair]

    @classmethod
    def find(cls, joints: Sequence[str]) -> "HumanParts | None":
        """Find them by their names; None where they are not all there, or the body is an animal's."""
        if any(names_part(joint, part) for joint in joints for part in NO_HUMAN):
            return None
        nose = [number for number, joint in enumerate(joints) if names_part(joint, "nose")]
        pairs: dict[str, Pair] = {}
        for left, right in pairs_by_name(joints):
            part = next((part for part in HUMAN if names_part(left, part)), "")
            pairs.setdefault(part, (joints.index(left), joints.index(right)))
        return cls(nose[0], pairs) if len(nose) == 1 and {*HUMAN} <= {*pairs} else None


def find_exchange(joints: Sequence[str], pairs: Sequence[tuple[str, str]] | None = None) -> list[int]:
    """Find for each joint the one on the other side of the body; a joint without one stays.

    Args:
        joints: Their names.
        pairs: Left and right of each pair; None goes by the names.
    """
    told = pairs_by_name(joints) if pairs is None else pairs
    whole = [(left, right) for left, right in told if {left, right} <= {*joints}]
    others = dict(whole) | {right: left for left, right in whole}
    return [joints.index(others.get(joint, joint)) for joint in joints]


def weigh_sides(bodies: Bodies, parts: HumanParts) -> dict[str, Floats]:
    """Weigh what speaks for the sides of each person as they are labelled, and, below 0, for their exchange.

    Exchanged labels have the same numbers with another sign.

    Returns:
        ``(N,)`` log odds of each cue; 0 where it says nothing.
    """
    body = _Body(bodies.keypoints, parts)
    nose, left, right = (body.shown[:, number] for number in (parts.nose, *parts.pairs["eye"]))
    ears = body.shown[:, parts.pairs["ear"]]
    front, behind = left & right & nose, ~(left | right | nose) & ears.any(axis=1)
    facing = body.find_facing()
    cues = {
        "face": body.turn_face() * front,
        "eyes": body.find_side("eye"),
        "ear": body.point_from("ear") * nose,
        "eye": (left ^ right) * np.where(left, -1, 1) * facing,
        "near side": -body.count_visible() * facing,
        "ears from behind": -body.find_side("ear") * behind,
        "shoulders from behind": -body.find_side("shoulder") * behind,
        "hips from behind": -body.find_side("hip") * behind,
        "hips from the front": body.find_side("hip") * front,
    }
    return {name: WEIGHTS[name] * cue for name, cue in cues.items()}


def find_contradictions(bodies: Bodies, parts: HumanParts) -> dict[str, Mask]:
    """Find who has only a part of the sides exchanged, by what contradicts the other parts; ``(N,)`` each."""
    body = _Body(bodies.keypoints, parts)
    found = {"shoulders and hips are turned to opposite sides": body.is_twisted()}
    for (upper, lower), limbs in {("shoulder", "elbow"): "upper arms", ("hip", "knee"): "thighs"}.items():
        found[f"the {limbs} cross: each {lower} lies on the side of the other"] = body.is_crossed(upper, lower)
    return found


class _Body:
    """Where the joints of bodies lie to their own axis, from the hips up to the shoulders or on to the head."""

    def __init__(self, keypoints: Floats, parts: HumanParts) -> None:
        self.parts = parts
        self.places, self.flags = keypoints[..., :2], keypoints[..., 2]
        self.shown = self.flags > 0
        shoulders, above = self._average(parts.pairs["shoulder"])
        hips, below = self._average(parts.pairs["hip"])
        head, seen = self._average((parts.nose, *parts.pairs["eye"], *parts.pairs["ear"]))
        trunk = (above > 0) & (below > 0)
        neck = ~trunk & (above == 2) & (seen > 0)
        axis = np.where(trunk[:, None], shoulders - hips, np.where(neck[:, None], head - shoulders, 0.0))
        self.length = np.linalg.norm(axis, axis=1)
        self.shoulders, self.has_shoulders = shoulders, above > 0
        self.whole_trunk = (above == 2) & (below == 2) & (self.length > NEAREST)
        # The viewer's right, for a body that is upright
        self.across = np.stack([-axis[:, 1], axis[:, 0]], axis=1) / np.maximum(self.length, 1e-9)[:, None]

    def _average(self, numbers: Sequence[int]) -> tuple[Floats, Floats]:
        """Average the labelled ones of some joints, and count them."""
        shown = self.shown[:, numbers]
        count = shown.sum(axis=1)
        total = (self.places[:, numbers] * shown[..., None]).sum(axis=1)
        return total / np.maximum(count, 1)[:, None], count

    def _aim(self, ways: Floats, known: Mask) -> Floats:
        """Tell how much ``(N, 2)`` ways lead to the viewer's right: from -1 to 1, and 0 where that is not known."""
        lengths = np.linalg.norm(ways, axis=1)
        known = known & (lengths >= NEAREST) & (self.length > 0)
        return np.where(known, (ways * self.across).sum(axis=1) / np.maximum(lengths, 1e-9), 0.0)

    def find_side(self, part: str) -> Floats:
        """Tell on which side of the right joint the left one lies: 1 on the viewer's right, as from the front."""
        left, right = self.parts.pairs[part]
        return self._aim(self.places[:, left] - self.places[:, right], self.shown[:, left] & self.shown[:, right])

    def turn_face(self) -> Floats:
        """Tell in which order eyes and nose go around: 1 as in a face from the front, however it is turned."""
        left, right = self.parts.pairs["eye"]
        eyes = self.places[:, left] - self.places[:, right]
        down = self.places[:, self.parts.nose] - (self.places[:, left] + self.places[:, right]) / 2
        size = np.linalg.norm(eyes, axis=1) * np.linalg.norm(down, axis=1)
        return np.asarray((eyes[:, 0] * down[:, 1] - eyes[:, 1] * down[:, 0]) / np.maximum(size, 1e-9))

    def find_facing(self) -> Floats:
        """Tell where the nose points: 1 to the viewer's right, by the ears, or by the shoulders."""
        ears, count = self._average(self.parts.pairs["ear"])
        start = np.where(count[:, None] > 0, ears, self.shoulders)
        known = self.shown[:, self.parts.nose] & ((count > 0) | self.has_shoulders)
        return self._aim(self.places[:, self.parts.nose] - start, known)

    def point_from(self, part: str) -> Floats:
        """Tell whether the nose points away from the one joint of a pair that is labelled: 1 as it should be."""
        left, right = self.parts.pairs[part]
        only = self.shown[:, left]
        start = np.where(only[:, None], self.places[:, left], self.places[:, right])
        ways = self.places[:, self.parts.nose] - start
        return np.where(only, -1, 1) * self._aim(ways, only ^ self.shown[:, right])

    def count_visible(self) -> Floats:
        """Count how many more joints of the left side than of the right are visible, from -1 to 1."""
        sides = np.array([self.parts.pairs[part] for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")])
        counts = (self.flags[:, sides] == 2).sum(axis=1)  # (N, 2)
        return np.asarray((counts[:, 0] - counts[:, 1]) / len(sides))

    def is_twisted(self) -> Mask:
        """Tell whether shoulders and hips are turned to opposite sides, both wide."""
        widths = []
        for part in ("shoulder", "hip"):
            left, right = self.parts.pairs[part]
            widths.append(((self.places[:, left] - self.places[:, right]) * self.across).sum(axis=1))
        wide = np.minimum(*np.abs(widths)) > TWIST * self.length
        return np.asarray(self.whole_trunk & wide & (widths[0] * widths[1] < 0))

    def is_crossed(self, upper: str, lower: str) -> Mask:
        """Tell whether the limbs of a pair are much longer than they would be with their ends exchanged."""
        ends = [*self.parts.pairs[upper], *self.parts.pairs[lower]]
        a, b, c, d = (self.places[:, number] for number in ends)
        own = np.linalg.norm(a - c, axis=1) + np.linalg.norm(b - d, axis=1)
        other = np.linalg.norm(a - d, axis=1) + np.linalg.norm(b - c, axis=1)
        longer = np.log(np.maximum(own, 1) / np.maximum(other, 1)) > CROSSED[lower]
        return np.asarray(self.shown[:, ends].all(axis=1) & longer & (own >= 4 * NEAREST))
