"""Odd files: what looks wrong with an annotation file as a whole, and is told as nobody can know it.

No visible joint may be meant, or boxes of left, top, right and bottom, where COCO's are x, y, width and height; and
joints that lie outside their people's boxes are of another size of the photos, or these boxes are.
"""

import logging
from collections.abc import Mapping

import numpy as np

from bodyposenet.common.data.annotations.fields import Mask, Numbers
from bodyposenet.common.data.annotations.tables import AnnotationTable, PhotoTable
from bodyposenet.common.data.annotations.turned_sizes import reach

_ALL_HIDDEN = (
    "%s: no labelled joint is visible, all are hidden: where a flag means visible in this file, visibility_flags of "
    "the dataset spec says so"
)
_CORNERS = (
    "%s: boxes look like left, top, right and bottom; COCO's are x, y, width and height: people count as larger than "
    "they are"
)
_OFF = (
    "%s: of the first %s people %s have most of their joints outside their boxes, first annotation %s of image %s: "
    "one of the two has another origin or size of the photos, or the boxes are not of whole people; export it again"
)
_SHARES = (
    "%s: joints and boxes end within %s by %s, in photos up to %s wide and %s high: they look like shares of the "
    "photos, of %s each; COCO's are pixels: write them as such, or people are learned in a corner"
)
VISIBLE = 2  # a flag of COCO
SURE_JOINTS, SURE_PEOPLE, LOOKED_AT = 5, 3, 2000  # joints of each, and people, that tell what boxes are
MOST_CORNERS = 0.9  # share of people whose boxes are corners, of files where they are
OUTSIDE = 0.1  # of a box's side, by which a joint is off it
MOST_OFF = 0.5  # share of joints that are off the box, and of people of whom they are, of files where that is told
WHOLES = (100, 1000)  # what shares are of: percent, and the thousandths that language models give
SURE_SHARES = 5  # people that tell shares
FILLED = 0.85  # how near to both ends of such a whole they come, both ways
ROUNDED, LARGER = 1.01, 1.5  # of a whole, to which rounding may reach; that a photo's longer side is at least
log = logging.getLogger(__name__)


def warn_of_oddities(images: PhotoTable, annotations: AnnotationTable, flags: Mapping[int, int], where: str) -> None:
    """Log a warning where all joints of a file are hidden, its boxes are corners, or joints are no pixels or off boxes.

    Args:
        images: The file's photos.
        annotations: The file's people.
        flags: For each of its visibility flags, whether it is not labelled (0), hidden (1) or visible (2).
        where: The file.
    """
    visible, joints = [flag for flag, code in flags.items() if code == VISIBLE], annotations.keypoints
    each = range(joints.shape[1])  # of all joints at once there would be a copy
    if annotations.num_keypoints.any() and not any(np.isin(joints[:, joint, 2], visible).any() for joint in each):
        log.warning(_ALL_HIDDEN, where)
    if _are_corners(annotations, flags):
        log.warning(_CORNERS, where)
    rows, off = _find_off(annotations, flags)
    if len(rows) >= SURE_PEOPLE and off.mean() > MOST_OFF:
        first = rows[off][0]
        photo = images.ids[annotations.photo_of[first]]
        log.warning(_OFF, where, f"{len(rows):,}", f"{off.sum():,}", annotations.ids[first], photo)
    _warn_of_shares(images, annotations, flags, where)


def _are_corners(annotations: AnnotationTable, flags: Mapping[int, int]) -> bool:
    """Tell whether boxes are left, top, right and bottom: they end where joints do only if they are read so.

    A box tells if its left or top is more than twice as large as what lies between the ends of box and joints; that can
    be so of one of both readings. The first people of whom enough is labelled are looked at.
    """
    rows = np.flatnonzero(annotations.num_keypoints >= SURE_JOINTS)[:LOOKED_AT]
    if len(rows) < SURE_PEOPLE:
        return False
    keypoints, boxes = annotations.keypoints[rows], annotations.boxes[rows]
    labelled = np.isin(keypoints[..., 2], [flag for flag, code in flags.items() if code > 0])
    ends = np.where(labelled[..., None], keypoints[..., :2], -np.inf).max(axis=1)
    start, last = boxes[:, :2], boxes[:, 2:]
    corners = start > 2 * np.abs(ends - last) + 2
    sizes = start > 2 * np.abs(ends - start - last) + 2
    told = corners.any(axis=1) & ~sizes.any(axis=1)
    return bool(told.mean() > MOST_CORNERS)


def _find_off(annotations: AnnotationTable, flags: Mapping[int, int]) -> tuple[Numbers, Mask]:
    """Find ``(N,)`` the first people of whom enough is labelled, and whose labelled joints lie mostly off the box."""
    rows = np.flatnonzero((annotations.num_keypoints >= SURE_JOINTS) & ~annotations.crowds)[:LOOKED_AT]
    keypoints, boxes = annotations.keypoints[rows], annotations.boxes[rows]
    labelled = np.isin(keypoints[..., 2], [flag for flag, code in flags.items() if code > 0])
    start, size = boxes[:, None, :2], boxes[:, None, 2:]
    beyond = np.maximum(start - keypoints[..., :2], keypoints[..., :2] - start - size)
    outside = (beyond > OUTSIDE * size).any(axis=2) & labelled
    off: Mask = outside.sum(axis=1) > MOST_OFF * labelled.sum(axis=1)
    return rows, off


def _warn_of_shares(images: PhotoTable, annotations: AnnotationTable, flags: Mapping[int, int], where: str) -> None:
    """Log a warning where all places are within a hundred or a thousand, and reach to it, and photos are far larger."""
    rows = np.flatnonzero(annotations.num_keypoints > 0)[:LOOKED_AT]
    if len(rows) < SURE_SHARES:
        return
    keypoints = annotations.keypoints[rows]
    labelled = np.isin(keypoints[..., 2], [flag for flag, code in flags.items() if code > 0])
    nearest, ends = annotations.boxes[rows, :2].min(axis=0), reach(annotations.boxes[rows], keypoints, labelled)
    furthest = ends.max(axis=0)
    sides = np.stack([images.widths, images.heights], axis=1)[annotations.photo_of[rows]]
    for whole in WHOLES:
        fills = (nearest < (1 - FILLED) * whole) & (furthest > FILLED * whole) & (furthest <= ROUNDED * whole)
        if fills.all() and sides.min() >= whole and sides.max(axis=1).min() >= LARGER * whole:
            told = [f"{value:.0f}" for value in (*furthest, *sides.max(axis=0), whole)]
            log.warning(_SHARES, where, *told)
