"""Stratified choice: photos that have the mixture of people, joints and sizes of the set that they are chosen from."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import CocoSet

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

PEOPLE = (1, 2, 3, 4, 6, 9, 14)  # of a photo: where the groups begin
HEIGHTS = 16  # groups of people, by their height in the photo
CHOICES = 200  # that are compared with the set


@dataclass(frozen=True, eq=False)
class Traits:
    """What a sample has in common with the photos that it is of.

    Shape letters: Q photos, K joints, B groups of heights.

    Attributes:
        photos: ``(Q,)`` their places in the set.
        joints: ``(Q, K + 1)`` how many people of each have 0, 1, 2 ... labelled joints; only those that count.
        heights: ``(Q, B)`` how many of the same are as high, as a share of the photo; each group has as many in all.
    """

    photos: Numbers
    joints: Numbers
    heights: Numbers

    @property
    def people(self) -> Numbers:
        """``(Q,)`` people of each."""
        return np.asarray(self.joints.sum(axis=1))


def read_traits(coco: CocoSet, min_persons: int, min_kpts: int) -> Traits:
    """Read a set's photos that have people enough with joints enough, crowds aside; each file once."""
    table, names = coco.annotations, coco.images.file_names
    counted = ~table.crowds & (table.num_keypoints >= min_kpts)
    photo_of = table.photo_of[counted]
    heights = table.boxes[counted, 3] / coco.images.heights[photo_of]
    ticks = np.quantile(heights, np.linspace(0, 1, HEIGHTS + 1)[1:-1]) if len(heights) else heights
    joints = _count(photo_of, table.num_keypoints[counted], (len(names), len(coco.joints) + 1))
    sizes = _count(photo_of, np.searchsorted(ticks, heights), (len(names), HEIGHTS))
    first = {name: number for number, name in zip(reversed(range(len(names))), reversed(names), strict=True)}
    once = np.array(sorted(first.values()), np.int64)
    photos = once[joints[once].sum(axis=1) >= min_persons]
    return Traits(photos, joints[photos], sizes[photos])


def _count(rows: Numbers, columns: Numbers, shape: tuple[int, int]) -> Numbers:
    counts = np.zeros(shape, np.int64)
    np.add.at(counts, (rows, columns), 1)
    return counts


def representative(traits: Traits, count: int, seed: int) -> tuple[Numbers, Numbers]:
    """Choose photos from a row in which each stands between those most like it: one of each stretch of the row.

    Of many such choices the one is taken whose people per photo, joints per person and heights are most like all.

    Args:
        traits: Of Q photos.
        count: How many to choose, at most Q.
        seed: The same one chooses the same photos.

    Returns:
        ``(Q,)`` the row, places in ``traits``; and ``(count,)`` places in the row.
    """
    chance = np.random.default_rng(seed)
    row = _row(traits, count, chance)
    groups = np.arange(len(PEOPLE) + 1) == np.searchsorted(PEOPLE, traits.people[row], side="right")[:, None]
    marginals = [(counts, _shares(counts)) for counts in (groups, traits.joints[row], traits.heights[row])]
    bounds = np.arange(count + 1) * len(row) // max(1, count)
    choices = [
        (chance.integers(bounds[:-1], bounds[1:]) + chance.integers(len(row))) % len(row) for _ in range(CHOICES)
    ]

    def unlike(chosen: Numbers) -> float:
        return float(sum(np.abs(_shares(counts[chosen]) - shares).max() for counts, shares in marginals))

    return row, min(choices, key=unlike)


def _shares(counts: Numbers) -> Floats:
    """Turn ``(Q, B)`` counts into the ``(B,)`` distribution function of all of them."""
    return np.asarray(np.cumsum(counts.sum(axis=0)) / max(1, counts.sum()))


def _row(traits: Traits, count: int, chance: np.random.Generator) -> Numbers:
    """Sort photos by groups of people, in each by groups of joints, in these by height, up and down in turn.

    There are as many groups of joints as leave a few photos of the sample to each. Photos that are alike are shuffled.
    """
    shuffled = chance.permutation(len(traits.photos))
    stratum = np.searchsorted(PEOPLE, traits.people[shuffled], side="right")
    joints, heights = (  # (Q,) the mean of each photo's people, whose value is the number of their column
        counts @ np.arange(counts.shape[1]) / np.maximum(counts.sum(axis=1), 1)
        for counts in (traits.joints, traits.heights)
    )
    row: list[Numbers] = []
    for number in range(len(PEOPLE) + 1):
        members = shuffled[stratum == number]
        cells = max(1, round((count * len(members) / max(1, len(shuffled))) ** 0.5))
        for cell in np.array_split(members[np.argsort(joints[members], kind="stable")], cells):
            up = cell[np.argsort(heights[cell], kind="stable")]
            row.append(up if len(row) % 2 else up[::-1])
    return np.concatenate(row)
