"""Tables: photos and annotations as columns, and the photos of a file checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.fields import (
    MOST_WHOLE,
    SHOWN,
    Entry,
    Floats,
    Mask,
    MisfitError,
    Numbers,
    Segmentation,
)
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.storage.inside import stays_inside

MOST_SIDE = 65_535  # pixels: what a JPEG can have
MOST_AREA = 2**28  # pixels: larger than any camera's, and under a gigabyte to decode


@dataclass(frozen=True, eq=False)
class PhotoTable:
    """Photos, in the order of their file.

    Shape letters: P photos.

    Attributes:
        ids: ``(P,)`` the dataset's numbers.
        file_names: P paths below the folder of the photos.
        heights: ``(P,)`` pixels.
        widths: ``(P,)`` pixels.
    """

    ids: Numbers
    file_names: Sequence[str]
    heights: Numbers
    widths: Numbers


@dataclass(frozen=True, eq=False)
class AnnotationTable:
    """Annotations of people, those of a photo together.

    Shape letters: A annotations, K joints, P photos.

    Attributes:
        first: ``(P + 1,)``: photo p has the annotations from ``first[p]`` to ``first[p + 1]``.
        ids: ``(A,)`` the dataset's numbers.
        keypoints: ``(A, K, 3)`` x, y in pixels and the raw visibility flag.
        boxes: ``(A, 4)`` x, y, width, height in pixels.
        areas: ``(A,)`` of the outlines, in square pixels.
        crowds: ``(A,)`` whether it stands for a group that nobody told apart.
        num_keypoints: ``(A,)`` joints that are labelled.
        segmentations: A outlines: polygons, run lengths or an empty list.
    """

    first: Numbers
    ids: Numbers
    keypoints: Floats
    boxes: Floats
    areas: Floats
    crowds: Mask
    num_keypoints: Numbers
    segmentations: Sequence[Segmentation]

    @property
    def photo_of(self) -> Numbers:
        """``(A,)`` the photo of each annotation, counted from 0."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def photo_table(entries: Sequence[dict[str, Any]], file: str, problems: list[Problem]) -> PhotoTable:
    """Read the photos of a file; those that are wrong are left out and added to the problems."""
    photos: dict[int, tuple[str, int, int]] = {}
    for number, fields in enumerate(entries):
        try:
            image_id, photo = _photo(fields, number, file)
            if image_id in photos:
                raise Entry(fields, file, image_id=image_id).wrong(
                    "image twice", "two images have this id", "number each image once"
                )
            photos[image_id] = photo
        except MisfitError as error:
            problems.append(error.problem)
    names, heights, widths = zip(*photos.values(), strict=True) if photos else ((), (), ())
    return PhotoTable(
        np.fromiter(photos, np.int64, len(photos)), names, np.array(heights, np.int64), np.array(widths, np.int64)
    )


def _photo(fields: dict[str, Any], number: int, file: str) -> tuple[int, tuple[str, int, int]]:
    """Read the id, and file name, height and width, of a photo."""
    values: list[Any] = [fields.get(key) for key in ("id", "file_name", "height", "width")]
    if _are_sound(*values):
        image_id, name, height, width = values
        return image_id, (name, height, width)
    image_id = Entry(fields, file, f"image number {number}").whole("id")
    entry = Entry(fields, file, image_id=image_id)
    name = entry.text("file_name")
    if not _is_below(name):
        text = f"'file_name' is {name[:SHOWN]!r}, which leaves the folder"
        raise entry.wrong("file_name", text, "write its path below the folder")
    height, width = entry.size("height", MOST_SIDE), entry.size("width", MOST_SIDE)
    if height * width > MOST_AREA:
        raise entry.wrong("image size", f"{width} x {height} pixels are too many", f"tile it, to {MOST_AREA:,} at most")
    return image_id, (name, height, width)


def _are_sound(image_id: object, name: object, height: object, width: object) -> bool:
    """Tell whether all is well at first sight."""
    if type(image_id) is not int or type(name) is not str or type(height) is not int or type(width) is not int:
        return False
    sized = 0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE and height * width <= MOST_AREA
    return sized and abs(image_id) <= MOST_WHOLE and _is_below(name)


def _is_below(name: str) -> bool:
    """Tell whether a file of this name is below the folder that it is looked for in."""
    plain = name.isascii() and name.isprintable() and not set(name) & set("/\\:") and name.strip(".")
    return bool(plain) or stays_inside(name)
