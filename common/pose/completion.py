"""Completion: where the joints that were not found are likely to be, from those that were.

The distances of the body prior are laid out flat, which gives a body that faces the viewer; a person's joints tell how
that is turned, mirrored, scaled and shifted to lie on them, in closed form over complex numbers x + iy.
"""

from functools import cache

import numpy as np

from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.prior import BodyPrior
from bodyposenet.common.skeleton.skeleton import Skeleton

ENOUGH = 3  # joints found that tell how a body lies; of two, it may be mirrored
ROUNDS = 100  # of the layout; more move no joint of COCO's body by a thousandth of the width of its shoulders
TINY = 1e-9


def fill_missing(people: People, skeleton: Skeleton) -> People:
    """Guess where missing joints are; their scores stay 0.

    They lie as in the body of the skeleton's prior, laid over the joints that were found. Where those are fewer than
    three, or there is no prior, they lie at the nearest joint found, counted in limbs.

    Args:
        people: N people of K joints; a score above 0 marks joints that were found.
        skeleton: Whose joints they are.

    Returns:
        The same people; joints that no limb connects to a found one stay where they are if nothing places them.
    """
    known = people.keypoints[..., 2] > 0
    if known.all():
        return people
    keypoints = people.keypoints.copy()
    rows = np.arange(len(known))[:, None, None]
    near = _order_joints(skeleton.limbs, skeleton.num_joints)
    first = known[rows, near].argmax(axis=-1)
    nearest = near[np.arange(skeleton.num_joints), first]
    guesses = keypoints[rows[..., 0], nearest, :2]
    if skeleton.prior:
        laid = _lay_over(lay_out(skeleton.prior), keypoints[..., :2], known)
        guesses = np.where((known.sum(axis=1) >= ENOUGH)[:, None, None], laid, guesses)
    keypoints[..., :2] = np.where(known[..., None], keypoints[..., :2], guesses)
    return People(keypoints, people.scores)


@cache
def lay_out(prior: BodyPrior) -> np.ndarray:
    """Lay a body out flat, so that its joints are as far apart as the prior has them.

    Weighted least squares of the distances' relative errors, by majorization: I. Borg, P. Groenen, Modern
    Multidimensional Scaling, 2nd edition, section 8.6 (the Guttman transform), from classical scaling, section 12.1.

    Args:
        prior: Of K joints.

    Returns:
        ``(K,)`` complex128 places x + iy around 0, in the prior's unit; turned and mirrored in no particular way.
    """
    means, certain = prior.arrays
    distances = np.exp(means)
    np.fill_diagonal(distances, 0)
    weights = certain / np.where(distances > 0, distances, np.inf) ** 2
    places = _scale_classically(distances)
    inverse = np.linalg.pinv(_laplacian(weights))
    for _ in range(ROUNDS):
        apart = np.abs(places[:, None] - places)
        places = inverse @ (_laplacian(weights * distances / np.maximum(apart, TINY)) @ places)
    return places


def _scale_classically(distances: np.ndarray) -> np.ndarray:
    """Place points in the plane by the two greatest eigenvalues of their products about the mean."""
    about = np.eye(len(distances)) - 1 / len(distances)
    values, vectors = np.linalg.eigh(-0.5 * about @ distances**2 @ about)
    across = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    places: np.ndarray = across[:, 0] + 1j * across[:, -1] * (len(distances) > 1)
    return places


def _laplacian(weights: np.ndarray) -> np.ndarray:
    laplacian: np.ndarray = np.diag(weights.sum(axis=1)) - weights
    return laplacian


def _lay_over(body: np.ndarray, places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Lay a body over each person's joints by least squares, as it is or mirrored, whichever fits better.

    Args:
        body: ``(K,)`` complex.
        places: ``(N, K, 2)`` x, y.
        known: ``(N, K)`` joints that count.

    Returns:
        ``(N, K, 2)`` all joints of the body.
    """
    there = places[..., 0] + 1j * places[..., 1].astype(float)
    share = known / np.maximum(known.sum(axis=1, keepdims=True), 1)
    centre, middle = (share * there).sum(axis=1, keepdims=True), (share * body).sum(axis=1, keepdims=True)
    own, theirs = body - middle, share * (there - centre)
    size = np.maximum((share * np.abs(own) ** 2).sum(axis=1, keepdims=True), TINY)
    turned = (own.conj() * theirs).sum(axis=1, keepdims=True) / size
    mirrored = (own * theirs).sum(axis=1, keepdims=True) / size
    laid = centre + np.where(np.abs(turned) >= np.abs(mirrored), turned * own, mirrored * own.conj())
    return np.stack([laid.real, laid.imag], axis=-1)


@cache
def _order_joints(limbs: tuple[tuple[int, int], ...], joints: int) -> np.ndarray:
    """``(K, K)``: for each joint all joints that limbs connect it to, those fewer limbs away first, then itself."""
    ways = (*limbs, *((end, start) for start, end in limbs))
    rows = []
    for joint in range(joints):
        row = [joint]
        for place in row:  # which grows meanwhile
            row += [end for start, end in ways if start == place and end not in row]
        rows.append(row + [joint] * (joints - len(row)))
    return np.array(rows).reshape(joints, joints)
