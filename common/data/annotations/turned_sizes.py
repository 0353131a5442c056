"""Turned sizes: photos whose people reach beyond the size that is told, and fit the one that EXIF data give."""

from dataclasses import replace

import numpy as np

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.compact_columns import Joints
from bodyposenet.common.data.annotations.fields import Floats, Mask, Numbers
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.annotations.tables import PhotoTable

BEYOND = 0.02  # of a side: nearer to the edge, annotators were generous
KIND = "size of a turned photo"


def reach(boxes: Floats, keypoints: Floats | Joints, labelled: Mask) -> Floats:
    """Return ``(A, 2)`` the largest x and y of each annotation's box and labelled joints.

    Args:
        boxes: ``(A, 4)`` x, y, width, height.
        keypoints: ``(A, K, 3)`` x, y and flag.
        labelled: ``(A, K)`` which joints are labelled.
    """
    ends: Floats = boxes[:, :2] + boxes[:, 2:]
    for joint in range(keypoints.shape[1]):
        np.maximum(ends, keypoints[:, joint, :2], out=ends, where=labelled[:, joint, None])
    return ends


def turn_sizes(
    images: PhotoTable, photos: Numbers, ends: Floats, album: Album, file: str, problems: list[Problem]
) -> PhotoTable:
    """Swap the sides of photos whose people fit only then, where EXIF data turn the photo by a quarter.

    Tools tell the size of the pixels as stored, and show the picture turned, or the other way round. Only such photos
    are looked at.

    Args:
        images: The photos.
        photos: ``(A,)`` the photo of each annotation; below 0 is none.
        ends: As :func:`reach` gives them.
        album: The photos' files.
        file: The annotation file, for problems.
        problems: Gets what was mended.
    """
    heights, widths = images.heights.copy(), images.widths.copy()
    for number in _find_misfits(images, photos, ends):
        told = int(heights[number]), int(widths[number])
        sizes = album.read_sizes(images.file_names[number])
        if sizes is None or sizes[0] == sizes[1] or told not in sizes:
            continue
        heights[number], widths[number] = told[::-1]
        frame = "as stored" if told == sizes[0] else "as shown"
        text = f"its people reach beyond the {told[1]} x {told[0]} pixels that are told; they are taken to be of the"
        text += f" photo {frame}, of {told[0]} x {told[1]}: its EXIF data turn it"
        problems.append(Problem(file, KIND, text, image_id=int(images.ids[number]), kept=True))
    return replace(images, heights=heights, widths=widths)


def _find_misfits(images: PhotoTable, photos: Numbers, ends: Floats) -> list[int]:
    """Find photos whose people leave them, and would not if their sides were swapped."""
    furthest = np.full((len(images.ids), 2), -np.inf)
    np.maximum.at(furthest, photos[photos >= 0], ends[photos >= 0])
    sides = np.stack([images.widths, images.heights], axis=1)
    leaves = (furthest > sides * (1 + BEYOND)).any(axis=1)
    fits = (furthest <= sides[:, ::-1] * (1 + BEYOND)).all(axis=1)
    return [int(number) for number in np.flatnonzero(leaves & fits)]
