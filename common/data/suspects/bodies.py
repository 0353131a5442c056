"""Bodies: the labelled people of a set as columns, how their joints lie to each other, and who is near whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import CocoSet, Floats
from bodyposenet.common.data.annotations.fields import Mask, Numbers
from bodyposenet.common.errors import UserError
from bodyposenet.common.pose.body_prior import fit_prior
from bodyposenet.common.skeleton.prior import BodyPrior
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, Skeleton, find_sigma

MODELS = 3000  # people, at most, whose build is learned: spread over the set
ENOUGH = 200  # of them, for their build to be that of the others
LEAST_JOINTS = 6  # of a body, for the place of one joint to be judged by that of the others
FAR = 1.0  # spreads that a joint is too far from the others, in the mean, for a closer look
CHUNK = 4096  # people looked at together
MOST_NEIGHBOURS = 1000  # places that people of one photo may be apart in the file, to be compared
MOST_PAIRS = 3_000_000  # of people that are compared in a set; COCO's 150,000 people make a fraction of that


@dataclass(frozen=True, eq=False)
class Bodies:
    """Labelled people, those of a photo together.

    Shape letters: N people, K joints.

    Attributes:
        joints: Names of the joints.
        rows: ``(N,)`` their places among the annotations of the set.
        photo_of: ``(N,)`` the photo of each, counted from 0.
        keypoints: ``(N, K, 3)`` x, y in pixels and COCO's flag.
        boxes: ``(N, 4)`` x, y, width, height in pixels.
        areas: ``(N,)`` square pixels.
        low: ``(N, 2)`` least x, y of the labelled joints.
        high: ``(N, 2)`` greatest x, y.
    """

    joints: tuple[str, ...]
    rows: Numbers
    photo_of: Numbers
    keypoints: Floats
    boxes: Floats
    areas: Floats
    low: Floats
    high: Floats

    @classmethod
    def take(cls, coco: CocoSet) -> "Bodies":
        """Take the labelled people out of a set whose flags are 0, 1 or 2."""
        table, rows = coco.annotations, np.flatnonzero(coco.labelled)
        keypoints = table.keypoints[rows]
        shown = keypoints[..., 2:] > 0
        low = np.where(shown, keypoints[..., :2], np.inf).min(axis=1, initial=np.inf)
        high = np.where(shown, keypoints[..., :2], -np.inf).max(axis=1, initial=-np.inf)
        boxes, areas = table.boxes[rows], np.maximum(table.areas[rows], 1)
        return cls(coco.joints, rows, table.photo_of[rows], keypoints, boxes, areas, low, high)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def shown(self) -> Mask:
        """``(N, K)`` joints that are labelled."""
        return np.asarray(self.keypoints[..., 2] > 0)

    @cached_property
    def outside(self) -> Floats:
        """``(N, K)`` how far labelled joints lie outside their box, as a share of its side."""
        low, size = self.boxes[:, None, :2], np.maximum(self.boxes[:, None, 2:], 1)
        places = self.keypoints[..., :2]
        beyond = np.maximum(low - places, places - low - size) / size
        return np.where(self.shown, np.maximum(beyond.max(axis=-1), 0), 0.0)


def iterate_neighbours(bodies: Bodies, slack: float = 0.3) -> Iterator[tuple[Numbers, Numbers]]:
    """Find people of one photo whose joints reach into each other.

    Args:
        bodies: The people.
        slack: By how much a body reaches beyond its joints, in square roots of its area.

    Yields:
        Places of two people each, the first before the second in the file; all pairs that are as far apart in it.
    """
    ends = np.searchsorted(bodies.photo_of, bodies.photo_of, side="right")
    reach = slack * np.sqrt(bodies.areas)[:, None]
    low, high = bodies.low - reach, bodies.high + reach
    rows, pairs = np.arange(len(bodies)), 0
    for apart in range(1, MOST_NEIGHBOURS):
        rows = rows[rows + apart < ends[rows]]
        if not len(rows) or pairs > MOST_PAIRS:
            return
        others = rows + apart
        near = ((low[rows] <= high[others]) & (low[others] <= high[rows])).all(axis=1)
        pairs += int(np.count_nonzero(near))
        if near.any():
            yield rows[near], others[near]


def compare_joints(bodies: Bodies, ones: Numbers, others: Numbers) -> tuple[Floats, Mask]:
    """Compare the joints of people with those of others, as OKS does.

    Returns:
        ``(P, K)`` likeness of each joint, 1 at the same place, by the smaller of the two bodies; and whether both have
        it labelled.
    """
    sigmas = np.array([find_sigma(joint) for joint in bodies.joints])
    gaps = ((bodies.keypoints[ones, :, :2] - bodies.keypoints[others, :, :2]) ** 2).sum(axis=-1)
    areas = np.minimum(bodies.areas[ones], bodies.areas[others])[:, None]
    both = bodies.shown[ones] & bodies.shown[others]
    return np.where(both, np.exp(-gaps / (8 * areas * sigmas**2)), 0.0), both


def learn_build(bodies: Bodies) -> BodyPrior | None:
    """Learn how far joints of one body are apart from the people themselves; None where they are too few to tell.

    Few people with joints of the built-in skeleton are taken to be built like COCO's.
    """
    whole = np.flatnonzero(bodies.shown.sum(axis=1) >= min(8, max(2, len(bodies.joints) // 2)))
    if len(whole) >= ENOUGH:
        chosen = whole[:: -(-len(whole) // MODELS)]
        sigmas = tuple(find_sigma(joint) for joint in bodies.joints)
        try:
            return fit_prior(bodies.keypoints[chosen], Skeleton("labels", bodies.joints, (), sigmas))
        except UserError:
            return None
    return _take_known(bodies.joints)


def _take_known(joints: Sequence[str]) -> BodyPrior | None:
    """Take the build of some of the built-in skeleton's joints."""
    known, prior = BODYPOSENET_18.joints, BODYPOSENET_18.prior
    if prior is None or not {*joints} <= {*known}:
        return None
    places = [known.index(joint) for joint in joints]
    means, spreads = (
        tuple(tuple(table[row][column] for column in places) for row in places)
        for table in (prior.means, prior.spreads)
    )
    return BodyPrior(means, spreads)


