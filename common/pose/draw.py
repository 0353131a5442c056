"""Draw: people as coloured limbs and joints on their photo."""

import functools
from collections.abc import Iterator

import cv2
import numpy as np

from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.joint_names import find_side, names_part
from bodyposenet.common.skeleton.skeleton import Skeleton

Colour = tuple[int, int, int]

# RGB. The person's left is warm, the right cool; arms, legs, face and trunk have a shade of their own.
COLOURS: dict[str, dict[str, Colour]] = {
    "left": {"arm": (255, 176, 32), "leg": (255, 92, 92), "face": (255, 214, 120), "trunk": (255, 132, 60)},
    "right": {"arm": (64, 208, 255), "leg": (80, 130, 255), "face": (150, 230, 255), "trunk": (60, 168, 255)},
    "": {"arm": (180, 240, 120), "leg": (180, 240, 120), "face": (235, 255, 170), "trunk": (150, 230, 110)},
}
PARTS = {"elbow": "arm", "wrist": "arm", "knee": "leg", "ankle": "leg", "eye": "face", "ear": "face", "nose": "face"}
EDGE: Colour = (20, 20, 24)
WHITE: Colour = (255, 255, 255)
FRACTION_BITS = 4  # of OpenCV's fixed-point coordinates: sixteenths of a pixel


def draw_people(
    image: np.ndarray,
    people: People,
    skeleton: Skeleton,
    *,
    colour: Colour | None = None,
    hidden: np.ndarray | None = None,
) -> np.ndarray:
    """Draw people on a photo; the best lies on top.

    Args:
        image: ``(H, W, 3)`` RGB uint8; it is left as it is.
        people: In the photo's pixels; joints with score 0 are left out.
        skeleton: Their joints and limbs.
        colour: RGB of all limbs and joints; by default each has that of its side and part of the body.
        hidden: ``(N, K)`` joints with a dark centre; those of the others are white.

    Returns:
        ``(H, W, 3)`` RGB uint8.

    Examples:
        >>> drawn = bodyposenet.draw_people(photo, people, network.card.skeleton)
        >>> drawn.shape == photo.shape
        True
    """
    canvas = np.ascontiguousarray(image).copy()
    for index in np.argsort(people.scores, kind="stable"):
        dark = np.zeros(skeleton.num_joints, bool) if hidden is None else hidden[index]
        _draw_person(canvas, people.keypoints[index], skeleton, colour, dark)
    return canvas


@functools.cache
def limb_colour(start: str, end: str) -> Colour:
    """Choose the RGB of the limb between two joints: by the side of the body and the part that it belongs to."""
    sides = {find_side(name) for name in (start, end)} - {""}
    parts = {part for name in (start, end) for word, part in PARTS.items() if names_part(name, word)}
    side = sides.pop() if len(sides) == 1 else ""
    return COLOURS[side][parts.pop() if len(parts) == 1 else "trunk"]


def line_width(joints: np.ndarray) -> float:
    """Choose the width of a person's limbs in pixels, by these joints ``(n, 2)``: about a fiftieth of the person."""
    size = float(np.hypot(*np.ptp(joints, axis=0))) if len(joints) else 0.0
    return float(np.clip(size / 55, 1.5, 14))


def _draw_person(
    canvas: np.ndarray, keypoints: np.ndarray, skeleton: Skeleton, only: Colour | None, hidden: np.ndarray
) -> None:
    found = keypoints[:, 2] > 0
    width = line_width(keypoints[found, :2])
    limbs = list(_limbs(keypoints, skeleton))
    for extra, edge in ((max(1.5, 0.6 * width), True), (0.0, False)):  # the dark edge first, then the colours
        for start, end, colour in limbs:
            _line(canvas, start, end, EDGE if edge else only or colour, width + extra)
        for joint in np.flatnonzero(found):
            colour = only or limb_colour(skeleton.joints[joint], skeleton.joints[joint])
            _dot(canvas, keypoints[joint, :2], EDGE if edge else colour, 0.85 * width + extra / 2)
    for joint in np.flatnonzero(found):
        _dot(canvas, keypoints[joint, :2], EDGE if hidden[joint] else WHITE, 0.4 * width)


def _limbs(keypoints: np.ndarray, skeleton: Skeleton) -> Iterator[tuple[np.ndarray, np.ndarray, Colour]]:
    for start, end in skeleton.limbs:
        if keypoints[start, 2] > 0 and keypoints[end, 2] > 0:
            colour = limb_colour(skeleton.joints[start], skeleton.joints[end])
            yield keypoints[start, :2], keypoints[end, :2], colour


def _line(canvas: np.ndarray, start: np.ndarray, end: np.ndarray, colour: Colour, width: float) -> None:
    """Draw a band of a width to a fraction of a pixel, with round ends."""
    along = np.asarray(end, float) - start
    length = float(np.hypot(*along))
    if length > 0:
        across = np.array([-along[1], along[0]]) * (width / 2 / length)
        corners = np.array([start + across, end + across, end - across, start - across])
        cv2.fillConvexPoly(canvas, _to_fixed_point(corners), colour, cv2.LINE_AA, FRACTION_BITS)


def _dot(canvas: np.ndarray, centre: np.ndarray, colour: Colour, radius: float) -> None:
    x, y = _to_fixed_point(np.asarray(centre))
    cv2.circle(canvas, (int(x), int(y)), round(radius * 2**FRACTION_BITS), colour, -1, cv2.LINE_AA, FRACTION_BITS)


def _to_fixed_point(points: np.ndarray) -> np.ndarray:
    """Turn pixels into OpenCV's fixed point; far outside the picture all is as far."""
    return np.asarray(np.round(np.clip(points, -20_000, 40_000) * 2**FRACTION_BITS), np.int32)
