"""Joint errors: what is wrong with the joints of people who were found (Ronchi and Perona, ICCV 2017)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.coco import CocoSet, Floats
from bodyposenet.common.evaluation.oks import match_photo
from bodyposenet.common.storage.files import write_table
from bodyposenet.common.storage.location import Location

KINDS = ("good", "jitter", "inversion", "swap", "miss")
GOOD, NEAR = 0.85, 0.5  # similarities to a joint's place: right, and near
MATCHED = 0.1  # least OKS of somebody who was found with whom they are
FILE = "joint_errors.csv"


@dataclass(frozen=True)
class JointErrors:
    """How well the joints of the labelled people who were found lie.

    Attributes:
        joints: Names.
        counts: ``(K, 5)`` labelled joints of each kind: ``good``; ``jitter``, near its place; ``inversion``, where the
            person's other side has it; ``swap``, where somebody else has it, or its other side; ``miss``, anywhere else
            or nowhere.
        people: Labelled people who were found.
        likeness: Of each photo with labelled people by its id: their mean OKS; whoever was not found has 0.
    """

    joints: tuple[str, ...]
    counts: np.ndarray
    people: int
    likeness: dict[int, float]

    def shares(self) -> dict[str, float]:
        """Share of each kind among all joints; nothing where none was looked at."""
        total = self.counts.sum()
        return {kind: float(count / total) for kind, count in zip(KINDS, self.counts.sum(0), strict=True) if total}


def diagnose_joints(
    truth: CocoSet, detections: Sequence[dict[str, Any]], *, sigmas: Sequence[float], order: Sequence[int]
) -> JointErrors:
    """Tell what is wrong with the joints of people who were found.

    People are matched with labelled ones as for AP, the best first, at an OKS of .1. A joint's similarity to a place is
    its part of the OKS, at the scale of the person who is labelled.

    Args:
        truth: Who is there.
        detections: COCO detections.
        sigmas: OKS spread of each of the annotations' joints.
        order: For each of these its other side's, or its own place.
    """
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for detection in detections:
        found[detection["image_id"]].append(detection)
    counts = np.zeros((len(truth.joints), len(KINDS)), int)
    people, likeness = 0, {}
    for photo in truth.photos:
        if not any(person.labelled for person in photo.people):
            continue
        matches = match_photo(photo, found[photo.image_id], sigmas, MATCHED)
        alike = dict.fromkeys((number for number, person in enumerate(photo.people) if person.labelled), 0.0)
        pairs = [(place, number) for place, number in enumerate(matches.whose) if number in alike]
        if pairs:
            places, numbers = np.array(pairs).T
            alike |= dict(zip(numbers.tolist(), matches.alike[places, numbers].tolist(), strict=True))
            joints = np.array([person.keypoints for person in photo.people])
            areas = np.array([photo.people[number].area for number in numbers], float)
            kinds = _judge(matches.places[places], joints, numbers, areas, np.asarray(sigmas), np.asarray(order))
            somebody, labelled = np.nonzero(joints[numbers, :, 2] > 0)
            np.add.at(counts, (labelled, kinds[somebody, labelled]), 1)
            people += len(pairs)
        likeness[photo.image_id] = float(np.mean(list(alike.values())))
    return JointErrors(truth.joints, counts, people, likeness)


def _judge(
    found: Floats, joints: Floats, numbers: np.ndarray, areas: Floats, sigmas: Floats, order: np.ndarray
) -> np.ndarray:
    """Judge the joints of a photo's people: ``(D, K)`` numbers of ``KINDS``.

    Args:
        found: ``(D, K, 2)`` where they were found.
        joints: ``(A, K, 3)`` all people's.
        numbers: ``(D,)`` who they are.
        areas: ``(D,)`` of these.
        sigmas: Spread of each joint.
        order: The other sides.
    """
    reach = 2 * (areas[:, None] + np.spacing(1)) * (2 * sigmas) ** 2
    both = np.stack([joints, joints[:, order]])  # (2, A, K, 3)
    apart = ((found[:, None, None] - both[..., :2]) ** 2).sum(-1)  # (D, 2, A, K)
    alike = np.exp(-apart / reach[:, None, None]) * (both[..., 2] > 0)
    each = np.arange(len(found))
    own, inverted = alike[each, 0, numbers], alike[each, 1, numbers] * (order != np.arange(len(order)))
    alike[each, :, numbers] = 0
    others = alike.max(axis=(1, 2), initial=0)
    kinds = np.full(found.shape[:2], KINDS.index("miss"))
    kinds[others >= NEAR] = KINDS.index("swap")
    kinds[(inverted >= NEAR) & (inverted >= others)] = KINDS.index("inversion")
    kinds[own >= NEAR] = KINDS.index("jitter")
    kinds[own >= GOOD] = KINDS.index("good")
    return kinds


def write_joint_errors(folder: Location, errors: JointErrors) -> Location:
    """Write ``joint_errors.csv``: how many joints of each name are of each kind, and of all of them."""
    rows = [[joint, *row] for joint, row in zip(errors.joints, errors.counts.tolist(), strict=True)]
    path = folder / FILE
    write_table(path, ["joint", *KINDS], [*rows, ["all", *errors.counts.sum(0).tolist()]])
    return path
