"""Annotation table: the people of a file, checked in bulk and put in the order of their photos."""

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.categories import Kinds
from bodyposenet.common.data.annotations.drafts import SLACK, Draft, join_drafts, read_drafts
from bodyposenet.common.data.annotations.entry_reader import EntryReader
from bodyposenet.common.data.annotations.fields import Floats, Mask, Numbers
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.annotations.tables import AnnotationTable, PhotoTable
from bodyposenet.common.data.annotations.turned_sizes import reach, turn_sizes
from bodyposenet.common.errors import UserError

SHIFTED = 3  # photos with people; fewer do not tell whether their ids are counted from elsewhere


def annotation_table(
    entries: Sequence[dict[str, Any]],
    kinds: Kinds,
    images: PhotoTable,
    flags: Mapping[int, int],
    file: str,
    problems: list[Problem],
    album: Album | None = None,
) -> tuple[PhotoTable, AnnotationTable, frozenset[int]]:
    """Read the annotations of a file, those of other categories than people aside.

    What is wrong is added to the problems and left out; a person of whom only the box is sound stays, unlabelled.

    Args:
        entries: ``annotations`` of the file.
        kinds: Categories of people.
        images: The file's photos.
        flags: The dataset's visibility flags, and whether they mean not labelled (0) or labelled (more).
        file: The file's name.
        problems: Gets what is wrong.
        album: The photos, for what EXIF data explain; None looks at none.

    Returns:
        The photos, of the sizes that the annotations are of; the annotations; and the ids of the photos that any
        annotation names, whatever of and however wrong.
    """
    told = set[int | str | None]()
    draft = join_drafts(read_drafts(entries, kinds, flags, told), len(entries), len(kinds.joints))
    _refuse_shifted(told, {*images.ids.tolist(), *(problem.image_id for problem in problems)}, file)
    photos = _find_indices(draft.image_ids, images.ids)
    draft.suspect |= (photos < 0) | np.isin(draft.image_ids, [*images.numbers.values()])
    numbers = images.numbers or _find_photos({key for key in told if isinstance(key, str)}, images)
    reader = EntryReader(kinds, images, flags, file, problems, int(draft.ids.max(initial=0)) + 1, numbers)
    for place in np.flatnonzero(draft.suspect).tolist():
        draft.put(place, reader.read(entries[draft.rows[place]], int(draft.rows[place])))
    photos = _find_indices(draft.image_ids, images.ids)
    photos[draft.lost] = -1
    is_labelled = draft.keypoints.find_flags([flag for flag, code in flags.items() if code > 0])
    if album is not None:
        images = turn_sizes(images, photos, reach(draft.boxes, draft.keypoints, is_labelled), album, file, problems)
    _hold_boxes_to_photos(draft, photos, images, file, problems)
    _leave_out_doubles(draft, photos, is_labelled, file, problems)
    order = np.argsort(photos, kind="stable")[np.count_nonzero(photos < 0) :]
    if not np.array_equal(order, np.arange(len(photos))):  # else all would be held twice for nothing
        draft.choose(order)
    table = AnnotationTable(
        first=np.searchsorted(photos[order], np.arange(len(images.ids) + 1)),
        ids=draft.ids,
        keypoints=draft.keypoints,
        boxes=draft.boxes,
        areas=draft.areas,
        crowds=draft.crowds,
        num_keypoints=is_labelled[order].sum(axis=1),
        segmentations=draft.segmentations,
        categories=draft.categories,
    )
    named = (numbers.get(key) if isinstance(key, str) else key for key in told)
    return images, table, frozenset(images.ids.tolist()).intersection(key for key in named if key is not None)


def _find_photos(texts: set[str], images: PhotoTable) -> dict[str, int]:
    """Find the photos that texts name in place of ids, by path, file or what is before its ending, where it is one."""
    meant = defaultdict(set)
    for number, name in zip(images.ids.tolist(), images.file_names, strict=True) if texts else ():
        base = posixpath.basename(name)
        for text in {name, base, posixpath.splitext(base)[0]} & texts:
            meant[text].add(number)
    return {text: min(found) for text, found in meant.items() if len(found) == 1}


