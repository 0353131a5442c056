"""Photo rows: the rows of a set's tables that are of some photos: for a worker, and as digests of what they say."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.annotations.coco import CocoSet, Photos
from bodyposenet.common.data.annotations.fields import Mask, Numbers
from bodyposenet.common.data.annotations.tables import PhotoTable
from bodyposenet.common.storage.digests import digest_bytes

BLOCK = 1024  # photos whose labels are digested at a time


def take_photos(coco: CocoSet, is_masked: Mask, photos: Numbers) -> Photos:
    """Take some photos, with what a worker needs of them: outlines only where a mask is drawn.

    Shape letters: P photos of the set, T taken ones.

    Args:
        coco: The set.
        is_masked: ``(P,)`` whether a photo has a mask, perhaps.
        photos: ``(T,)`` places of the photos, in any order.
    """
    images, people = coco.images, coco.annotations
    rows, first = _find_rows(people.first, photos)
    drawn = np.repeat(is_masked[photos], np.diff(first))
    outlines = people.segmentations.select(rows, drawn)
    columns = {key: value[rows] for key, value in vars(people).items() if key not in ("first", "segmentations")}
    table = PhotoTable(
        ids=images.ids[photos],
        file_names=[images.file_names[photo] for photo in photos],
        heights=images.heights[photos],
        widths=images.widths[photos],
    )
    return Photos(table, replace(people, first=first, segmentations=outlines, **columns))


def digest_labels(coco: CocoSet, mains: Mask, is_masked: Mask, photos: Numbers) -> list[str]:
    """Digest what goes from the annotations into the record of each of some photos.

    Shape letters: P photos and A annotations of the set, T taken photos.

    Args:
        coco: The set.
        mains: ``(A,)`` who is of interest.
        is_masked: ``(P,)`` as for :func:`take_photos`.
        photos: ``(T,)`` places of the photos.

    Returns:
        32 hexadecimal digits for each photo.
    """
    blocks = (photos[start : start + BLOCK] for start in range(0, len(photos), BLOCK))
    return [digest for block in blocks for digest in _digest_block(coco, mains, is_masked, block)]


def _digest_block(coco: CocoSet, mains: Mask, is_masked: Mask, photos: Numbers) -> Iterator[str]:
    images, people = coco.images, coco.annotations
    rows, first = _find_rows(people.first, photos)
    columns = (people.keypoints, people.boxes, people.areas, people.crowds, people.num_keypoints, mains)
    packed = _pack_rows([column[rows] for column in columns])
    sizes = zip(*(of[photos].tolist() for of in (images.ids, images.heights, images.widths)), strict=True)
    for place, (photo, size) in enumerate(zip(photos.tolist(), sizes, strict=True)):
        own = repr((images.file_names[photo], *size)).encode()
        there = slice(people.first[photo], people.first[photo + 1])
        drawn = people.segmentations.pack(there) if is_masked[photo] else b""
        yield digest_bytes(own + drawn + packed[first[place] : first[place + 1]].tobytes())[:32]


def _find_rows(starts: Numbers, photos: Numbers) -> tuple[Numbers, Numbers]:
    """Find the annotations of some photos, and where among these those of each begin, and end.

    Args:
        starts: ``(P + 1,)`` where the annotations of each photo of the set begin, and where the last ones end.
        photos: ``(T,)`` places of the photos.

    Returns:
        Places of the annotations, photo by photo; and ``(T + 1,)`` the same as ``starts`` for these.
    """
    counts = starts[photos + 1] - starts[photos]
    first = np.concatenate([[0], np.cumsum(counts)])
    return np.repeat(starts[photos] - first[:-1], counts) + np.arange(first[-1]), first


def _pack_rows(columns: Sequence[npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    """Put the bytes of columns of as many rows side by side, a row each."""
    wide = [np.ascontiguousarray(column).reshape(len(column), math.prod(column.shape[1:])) for column in columns]
    return np.concatenate([column.view(np.uint8) for column in wide], axis=1)
