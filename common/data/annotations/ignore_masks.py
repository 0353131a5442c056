"""Ignore masks: where a photo shows people that nobody labelled, so that the loss must not count there."""

import warnings
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from pycocotools import mask as run_lengths

from bodyposenet.common.bounds import COUNT_CHARACTERS
from bodyposenet.common.data.annotations.coco import Person, Photo
from bodyposenet.common.errors import UserError

Mask = npt.NDArray[np.uint8]
Fault = tuple[Person, UserError]

CORNERS = 6  # numbers; two points enclose nothing
MARGIN = 2  # pixels by which pycocotools' rounding may draw a polygon beyond its corners


def ignore_mask(photo: Photo, faults: list[Fault] | None = None) -> Mask | None:
    """Draw where the loss counts.

    Crowds and people without keypoints are masked out, except where they overlap a labelled person. A person without
    a segmentation covers their box.

    Args:
        photo: The photo and its people.
        faults: Gets the people whose segmentation does not fit the photo, and why; they cover their boxes. Without it,
            the first is raised.

    Returns:
        ``(H, W)`` 255 where the loss counts and 0 where it does not; None where all of the photo counts.

    Raises:
        UserError: A segmentation does not fit the photo.
    """
    strangers = [_Outline(person, photo) for person in photo.people if not person.labelled]
    if not strangers:
        return None
    x0, y0 = np.min([outline.extent[:2] for outline in strangers], axis=0)
    x1, y1 = np.max([outline.extent[2:] for outline in strangers], axis=0)
    people = [_Outline(person, photo) for person in photo.people if person.labelled]
    near = [outline for outline in people if any(outline.meets(stranger) for stranger in strangers)]
    masked = _region(strangers, faults)[y0:y1, x0:x1]
    if near:
        masked = masked & ~_region(near, faults)[y0:y1, x0:x1]
    if not masked.any():
        return None
    mask = np.full((photo.height, photo.width), 255, np.uint8)
    mask[y0:y1, x0:x1] = np.where(masked, np.uint8(0), np.uint8(255))
    return mask


def encode_mask(mask: Mask) -> bytes:
    """Encode a mask as PNG of one bit a pixel; decoding gives it back exactly."""
    return bytes(cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1])


def outline_faults(photo: Photo) -> list[Fault]:
    """Find what is wrong with the run lengths of a photo's people."""
    faults: list[Fault] = []
    for person in photo.people:
        if isinstance(person.segmentation, dict):
            _Outline(person, photo).runs(faults)
    return faults


class _Outline:
    """What a person covers.

    Attributes:
        extent: x0, y0, x1, y1: whole pixels of the photo, outside of which the person covers none.
    """

    def __init__(self, person: Person, photo: Photo) -> None:
        self.person, self.photo = person, photo
        shape = person.segmentation
        self.polygons = [] if isinstance(shape, dict) else [part for part in shape if len(part) >= CORNERS]
        self.extent = self._extent()

    def meets(self, other: "_Outline") -> bool:
        """Tell whether their extents have a pixel in common."""
        (a, b, c, d), (e, f, g, h) = self.extent, other.extent
        return a < g and e < c and b < h and f < d

    def _extent(self) -> tuple[int, int, int, int]:
        height, width = self.photo.height, self.photo.width
        if isinstance(self.person.segmentation, dict):
            return 0, 0, width, height
        if self.polygons:
            x0, y0 = (min(min(part[axis::2]) for part in self.polygons) for axis in (0, 1))
            x1, y1 = (max(max(part[axis::2]) for part in self.polygons) for axis in (0, 1))
        else:
            x0, y0, x1, y1 = np.concatenate([self.person.box[:2], self.person.box[:2] + self.person.box[2:]]).tolist()
        corners = ((x0 - MARGIN, width), (y0 - MARGIN, height), (x1 + MARGIN, width), (y1 + MARGIN, height))
        return tuple(int(min(max(corner, 0), end)) for corner, end in corners)  # type: ignore[return-value]

    def runs(self, faults: list[Fault] | None) -> list[dict[str, Any]]:
        """Run lengths of the person's parts, as pycocotools keeps them."""
        size = (self.photo.height, self.photo.width)
        if isinstance(self.person.segmentation, dict):
            try:
                return [_whole_runs(self.person.segmentation, self.person, self.photo)]
            except UserError as fault:
                if faults is None:
                    raise
                faults.append((self.person, fault))
        return list(run_lengths.frPyObjects(self.polygons or self.person.box[None], *size))


def _region(outlines: list[_Outline], faults: list[Fault] | None) -> npt.NDArray[np.bool_]:
    """Unite what these people cover: ``(H, W)``."""
    runs = run_lengths.merge([run for outline in outlines for run in outline.runs(faults)])
    with warnings.catch_warnings():  # pycocotools 2.0.11's arrays predate NumPy 2's copy keyword; nothing is lost
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        return np.asarray(run_lengths.decode(runs)).view(bool)


def _whole_runs(shape: dict[str, Any], person: Person, photo: Photo) -> dict[str, Any]:
    """Run lengths as pycocotools keeps them, once they are known to fill the photo: pycocotools does not look."""
    size = [photo.height, photo.width]
    where = f"annotation {person.annotation_id} of image {photo.image_id}"
    if shape["size"] != size:
        raise UserError(
            f"its segmentation is of size {shape['size']}, the image {size}", where=where, fix="annotate it again"
        )
    counts = shape["counts"]
    whole = photo.height * photo.width
    if isinstance(counts, str):
        unpacked = _unpack(counts)
        if len(unpacked) and unpacked.min() >= 0 and unpacked.max() <= whole and unpacked.sum() == whole:
            return {"size": size, "counts": counts.encode()}
    if isinstance(counts, list) and set(map(type, counts)) == {int} and min(counts) >= 0 and sum(counts) == whole:
        return dict(run_lengths.frPyObjects({"size": size, "counts": counts}, *size))
    raise UserError("the run lengths of its segmentation are broken", where=where, fix="annotate it again")


def _unpack(packed: str) -> npt.NDArray[np.int64]:
    """Read counts from COCO's text form: five bits a character, lowest first, each less the one two before it.

    Returns:
        The counts; none where the text is broken.
    """
    none = np.empty(0, np.int64)
    if not packed.isascii():
        return none
    codes = np.frombuffer(packed.encode(), np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero(codes & 32 == 0)  # the last character of each count; its bit 16 is the sign
    if not len(ends) or ends[-1] != len(codes) - 1 or codes.min() < 0 or codes.max() > 63:
        return none
    lengths = np.diff(ends, prepend=-1)
    if lengths.max() > COUNT_CHARACTERS:
        return none
    starts = ends - lengths + 1
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    counts = np.add.reduceat((codes & 31) << shifts, starts)
    counts -= (codes[ends] & 16 != 0).astype(np.int64) << 5 * lengths
    counts[1::2] = counts[1::2].cumsum()
    counts[2::2] = counts[2::2].cumsum()
    return counts
