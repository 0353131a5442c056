"""Labels: the people of photos as labelling tools take them: joints with COCO's flags, a box, a score."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton

Box = tuple[float, float, float, float]
Segmentation = Sequence[Any] | dict[str, Any]
PERSON = "person"
DIGITS = 3  # of a pixel; what is written is exact to these
UNCERTAIN = 0.3  # a joint of a lower score is flagged as hidden


@dataclass(frozen=True, eq=False)
class PersonLabel:
    """One person.

    Attributes:
        keypoints: ``(K, 3)`` float64 x, y in pixels and COCO's flag: 0 not labelled, 1 hidden or uncertain, 2 visible.
        box: x, y, width and height in pixels.
        score: How certain the network is, from 0 to 1.
        number: The annotation's in the file that it is from; None for a new one.
        area: In square pixels; None is that of the box.
        crowd: Whether it stands for a group that nobody told apart; only COCO files have such.
        outline: Polygons or run lengths; only COCO files have them.
        category: Place of its category among those of the set.
    """

    keypoints: np.ndarray
    box: Box
    score: float
    number: int | None = None
    area: float | None = None
    crowd: bool = False
    outline: Segmentation = ()
    category: int = 0


@dataclass(frozen=True, eq=False)
class PhotoLabels:
    """The people of a photo.

    Attributes:
        name: Its file, with ``/`` between folders.
        size: ``(height, width)`` in pixels.
        people: Who is in it; may be nobody.
        number: The photo's in the file that it is from; None for a new one.
        note: What whoever mends the labels is to know.
    """

    name: str
    size: tuple[int, int]
    people: Sequence[PersonLabel]
    number: int | None = None
    note: str = ""

    @property
    def bodies(self) -> list[PersonLabel]:
        """Those who are one person each, with joints or with a box alone, in which errors do not count."""
        return [one for one in self.people if not one.crowd]


class LabelCategory(NamedTuple):
    """A category of people.

    Attributes:
        number: The one that it has in the file that it is from.
        name: What it is called.
        joints: Places of its joints among those of the set.
    """

    number: int
    name: str
    joints: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Photos with their people, in the order in which somebody is to look at them.

    Attributes:
        skeleton: Names the joints, and the limbs between them.
        photos: The photos.
        model: Which network found the people.
        given: Categories of the people; without any there is one, of all joints.
    """

    skeleton: Skeleton
    photos: Sequence[PhotoLabels]
    model: str = ""
    given: Sequence[LabelCategory] = ()

    @property
    def categories(self) -> Sequence[LabelCategory]:
        """Categories of the people: those given, or else one."""
        return self.given or [LabelCategory(1, PERSON, tuple(range(self.skeleton.num_joints)))]

    @property
    def num_people(self) -> int:
        """How many people, in all photos."""
        return sum(len(photo.people) for photo in self.photos)


def choose_skeleton(skeleton: Skeleton) -> Skeleton:
    """Choose which joints are written: COCO's where the network has them all, which leaves out a computed neck."""
    return COCO_17 if {*COCO_17.joints} <= {*skeleton.joints} else skeleton


def label_people(
    people: People, skeleton: Skeleton, size: tuple[int, int], *, least: float = UNCERTAIN
) -> list[PersonLabel]:
    """Turn people that a network found into labels; somebody without a joint that is written is left out.

    Args:
        people: In photo pixels; a joint's score is 0 where it was not found.
        skeleton: Names their joints.
        size: ``(height, width)`` of the photo; joints that lie outside it are drawn to its border.
        least: Score from which on a joint is flagged as visible.
    """
    found = choose_skeleton(skeleton).take(skeleton.joints, people.keypoints.astype(np.float64))  # (N, K, 3)
    labels = (
        label_person(places, _flag(places[:, 2], least), size, score=float(score))
        for places, score in zip(found, people.scores, strict=True)
    )
    return [label for label in labels if label.keypoints[:, 2].any()]


def label_person(places: np.ndarray, flags: np.ndarray, size: tuple[int, int], *, score: float = 1.0) -> PersonLabel:
    """Make a label of joints.

    Args:
        places: ``(K, 2)`` or more columns; x, y in pixels.
        flags: ``(K,)`` COCO's flags.
        size: ``(height, width)`` of the photo.
        score: Of the person.
    """
    height, width = size
    inside = np.clip(places[:, :2], 0, (width - 1, height - 1)).round(DIGITS)
    keypoints = np.where(flags[:, None] > 0, np.c_[inside, flags], 0.0)
    return PersonLabel(keypoints, enclose(keypoints, size), round(score, 6))


def _flag(scores: np.ndarray, least: float) -> np.ndarray:
    flags: np.ndarray = np.where(scores <= 0, 0, np.where(scores < least, 1, 2))
    return flags


def enclose(keypoints: np.ndarray, size: tuple[int, int]) -> Box:
    """Find the box of the joints; it is a pixel wide and high at least, and inside the photo.

    Args:
        keypoints: ``(K, 3)`` x, y in pixels and a flag; joints of flag 0 are left out.
        size: ``(height, width)`` of the photo.

    Returns:
        Left, top, width and height in pixels; four zeros without a joint.
    """
    places = keypoints[keypoints[:, 2] > 0, :2]
    if not len(places):
        return 0.0, 0.0, 0.0, 0.0
    low, high = places.min(axis=0), places.max(axis=0)
    low = np.minimum(low, np.maximum((size[1] - 1, size[0] - 1), 0))
    extent = np.maximum(high - low, 1).round(DIGITS)
    return float(low[0]), float(low[1]), float(extent[0]), float(extent[1])
