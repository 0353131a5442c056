"""Label order: which photos somebody should label first: those that are hard, and not all of them alike.

How hard a photo is, is told by what the network is unsure of. Taken one after another are the photos that are hard and
far from all taken before; far apart are photos that look differently, in 8 by 8 cells of grey, or whose people stand
differently.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from bodyposenet.common.pose.people import People

CELLS = 8  # along each side of the small grey picture
NOBODY = 0.5  # how hard a photo is in which nobody was found: the network may be right
MOST_APART = 1000  # photos that are chosen by distance, too; those that follow are in the order of difficulty
_SLIGHT = 1e-3  # so that of photos that are all alike the hardest comes first


def shrink_photo(pixels: np.ndarray) -> list[int]:
    """Shrink a photo to its small grey picture.

    Args:
        pixels: ``(H, W, 3)`` RGB uint8.

    Returns:
        64 values from 0 to 255, row by row.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (CELLS, CELLS), interpolation=cv2.INTER_AREA)
    return [int(cell) for cell in small.ravel()]


def count_uncertain(people: People, least: float) -> int:
    """Count the joints whose score is below ``least``; those that were not found are among them."""
    return int((people.keypoints[..., 2] < least).sum())


def measure_difficulty(people: People, least: float) -> float:
    """Measure how hard a photo is, from 0 to 1.

    Args:
        people: N people of K joints with their scores.
        least: Score below which a joint is uncertain.

    Returns:
        The mean of three shares: what people lack to a score of 1, what joints lack, and how many are uncertain.
    """
    if not len(people):
        return NOBODY
    scores = people.keypoints[..., 2].astype(np.float64)
    lacking = 1 - float(people.scores.mean()), 1 - float(scores[scores > 0].mean()) if scores.any() else 1.0
    return float(np.mean([*lacking, count_uncertain(people, least) / scores.size]))


def describe_photo(people: People, picture: Sequence[int]) -> np.ndarray:
    """Describe a photo by numbers whose distance says how much two photos differ.

    Args:
        people: Who was found, the best first, with K joints.
        picture: The photo, as :func:`shrink_photo` makes it.

    Returns:
        ``(64 + 2K + 1,)`` float64: the picture, the best person's joints in their box, and how many people there are.
    """
    grey = np.asarray(picture, np.float64) / 255 / CELLS
    joints = people.keypoints.shape[1]
    pose = np.zeros((joints, 2))
    if len(people):
        seen = people.keypoints[0, :, 2] > 0
        places = people.keypoints[0, seen, :2].astype(np.float64)
        extent = max(float(np.ptp(places, axis=0).max()), 1.0) if len(places) else 1.0
        pose[seen] = (places - places.mean(axis=0)) / extent if len(places) else 0.0
    return np.concatenate([grey, pose.ravel() / np.sqrt(joints), [np.log1p(len(people)) / 4]])


def order_photos(
    difficulties: np.ndarray, descriptions: np.ndarray, limit: int = 0, *, most: int = MOST_APART
) -> list[int]:
    """Order photos: each the one that is hardest times farthest from those before it; of equals the first.

    Args:
        difficulties: ``(N,)`` from 0 to 1.
        descriptions: ``(N, D)`` of :func:`describe_photo`.
        limit: How many to take; 0 takes all.
        most: How many are chosen by distance, too; then difficulty alone decides.

    Returns:
        Indices of the photos.
    """
    number = min(limit or len(difficulties), len(difficulties))
    apart = np.full(len(difficulties), np.inf)
    order: list[int] = []
    left = np.ones(len(difficulties), bool)
    while len(order) < min(number, most):
        worth = difficulties * (apart + _SLIGHT) if order else difficulties
        chosen = int(np.argmax(np.where(left, worth.round(9), -1.0)))
        order.append(chosen)
        left[chosen] = False
        apart = np.minimum(apart, np.linalg.norm(descriptions - descriptions[chosen], axis=1))
    rest = np.argsort(-difficulties, kind="stable")
    return order + [int(index) for index in rest if left[index]][: number - len(order)]
