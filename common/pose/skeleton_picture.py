"""Skeleton picture: joints and limbs of a skeleton, and of its mirror image, to see whether they are what was meant."""

from collections.abc import Sequence

import cv2
import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.pose.draw import limb_colour
from bodyposenet.common.skeleton.joint_names import find_side, pairs_by_name, split_names
from bodyposenet.common.skeleton.skeleton import Skeleton

# Where the parts of a standing person are, who looks at us: x away from the middle, y down, in body heights
PARTS = {
    "head top": (0, 0), "top head": (0, 0), "head": (0, 0.02), "nose": (0, 0.1), "eye": (0.035, 0.07),
    "ear": (0.075, 0.085), "mouth": (0.02, 0.13), "chin": (0, 0.15), "neck": (0, 0.2), "thorax": (0, 0.25),
    "chest": (0, 0.28), "spine": (0, 0.38), "shoulder": (0.14, 0.22), "elbow": (0.22, 0.38), "wrist": (0.27, 0.53),
    "hand": (0.29, 0.59), "pelvis": (0, 0.53), "root": (0, 0.53), "hip": (0.09, 0.54), "knee": (0.11, 0.76),
    "ankle": (0.12, 0.96), "foot": (0.15, 1.0), "heel": (0.11, 1.0), "toe": (0.17, 1.0),
}  # fmt: skip
BACKGROUND, TEXT, DIM = (28, 28, 34), (235, 235, 240), (150, 150, 160)
PANEL, LINE, MARGIN = 440, 20, 44  # pixels
LEGEND = "joint, and what it is in a mirror"
MOST_JOINTS = 500
STEPS, REST = 400, 0.25  # of the search for places, and the length of a limb in it
FONT, SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45


def draw_skeleton(skeleton: Skeleton) -> np.ndarray:
    """Draw a skeleton, its mirror image, and the list of its joints with their partners.

    Where left and right are told apart as they should be, both figures look alike: a mirrored left arm is a right arm.
    A joint without its partner, or with a wrong one, is on the wrong side of the second figure, and its limbs cross.

    Returns:
        ``(H, W, 3)`` RGB uint8.

    Raises:
        UserError: It has more joints than can be told apart in a picture.
    """
    if skeleton.num_joints > MOST_JOINTS:
        raise UserError(
            f"{skeleton.num_joints} joints are too many for a picture", fix=f"at most {MOST_JOINTS} are drawn"
        )
    places = place_joints(skeleton)
    names = max(map(_measure, skeleton.joints))
    height = max(PANEL, skeleton.num_joints * LINE + 2 * MARGIN)
    legend = max(2 * names + 110, _measure(LEGEND) + 24)
    canvas = np.full((height, 2 * PANEL + legend, 3), BACKGROUND, np.uint8)
    mirrored = (places * [-1, 1])[skeleton.flip_order]
    for column, (title, points) in enumerate((("as it is", places), ("its mirror image", mirrored))):
        _write(canvas, f"{skeleton.name}: {title}", (column * PANEL + 16, 26), TEXT)
        _draw_figure(canvas[:, column * PANEL : (column + 1) * PANEL], skeleton, points)
    _draw_legend(canvas[:, 2 * PANEL :], skeleton, names)
    return canvas


def place_joints(skeleton: Skeleton) -> np.ndarray:
    """Find places for the joints, the left ones on the right as of somebody who looks at us.

    Parts of people have theirs by their names if all joints do; others are found by pulling along limbs and pushing
    apart. Nothing is random.

    Returns:
        ``(K, 2)`` x, y; the middle is at x = 0, y points down.
    """
    words = [" ".join(split[1:]) for split in split_names(skeleton.joints)]
    sides, others = _pair_up(skeleton)
    if all(word in PARTS for word in words):
        known = np.array([PARTS[word] for word in words], float)
        return np.asarray(known * np.c_[sides, np.ones(len(sides))])
    return _relax(skeleton, sides, others)


