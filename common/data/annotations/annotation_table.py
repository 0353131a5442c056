"""Annotation table: the people of a file, checked in bulk and put in the order of their photos."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any, TypeVar

import numpy as np

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.categories import Kinds
from bodyposenet.common.data.annotations.compact_columns import KINDS, Joints, Outlines
from bodyposenet.common.data.annotations.fields import Columns, Entry, Floats, Mask, MisfitError, Numbers
from bodyposenet.common.data.annotations.ids import read_key
from bodyposenet.common.data.annotations.mending import Mender, are_unplaced
from bodyposenet.common.data.annotations.plain_entries import PlainColumns
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.annotations.tables import AnnotationTable, PhotoTable, take
from bodyposenet.common.data.annotations.turned_sizes import reach, turn_sizes
from bodyposenet.common.data.importers.document import number_in
from bodyposenet.common.data.importers.json_text import Rows
from bodyposenet.common.errors import UserError

BATCH = 256  # annotations that are parsed at a time; of more, the numbers leave the processor's caches
Found = TypeVar("Found")
SHIFTED = 3  # photos with people; fewer do not tell whether their ids are counted from elsewhere
SHARES = 3  # joints; so many in one pixel are no body but shares of the image
SLACK = 1.0  # pixels by which a box may leave its photo: annotation tools round


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
    draft = _join(_read_drafts(entries, kinds, flags, told), len(entries), len(kinds.joints))
    _refuse_shifted(told, {*images.ids.tolist(), *(problem.image_id for problem in problems)}, file)
    photos = _find_indices(draft.image_ids, images.ids)
    draft.suspect |= (photos < 0) | np.isin(draft.image_ids, [*images.numbers.values()])
    reader = _Reader(kinds, images, flags, file, problems, int(draft.ids.max(initial=0)) + 1)
    for place in np.flatnonzero(draft.suspect).tolist():
        draft.put(place, reader.read(entries[draft.rows[place]], int(draft.rows[place])))
    photos = _find_indices(draft.image_ids, images.ids)
    photos[draft.lost] = -1
    is_labelled = draft.keypoints.find_flags([flag for flag, code in flags.items() if code > 0])
    if album is not None:
        images = turn_sizes(images, photos, reach(draft.boxes, draft.keypoints, is_labelled), album, file, problems)
    _hold_boxes_to_photos(draft, photos, images, file, problems)
    for place in _find_doubles(draft, np.where(is_labelled.any(axis=1), photos, -1)):
        text, image_id = "it is there twice, alike: one of them counts", int(draft.image_ids[place])
        problems.append(Problem(file, "person twice", text, "", image_id, int(draft.ids[place]), kept=True))
        photos[place] = -1
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
    named = (images.numbers.get(key) if isinstance(key, str) else key for key in told)
    return images, table, frozenset(images.ids.tolist()).intersection(key for key in named if key is not None)


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


def _read_drafts(
    entries: Sequence[dict[str, Any]], kinds: Kinds, flags: Mapping[int, int], told: set[int | str | None]
) -> Iterator["_Draft"]:
    """Read a file's people in batches; ``told`` gets the ids of the photos that its annotations name."""
    for first in range(0, len(entries), BATCH):
        batch = entries[first : first + BATCH]
        taken = (PlainColumns.read(batch) if isinstance(batch, Rows) else None) or Columns([*batch])
        named = taken.values("image_id")
        told.update(named if isinstance(taken, PlainColumns) else _look_up(named, read_key))
        for columns, places in _group(taken.values("category_id"), kinds).items():
            yield _Draft(first + places, taken.select(places), columns, kinds, flags)


def _group(categories: list[Any], kinds: Kinds) -> dict[tuple[int, ...], Numbers]:
    """Group the places of entries by their kind of people: by the kind's joints."""
    if not kinds.columns:  # the file describes no people: all are
        return {kinds.default or (): np.arange(len(categories))}
    found = _look_up(categories, kinds.find)
    return {
        columns: np.array([place for place, each in enumerate(found) if each == columns])
        for columns in dict.fromkeys(found)
        if columns is not None
    }