def _refuse_shifted(told: set[int | str | None], known: set[int | None], file: str) -> None:
    """Refuse annotations that count photos from 0 where the photos count from 1, or the other way round.

    All but those of one photo would be taken for another photo's.

    Args:
        told: Ids of photos that annotations name.
        known: Ids of the photos of the file.
        file: Its name.
    """
    named = {key for key in told if isinstance(key, int)}
    if len(named) < SHIFTED or named <= known:
        return
    for step in (1, -1):
        if {key + step for key in named} <= known:
            way = "one below" if step == 1 else "one above"
            raise UserError(
                f"image ids of its annotations seem to be {way} those of its images: no image has the id "
                f"{min(named - known)}, and people of all others would be in their neighbours",
                where=file,
                fix="number images and annotations alike, from 0 or from 1",
            )


def _find_indices(ids: Numbers, known: Numbers) -> Numbers:
    """Find ``(A,)`` the place of each id among the known ones, -1 where it is none of them."""
    if not len(known):
        return np.full(len(ids), -1)
    order = np.argsort(known, kind="stable")
    place = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)]
    return np.where(known[place] == ids, place, -1)


def _leave_out_doubles(draft: Draft, photos: Numbers, is_labelled: Mask, file: str, problems: list[Problem]) -> None:
    """List labelled people who are there twice, alike, and take all but one of each out of ``photos``."""
    for place in _find_doubles(draft, np.where(is_labelled.any(axis=1), photos, -1)):
        text, image_id = "it is there twice, alike: one of them counts", int(draft.image_ids[place])
        problems.append(Problem(file, "person twice", text, "", image_id, int(draft.ids[place]), kept=True))
        photos[place] = -1


def _find_doubles(draft: Draft, photos: Numbers) -> Iterator[int]:
    """Find annotations that are there twice with their id, as in an export that was put together with itself.

    Copies with ids of their own are an annotator's: they are among the suspects.

    Args:
        draft: All of them.
        photos: ``(A,)`` the photo of each; less than 0 are not looked at.
    """
    mark = photos * 7919.0
    for column, weight in zip(draft.boxes.T, (1.0, 1.7, 2.9, 4.3), strict=True):
        mark += column * weight
    order = np.argsort(mark, kind="stable")
    for place in np.flatnonzero(np.diff(mark[order]) == 0).tolist():
        first, second = order[place : place + 2].tolist()
        columns = (photos, draft.ids, draft.boxes, draft.keypoints, draft.crowds)
        if photos[first] >= 0 and all(np.array_equal(column[first], column[second]) for column in columns):
            yield second


def _hold_boxes_to_photos(
    draft: Draft, photos: Numbers, images: PhotoTable, file: str, problems: list[Problem]
) -> None:
    """List the boxes that leave their photo, and take those that miss it out of ``photos``."""
    for place, gone in _outside(draft.boxes, photos, images):
        x, y, width, height = draft.boxes[place].tolist()
        photo = photos[place]
        if gone:
            photos[place] = -1
        text = f"its box {[x, y, width, height]} {'misses' if gone else 'leaves'} the image of "
        text += f"{images.widths[photo]} x {images.heights[photo]} pixels"
        fix = "annotate the image as it is: after a rotation or a new size, export again"
        image_id, number = int(images.ids[photo]), int(draft.ids[place])
        problems.append(Problem(file, "box outside the image", text, fix, image_id, number, kept=not gone))


def _outside(boxes: Floats, photos: Numbers, images: PhotoTable) -> Iterator[tuple[int, bool]]:
    """Find boxes that leave their photo by more than rounding, and tell whether they miss it."""
    if not len(images.ids):
        return
    ends = np.stack([images.widths, images.heights], axis=1)[photos]
    lows, highs = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    leaves = ((lows < -SLACK) | (highs > ends + SLACK)).any(axis=1) & (photos >= 0)
    gone = (lows >= ends) | (highs < 0)
    yield from ((int(place), bool(gone[place].any())) for place in np.flatnonzero(leaves))