def _pair_up(skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
    """Tell where joints are by their names, and by ``flip_pairs`` where these do not, so that wrong pairs show.

    Returns:
        ``(K,)`` 1 for left, -1 for right, 0 for the middle; and ``(K,)`` the joint on the other side, or the same.
    """
    named = pairs_by_name(skeleton.joints)
    known = {joint for pair in named for joint in pair}
    given = [pair for pair in skeleton.flip_pairs or () if known.isdisjoint(pair)]
    sides = np.array([{"left": 1.0, "right": -1.0}.get(find_side(joint), 0.0) for joint in skeleton.joints])
    others = np.arange(skeleton.num_joints)
    for pair in (*named, *given):
        left, right = map(skeleton.joints.index, pair)
        sides[left], sides[right] = 1, -1
        others[left], others[right] = right, left
    return sides, others


def _relax(skeleton: Skeleton, sides: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pull the ends of limbs together and push all joints apart, while both sides stay alike."""
    count = skeleton.num_joints
    turn = np.arange(count) * 2.399963  # the golden angle: no two joints begin in one place, nor in one line
    points: np.ndarray = np.c_[np.cos(turn), np.sin(turn)] * np.sqrt((np.arange(count) + 0.5) / count)[:, None]
    limbs = skeleton.limb_array
    for step in range(STEPS):
        points = _make_symmetric(points, sides, others)
        apart = points[:, None] - points[None]  # (K, K, 2)
        distance = np.maximum(np.linalg.norm(apart, axis=2), 0.02)[..., None]
        force = (apart / distance**2).sum(axis=1) * REST**2
        along = points[limbs[:, 1]] - points[limbs[:, 0]]  # (L, 2)
        pull = along * np.linalg.norm(along, axis=1, keepdims=True) / REST
        np.add.at(force, limbs[:, 0], pull)
        np.add.at(force, limbs[:, 1], -pull)
        length = np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        points = points + force / length * np.minimum(length, 0.1 * (1 - step / STEPS))
    return _make_symmetric(points, sides, others)


def _make_symmetric(points: np.ndarray, sides: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Put each joint on its side, as far out and as high as its partner, and those without a side in the middle."""
    if not sides.any():
        return points
    away = np.maximum(np.abs(points[:, 0]), 0.05)
    return np.stack([sides * (away + away[others]) / 2, (points[:, 1] + points[others, 1]) / 2], axis=1)


def _draw_figure(panel: np.ndarray, skeleton: Skeleton, points: np.ndarray) -> None:
    """Draw a figure with the numbers of its joints into a panel, which it fills."""
    spread = np.ptp(points, axis=0)
    room = np.array([panel.shape[1] - 2 * MARGIN, min(panel.shape[0], PANEL) - 2 * MARGIN])
    scale = float((room / np.maximum(spread, 1e-6)).min())
    centre = (points.max(axis=0) + points.min(axis=0)) / 2
    pixels = (points - centre) * scale + [panel.shape[1] / 2, MARGIN + room[1] / 2 + 6]
    for start, end in skeleton.limbs:
        colour = limb_colour(skeleton.joints[start], skeleton.joints[end])
        cv2.line(panel, _pixel(pixels[start]), _pixel(pixels[end]), colour, 3, cv2.LINE_AA)
    for number, (joint, point) in enumerate(zip(skeleton.joints, pixels, strict=True), 1):
        cv2.circle(panel, _pixel(point), 9, limb_colour(joint, joint), -1, cv2.LINE_AA)
        (width, height), _ = cv2.getTextSize(str(number), FONT, 0.36, 1)
        corner = _pixel((point[0] - width / 2, point[1] + height / 2))
        cv2.putText(panel, str(number), corner, FONT, 0.36, BACKGROUND, 1, cv2.LINE_AA)


def _draw_legend(panel: np.ndarray, skeleton: Skeleton, width: int) -> None:
    """List the joints by number, each with the one that a mirror makes of it."""
    _write(panel, LEGEND, (8, 26), TEXT)
    for number, joint in enumerate(skeleton.joints):
        other = skeleton.joints[skeleton.flip_order[number]]
        row = MARGIN + 10 + LINE * number
        cv2.circle(panel, (13, row - 5), 5, limb_colour(joint, joint), -1, cv2.LINE_AA)
        _write(panel, f"{number + 1} {joint}", (26, row), TEXT)
        if other != joint:
            _write(panel, other, (80 + width, row), DIM)


def _measure(text: str) -> int:
    """Measure how wide a text is, in pixels."""
    return int(cv2.getTextSize(_to_ascii(text), FONT, SCALE, 1)[0][0])


def _to_ascii(text: str) -> str:
    """Write the letters that OpenCV's font has."""
    return text[:60].encode("ascii", "replace").decode()


def _pixel(point: Sequence[float] | np.ndarray) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))


def _write(canvas: np.ndarray, text: str, corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(canvas, _to_ascii(text), corner, FONT, SCALE, colour, 1, cv2.LINE_AA)