def _look_up(values: list[Any], find: Callable[[object], Found]) -> list[Found]:
    """Find something for each value, of whole numbers once for all that are equal."""
    if not set(map(type, values)) <= {int}:
        return [*map(find, values)]
    known = {value: find(value) for value in set(values)}
    return [*map(known.__getitem__, values)]


class _Draft:
    """Annotations of one kind as columns, and nothing else, before they are sound."""

    def __init__(
        self,
        rows: Numbers,
        taken: Columns | PlainColumns,
        columns: tuple[int, ...],
        kinds: Kinds,
        flags: Mapping[int, int],
    ) -> None:
        self.rows = rows
        self.image_ids, self.ids = taken.whole("image_id"), taken.whole("id")
        self.boxes = taken.numbers("bbox", 4)
        self.areas = taken.number("area", self.boxes[:, 2] * self.boxes[:, 3])
        self.crowds = taken.flag("iscrowd")
        self.segmentations = Outlines(taken.segmentations())
        own = taken.numbers("keypoints", 3 * len(columns))
        joints = spread(own, columns, len(kinds.joints), blank_flag(flags))
        self.keypoints = Joints(joints, len(joints))
        self.suspect = taken.suspect | (self.boxes[:, 2:] <= 0).any(axis=1) | (self.areas <= 0)
        categories = taken.values("category_id")
        self.suspect |= ~np.array(_look_up(categories, kinds.knows), bool)
        self.categories = np.array(_look_up(categories, kinds.find_place), np.int64)
        self.suspect |= _are_shares(own, flags, self.boxes) | are_unplaced(own, self.boxes, flags).any(axis=1)
        within = ((self.boxes >= 0) & (self.boxes <= 1)).all(axis=1)
        self.suspect |= within & (self.boxes % 1 != 0).any(axis=1)  # shares of the image, and no pixels
        self.suspect |= ~np.isin(own[:, 2::3], list(flags)).all(axis=1)
        self.lost = np.zeros(len(rows), bool)

    def put(self, place: int, found: dict[str, Any] | None) -> None:
        """Replace an annotation by what a closer look found."""
        self.lost[place] = found is None
        for name, value in (found or {}).items():
            getattr(self, name)[place] = value

    def choose(self, places: Numbers) -> None:
        """Keep some of the annotations, in another order; column by column, so that the memory holds one twice."""
        for name in list(vars(self)):
            setattr(self, name, take(getattr(self, name), places))


def blank_flag(flags: Mapping[int, int]) -> int:
    """Return the flag of a joint that is not labelled: one that the dataset lacks, where its own all mean labelled."""
    return next((flag for flag, code in flags.items() if code == 0), min(flags) - 1)


def spread(numbers: Floats, columns: Sequence[int], joints: int, blank: int) -> Floats:
    """Spread ``(E, 3 K')`` triplets of some joints to ``(E, K, 3)`` of all; the others get the flag ``blank``."""
    own = numbers.reshape(len(numbers), len(columns), 3)
    if tuple(columns) == tuple(range(joints)):
        return own
    keypoints = np.zeros((len(own), joints, 3))
    keypoints[..., 2] = blank
    keypoints[:, list(columns)] = own
    return keypoints


