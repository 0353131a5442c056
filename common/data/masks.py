"""Masks: where a photo shows people that nobody labelled, so that the loss must not count there."""

import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as run_lengths

from bodyposenet.common.data.coco import Person, Photo
from bodyposenet.common.errors import UserError

Mask = npt.NDArray[np.uint8]


def ignore_mask(photo: Photo) -> Mask | None:
    """Draw where the loss counts.

    Crowds and people without keypoints are masked out, except where they overlap a labelled person. A person without
    a segmentation covers their box.

    Returns:
        ``(H, W)`` 255 where the loss counts and 0 where it does not; None where all of the photo counts.

    Raises:
        UserError: A segmentation does not fit the photo.
    """
    unlabelled = [person for person in photo.people if not person.labelled]
    if not unlabelled:
        return None
    masked = _region(unlabelled, photo) & ~_region([person for person in photo.people if person.labelled], photo)
    return np.where(masked, np.uint8(0), np.uint8(255)) if masked.any() else None


def encode_mask(mask: Mask) -> bytes:
    """A mask as PNG of one bit a pixel; decoding gives it back exactly."""
    return bytes(cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1])


def _region(people: list[Person], photo: Photo) -> npt.NDArray[np.bool_]:
    """``(H, W)`` the union of what these people cover."""
    runs = [run for person in people for run in _runs(person, photo)]
    if not runs:
        return np.zeros((photo.height, photo.width), bool)
    return _drawn(run_lengths.merge(runs)).astype(bool)


def _drawn(runs: dict[str, Any]) -> Mask:
    """``(H, W)`` 1 inside the runs and 0 outside."""
    with warnings.catch_warnings():  # pycocotools 2.0.11's arrays predate NumPy 2's copy keyword; nothing is lost
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(run_lengths.decode(runs))


def _runs(person: Person, photo: Photo) -> list[dict[str, Any]]:
    """Run lengths of the person's parts, as pycocotools keeps them."""
    size = (photo.height, photo.width)
    shape = person.segmentation
    if isinstance(shape, dict):
        return [_whole_runs(shape, person, photo)]
    polygons = [polygon for polygon in shape if len(polygon) >= 6]  # two points enclose nothing
    if polygons:
        return list(run_lengths.frPyObjects(polygons, *size))
    return list(run_lengths.frPyObjects(person.box[None], *size))


def _whole_runs(shape: dict[str, Any], person: Person, photo: Photo) -> dict[str, Any]:
    """Run lengths as pycocotools keeps them, once they are known to fill the photo: pycocotools does not look."""
    size = [photo.height, photo.width]
    where = f"annotation {person.annotation_id} of image {photo.image_id}"
    if shape["size"] != size:
        raise UserError(
            f"its segmentation is of size {shape['size']}, the image {size}", where=where, fix="annotate it again"
        )
    counts = shape["counts"] if isinstance(shape["counts"], list) else _unpacked(shape["counts"])
    if not all(isinstance(count, int) and count >= 0 for count in counts) or sum(counts) != photo.height * photo.width:
        raise UserError("the run lengths of its segmentation are broken", where=where, fix="annotate it again")
    return dict(run_lengths.frPyObjects({"size": size, "counts": counts}, *size))


def _unpacked(packed: object) -> list[int]:
    """Counts from COCO's text form: five bits a character, lowest first, each count less the one two before it.

    Returns:
        The counts; none where the text is broken.
    """
    counts: list[int] = []
    value = shift = 0
    for code in map(ord, packed if isinstance(packed, str) else ""):
        value |= (code - 48 & 31) << shift
        shift += 5
        if not code - 48 & 32:  # the last character of this count; its bit 16 is the sign
            signed = value - (1 << shift) * bool(code - 48 & 16)
            counts.append(signed + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return [] if shift else counts