@dataclass(frozen=True, eq=False)
class Build:
    """How the joints of N bodies lie to each other.

    Attributes:
        prior: How far joints of one body are apart; None where nobody knows.
        scales: ``(N,)`` the logarithm of each body's size; NaN where it has too few joints to tell.
        distances: ``(N, K)`` by how many spreads joints are too far from the rest of their body; 0 where nobody knows.
    """

    prior: BodyPrior | None
    scales: Floats
    distances: Floats


def measure_build(bodies: Bodies, prior: BodyPrior | None) -> Build:
    """Measure the size of bodies, and which of their joints are too far from the others."""
    found = Build(prior, np.full(len(bodies), np.nan), np.zeros(bodies.keypoints.shape[:2]))
    if prior is None or len(bodies.joints) < LEAST_JOINTS:
        return found
    able = np.flatnonzero(bodies.shown.sum(axis=1) >= LEAST_JOINTS)
    for start in range(0, len(able), CHUNK):
        rows = able[start : start + CHUNK]
        found.scales[rows], far = _weigh_pairs(bodies.keypoints[rows], prior)
        people, joints = np.nonzero(far[:, None] & bodies.shown[rows])  # medians of all would take their time
        own = rows[people]
        fit = measure_fit(bodies, prior, found.scales, own, joints, own)
        found.distances[own, joints] = np.where(np.isfinite(fit), fit, 0)
    return found


def measure_fit(
    bodies: Bodies, prior: BodyPrior, scales: Floats, people: Numbers, joints: Numbers, owners: Numbers
) -> Floats:
    """Measure how well joints fit bodies: their own, or others'.

    Args:
        bodies: The bodies.
        prior: How far joints of one body are apart.
        scales: ``(N,)`` the logarithm of each body's size.
        people: ``(E,)`` who has the joint.
        joints: ``(E,)`` its number.
        owners: ``(E,)`` whose body it is to fit.

    Returns:
        ``(E,)`` by how many spreads it is too far from the other joints of that body, the median; infinite where these
        are too few.
    """
    means, weights = prior.arrays
    there = bodies.keypoints[owners]
    logs = _log_distance(bodies.keypoints[people, joints, None, :2], there[..., :2])  # (E, K)
    table = (logs - means[joints] - scales[owners, None]) * np.sqrt(weights[joints])
    known = (there[..., 2] > 0) & (np.arange(len(bodies.joints)) != joints[:, None])
    fit = np.maximum(_median(np.where(known, table, np.nan)), 0)
    return np.where((known.sum(axis=1) < LEAST_JOINTS - 1) | np.isnan(fit), np.inf, fit)


def _weigh_pairs(keypoints: Floats, prior: BodyPrior) -> tuple[Floats, Mask]:
    """Find ``(N,)`` the logarithms of bodies' sizes, by all pairs of joints, and who has a joint far from the rest."""
    count = keypoints.shape[1]
    first, second = np.tril_indices(count, -1)
    means, weights = (table[first, second].astype(np.float32) for table in prior.arrays)
    ends = np.zeros((len(first), count), np.float32)
    ends[np.arange(len(first)), first] = ends[np.arange(len(first)), second] = 1
    shown = keypoints[..., 2] > 0
    both = shown[:, first] & shown[:, second]
    places = keypoints[..., :2].astype(np.float32)
    logs = _log_distance(places[:, first], places[:, second]) - means
    scales = _median(np.where(both, logs, np.nan))
    rest = np.where(both, (logs - scales[:, None]) * np.sqrt(weights), 0)
    means_of_joints = (rest @ ends) / np.maximum(both.astype(np.float32) @ ends, 1)
    return scales.astype(np.float64), np.asarray(means_of_joints.max(axis=1) > FAR)


def _log_distance(ones: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Compute logarithms of distances; annotations are whole pixels."""
    across, down = ones[..., 0] - others[..., 0], ones[..., 1] - others[..., 1]
    return np.asarray(np.log(np.maximum(across * across + down * down, 1)) / 2)


def _median(values: Floats) -> Floats:
    """Find the lower median along the last axis, of the values that are not NaN; NaN where there are none."""
    ordered = np.sort(values, axis=-1)  # NaN come last
    middle = np.maximum(np.count_nonzero(~np.isnan(values), axis=-1, keepdims=True) - 1, 0) // 2
    return np.asarray(np.take_along_axis(ordered, middle, axis=-1)[..., 0])
