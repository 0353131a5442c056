"""Filtering: which people of a photo are worth a training sample of their own."""

from typing import Protocol

import numpy as np

from bodyposenet.common.data.coco import Floats, Person, Photo


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


def main_people(photo: Photo, params: FilteringParams) -> list[int]:
    """Choose the people of interest, in the order of the file.

    A person is taken who is labelled, large enough in height and in width, has joints enough, and whose box centre is
    far enough from that of everyone taken before.

    Returns:
        Indices into ``photo.people``.
    """
    taken: list[int] = []
    for index, person in enumerate(photo.people):
        others = (photo.people[other] for other in taken)
        if _large_enough(person, params) and not any(_beside(person, other, params) for other in others):
            taken.append(index)
    return taken


def _large_enough(person: Person, params: FilteringParams) -> bool:
    width, height = person.box[2:]
    return bool(
        person.labelled
        and person.num_keypoints >= params.min_acceptable_kpts
        and height >= params.min_acceptable_height
        and width >= params.min_acceptable_width
    )


def _beside(person: Person, other: Person, params: FilteringParams) -> bool:
    distance = np.linalg.norm(_centre(person) - _centre(other))
    return bool(distance < params.min_acceptable_interperson_dist_ratio * other.box[2:].max())


def _centre(person: Person) -> Floats:
    return person.box[:2] + person.box[2:] / 2