def _are_shares(own: Floats, flags: Mapping[int, int], boxes: Floats) -> Mask:
    """Tell ``(E,)`` whose labelled joints are fractions from 0 to 1, and so shares of the image.

    Three such joints are no body; fewer are told by their box, which they are not in.

    Args:
        own: ``(E, 3 K)`` triplets.
        flags: As for :func:`annotation_table`.
        boxes: ``(E, 4)`` x, y, width, height.
    """
    triplets = own.reshape(len(own), own.shape[1] // 3, 3)
    seen = np.isin(triplets[..., 2], [flag for flag, code in flags.items() if code > 0])
    within = ((triplets[..., :2] >= 0) & (triplets[..., :2] <= 1)).all(axis=2)
    least = np.where((boxes[:, :2] > 1 + SLACK).any(axis=1), 1, SHARES)
    shares: Mask = (seen.sum(axis=1) >= least) & (within | ~seen).all(axis=1)
    broken = (triplets[shares, :, :2] % 1 != 0).any(axis=2) & seen[shares]
    shares[shares] = broken.any(axis=1)
    return shares


def _join(drafts: Iterable[_Draft], most: int, joints: int) -> _Draft:
    """Join the annotations of all batches and kinds, in the order of the file.

    Each is copied as it comes, so that no two are there at once; room that nothing is written to takes no memory.

    Args:
        drafts: The batches.
        most: Annotations that they have together, at most.
        joints: K.
    """
    whole = _Draft(np.arange(0), Columns([]), tuple(range(joints)), Kinds(("",) * joints, {}, None), {0: 0})
    gathered, outlines, filled = Joints(np.empty((most, joints, 3), KINDS[0]), 0), list[Outlines](), 0
    plain = [name for name in vars(whole) if name not in ("keypoints", "segmentations")]
    columns = {name: np.empty((most, *getattr(whole, name).shape[1:]), getattr(whole, name).dtype) for name in plain}
    for draft in drafts:
        end = filled + len(draft.rows)
        for name, column in columns.items():
            column[filled:end] = getattr(draft, name)
        gathered.append(draft.keypoints[:])
        outlines.append(draft.segmentations)
        filled = end
    vars(whole).update({name: column[:filled] for name, column in columns.items()})
    whole.keypoints, whole.segmentations = gathered.select(slice(None)), Outlines.join(outlines)
    if (np.diff(whole.rows) < 0).any():
        whole.choose(np.argsort(whole.rows))
    return whole


def _find_indices(ids: Numbers, known: Numbers) -> Numbers:
    """Find ``(A,)`` the place of each id among the known ones, -1 where it is none of them."""
    if not len(known):
        return np.full(len(ids), -1)
    order = np.argsort(known, kind="stable")
    place = order[np.minimum(np.searchsorted(known, ids, sorter=order), len(known) - 1)]
    return np.where(known[place] == ids, place, -1)


class _Reader:
    """Looks closer at one annotation at a time."""

    def __init__(
        self, kinds: Kinds, images: PhotoTable, flags: Mapping[int, int], file: str, problems: list[Problem], ids: int
    ) -> None:
        self.kinds, self.flags, self.file, self.problems = kinds, flags, file, problems
        self.images, self.invented = set(images.ids.tolist()), {*images.numbers.values()}
        self.refused = {problem.image_id for problem in problems} - {None, *self.images}  # photos, told already
        self.mender, self.fresh = Mender(images.numbers, flags), count(ids)

    def read(self, fields: dict[str, Any], number: int) -> dict[str, Any] | None:
        """Read an annotation by the names of a draft's columns; without keypoints or None if they are wrong."""
        mended, notes = self.mender.mend(fields)
        if mended.get("iscrowd") in (1, True) and mended.get("keypoints") is None:
            mended["keypoints"] = self._list_blank(mended)  # as of files that are put together with COCO's instances
            notes.append(("crowd without keypoints", "it is a crowd without keypoints; it is masked as any"))
        if number_in(mended, "image_id") in self.refused:
            return None
        if type(key := read_key(fields.get("image_id"))) is int and key in self.invented:  # a number that no photo has
            self.problems.append(_miss_image(self._entry(mended, number), key).problem)
            return None
        found = self._read_or_mask(mended, number)
        if found is not None:
            entry = self._entry(mended, number)
            self.problems += [replace(entry.wrong(kind, text, "").problem, kept=True) for kind, text in notes]
        return found

    def _read_or_mask(self, fields: dict[str, Any], number: int) -> dict[str, Any] | None:
        try:
            return self._read(fields, number)
        except MisfitError as error:
            self.problems.append(error.problem)
        known = {key: fields.get(key) for key in ("id", "image_id", "bbox", "segmentation")}
        if self.kinds.knows(fields.get("category_id")):
            known["category_id"] = fields.get("category_id")
        try:
            return self._read(known | {"keypoints": self._list_blank(fields)}, number, whole=False)
        except MisfitError:
            return None

    def _list_blank(self, fields: dict[str, Any]) -> list[int]:
        """List the keypoints of somebody of whom no joint is labelled."""
        return [0, 0, blank_flag(self.flags)] * len(self._columns(fields))

    def _columns(self, fields: dict[str, Any]) -> tuple[int, ...]:
        return self.kinds.find(fields.get("category_id")) or self.kinds.default or ()

    def _read(self, fields: dict[str, Any], number: int, *, whole: bool = True) -> dict[str, Any]:
        entry = self._entry(fields, number)
        image_id = entry.whole("image_id")
        if image_id not in self.images:
            raise _miss_image(entry, image_id)
        self._hold_to_categories(entry)
        columns = self._columns(fields)
        own = entry.numbers("keypoints", 3 * len(columns))
        box = entry.numbers("bbox", 4)
        if whole:
            self._hold_to_flags(entry, own[2::3])
            self._hold_to_pixels(entry, own, box)
        keypoints = spread(own[None], columns, len(self.kinds.joints), blank_flag(self.flags))[0]
        if (box[2:] < 0).any():
            raise entry.wrong("bbox", f"bbox {box.tolist()} has a negative size", "write x, y, width, height")
        return {
            "image_ids": image_id,
            "ids": entry.annotation_id if entry.annotation_id is not None else next(self.fresh),
            "keypoints": keypoints,
            "boxes": box,
            "areas": entry.number("area", float(box[2] * box[3])),
            "crowds": entry.flag("iscrowd"),
            "segmentations": entry.segmentation(),
            "categories": self.kinds.find_place(fields.get("category_id")),
        }

    def _hold_to_categories(self, entry: Entry) -> None:
        given = entry.fields.get("category_id")
        if not self.kinds.knows(given):
            raise entry.wrong(
                "category_id", f"no category has its number {given!r}", "mend it, or add the category to the file"
            )

    def _hold_to_pixels(self, entry: Entry, own: Floats, box: Floats) -> None:
        if _are_shares(own[None], self.flags, box[None])[0]:
            raise entry.wrong(
                "keypoints from 0 to 1", "its keypoints are shares of the image, from 0 to 1", "write pixels"
            )

    def _entry(self, fields: dict[str, Any], number: int) -> Entry:
        image_id, own_id = number_in(fields, "image_id"), number_in(fields, "id")
        label = f"annotation number {number}" if own_id is None else ""
        return Entry(fields, self.file, label, image_id=image_id, annotation_id=own_id)

    def _hold_to_flags(self, entry: Entry, given: Floats) -> None:
        strange = [flag for flag in given.tolist() if flag not in self.flags]
        if strange:
            known = ", ".join(map(str, sorted(self.flags)))
            raise entry.wrong(
                "visibility flag",
                f"a keypoint has the visibility flag {strange[0]:g}, the dataset has {known}",
                "mend it, or add it to visibility_flags of the dataset spec",
            )


def _miss_image(entry: Entry, image_id: int) -> MisfitError:
    """Make the error for an annotation of a photo that the file does not have."""
    text = f"its image_id {image_id} is no image of the file"
    return entry.wrong("image_id", text, "add the image, or drop the annotation")


def _find_doubles(draft: _Draft, photos: Numbers) -> Iterator[int]:
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
    draft: _Draft, photos: Numbers, images: PhotoTable, file: str, problems: list[Problem]
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
