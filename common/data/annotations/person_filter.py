"""Person filter: which people of a photo are worth a training sample of their own."""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import CocoSet, Floats, Person, Photo


class FilteringParams(Protocol):
    """``data_filtering_params`` of a dataset spec."""

    @property
    def min_acceptable_height(self) -> float:
        """Least height of the box, in pixels."""

    @property
    def min_acceptable_width(self) -> float:
        """Least width of the box, in pixels."""

    @property
    def min_acceptable_kpts(self) -> int:
        """Least number of labelled joints."""

    @property
    def min_acceptable_interperson_dist_ratio(self) -> float:
        """Least distance to a person already taken, as a fraction of the longer side of that person's box."""


REASONS = ("of interest", "crowd", "no keypoints", "few keypoints", "low", "narrow", "beside another", "withheld photo")
OF_INTEREST, CROWD, NO_KEYPOINTS, FEW_KEYPOINTS, LOW, NARROW, BESIDE, WITHHELD = range(len(REASONS))
CROWDED = 64  # people of a photo; fewer are compared all photos at a time


@dataclass(frozen=True, eq=False)
class PersonChoice:
    """Which people of a set were chosen, and why the others were not.

    Attributes:
        reasons: ``(A,)`` uint8 for each annotation, an index into ``REASONS``: why it was turned away, if it was.
    """

    reasons: npt.NDArray[np.uint8]

    @cached_property
    def mains(self) -> npt.NDArray[np.bool_]:
        """``(A,)`` people of interest."""
        mains: npt.NDArray[np.bool_] = self.reasons == OF_INTEREST
        return mains


def choose(coco: CocoSet, params: FilteringParams) -> PersonChoice:
    """Choose the people of interest of a whole set; see :func:`main_people`."""
    people = coco.annotations
    reasons = np.zeros(len(people.ids), np.uint8)
    tests = {
        NARROW: people.boxes[:, 2] < params.min_acceptable_width,
        LOW: people.boxes[:, 3] < params.min_acceptable_height,
        FEW_KEYPOINTS: people.num_keypoints < params.min_acceptable_kpts,
        NO_KEYPOINTS: people.num_keypoints == 0,
        CROWD: people.crowds,
    }
    for reason, failed in tests.items():  # the last that applies counts
        reasons[failed] = reason
    able = np.flatnonzero(reasons == OF_INTEREST)
    ratio = params.min_acceptable_interperson_dist_ratio
    reasons[able[_beside_others(people.boxes[able], people.photo_of[able], ratio)]] = BESIDE
    return PersonChoice(reasons)


def main_people(photo: Photo, params: FilteringParams) -> list[int]:
    """Choose the people of interest, in the order of the file.

    A person is taken who is labelled, large enough in height and in width, has joints enough, and whose box centre is
    far enough from that of everyone taken before.

    Returns:
        Indices into ``photo.people``.
    """
    able = [index for index, person in enumerate(photo.people) if _able(person, params)]
    boxes = np.array([photo.people[index].box for index in able]).reshape(-1, 4)
    beside = _greedy(boxes, params.min_acceptable_interperson_dist_ratio)
    return [index for index, near in zip(able, beside, strict=True) if not near]


def _able(person: Person, params: FilteringParams) -> bool:
    width, height = person.box[2:]
    return bool(
        person.labelled
        and person.num_keypoints >= params.min_acceptable_kpts
        and height >= params.min_acceptable_height
        and width >= params.min_acceptable_width
    )


def _beside_others(boxes: Floats, photos: npt.NDArray[np.int64], ratio: float) -> npt.NDArray[np.bool_]:
    """Find ``(A,)`` who is too near to somebody taken before in the same photo; a photo's annotations stand together.

    All photos are compared at once: each person with the one before, then with the one two before, and so on. Only
    pairs that are near are then gone through in order, since a person who is turned away turns nobody away.
    """
    beside = np.zeros(len(boxes), bool)
    starts = np.flatnonzero(np.diff(photos, prepend=-1))
    counts = np.diff(starts, append=len(boxes))
    pairs = [_near_pairs(boxes, photos, ratio, back) for back in range(1, min(counts.max(initial=0), CROWDED))]
    near = np.concatenate([np.empty((0, 2), np.int64), *pairs])
    for person, other in near[np.lexsort(near.T[::-1])].tolist():
        beside[person] |= not beside[other]
    for start, count in zip(starts[counts > CROWDED], counts[counts > CROWDED], strict=True):
        beside[start : start + count] = _greedy(boxes[start : start + count], ratio)
    return beside


def _near_pairs(boxes: Floats, photos: npt.NDArray[np.int64], ratio: float, back: int) -> npt.NDArray[np.int64]:
    """Find ``(N, 2)`` pairs of a person and the one so many places before, in the same photo and too near."""
    person = np.flatnonzero(photos[back:] == photos[:-back]) + back
    other = person - back
    near = _distances(boxes[person], boxes[other]) < ratio * boxes[other, 2:].max(axis=1)
    return np.stack([person[near], other[near]], axis=1)


def _greedy(boxes: Floats, ratio: float) -> npt.NDArray[np.bool_]:
    """Find ``(A,)`` who is too near to somebody taken before, of one photo."""
    beside = np.zeros(len(boxes), bool)
    for person in range(1, len(boxes)):
        others = boxes[:person][~beside[:person]]
        reach = ratio * others[:, 2:].max(axis=1)
        beside[person] = (_distances(boxes[person], others) < reach).any()
    return beside


def _distances(boxes: Floats, others: Floats) -> Floats:
    """Measure between the centres of boxes, in pixels."""
    away = boxes[..., :2] + boxes[..., 2:] / 2 - (others[..., :2] + others[..., 2:] / 2)
    return np.asarray(np.hypot(away[..., 0], away[..., 1]))
