"""Tables: photos and annotations as columns, and the photos of a file checked."""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bodyposenet.common.bounds import PHOTO_PIXELS, PHOTO_SIDE, WHOLE_NUMBER
from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.compact_columns import Joints, Outlines
from bodyposenet.common.data.annotations.fields import (
    SHOWN,
    Entry,
    Floats,
    Mask,
    MisfitError,
    Numbers,
)
from bodyposenet.common.data.annotations.ids import Key, read_key
from bodyposenet.common.data.annotations.plain_entries import read_plain_photos
from bodyposenet.common.data.annotations.problems import Problem
from bodyposenet.common.data.importers.json_text import Rows
from bodyposenet.common.data.importers.photo_names import path_in
from bodyposenet.common.storage.inside import stays_inside

_OUTSIDE = re.compile(r"^(/?[A-Za-z]:(?=/))?/*")  # where a path begins that is another machine's
NAMES = ("file_name", "path", "filename", "name", "coco_url", "url")  # where tools write what a photo is called


@dataclass(frozen=True, eq=False)
class PhotoTable:
    """Photos, in the order of their file.

    Shape letters: P photos.

    Attributes:
        ids: ``(P,)`` the dataset's numbers.
        file_names: P paths below the folder of the photos.
        heights: ``(P,)`` pixels.
        widths: ``(P,)`` pixels.
        numbers: Of the photos whose ids are texts in the file.
    """

    ids: Numbers
    file_names: Sequence[str]
    heights: Numbers
    widths: Numbers
    numbers: Mapping[str, int] = field(default_factory=dict)

    def select(self, kept: Mask) -> "PhotoTable":
        """Return some of the photos: those of which ``(P,)`` ``kept`` is true."""
        names = [self.file_names[number] for number in np.flatnonzero(kept).tolist()]
        columns = {name: getattr(self, name)[kept] for name in ("ids", "heights", "widths")}
        return replace(self, file_names=names, **columns)


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
        categories: ``(A,)`` places of their categories among those of people.
    """

    first: Numbers
    ids: Numbers
    keypoints: Floats | Joints
    boxes: Floats
    areas: Floats
    crowds: Mask
    num_keypoints: Numbers
    segmentations: Outlines
    categories: Numbers

    def select(self, kept: Mask) -> "AnnotationTable":
        """Return the annotations of some photos: of those of which ``(P,)`` ``kept`` is true."""
        counts = np.diff(self.first)
        rows = np.flatnonzero(np.repeat(kept, counts))
        own = {key: take(value, rows) for key, value in vars(self).items() if key != "first"}
        return replace(self, first=np.concatenate([[0], np.cumsum(counts[kept])]), **own)

    @property
    def photo_of(self) -> Numbers:
        """``(A,)`` the photo of each annotation, counted from 0."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))


def take(column: Any, places: Numbers) -> Any:
    """Take some entries of a column, in any order, and leave them as compact as they are."""
    if isinstance(column, Joints | Outlines):
        return column.select(places)
    return column[places]


def photo_table(
    entries: Sequence[dict[str, Any]], file: str, problems: list[Problem], album: Album | None = None
) -> PhotoTable:
    """Read the photos of a file; those that are wrong are left out and added to the problems.

    Args:
        entries: ``images`` of the file.
        file: The file's name.
        problems: Gets what is wrong, and what was mended.
        album: The photos, for sizes that the file does not tell and for the photos' names; None looks at none.
    """
    table = _read_plain(entries) if isinstance(entries, Rows) else None
    if table is None:
        table = _read_each([*entries], file, problems, album)
    if album is not None:
        table = replace(table, file_names=tuple(album.find(table.file_names, file)))
    return _leave_out_shared(table, file, problems)


def _read_plain(entries: Rows) -> PhotoTable | None:
    """Read all photos at once; None where there is anything to tell of any."""
    photos = read_plain_photos(entries) or []
    ids = np.array([photo.id for photo in photos], np.int64)
    names = tuple([photo.file_name for photo in photos])
    heights, widths = np.array([(photo.height, photo.width) for photo in photos], np.int64).reshape(-1, 2).T
    if not photos or len(set(ids.tolist())) < len(ids) or (heights * widths).max() > PHOTO_PIXELS:
        return None
    return PhotoTable(ids, names, heights, widths) if _are_below(names) else None


def _are_below(names: Sequence[str]) -> bool:
    """Tell whether all files of these names are below the folder; of plain names at once."""
    if _is_plain("".join(names)):
        return all([name.strip(".") for name in names])
    return all(map(_is_below, names))


def _read_each(
    entries: Sequence[dict[str, Any]], file: str, problems: list[Problem], album: Album | None
) -> PhotoTable:
    """Read photos one by one, with what is to tell of each; their names are the file's."""
    keys = [read_key(fields.get("id")) for fields in entries]
    numbers = _number_texts(keys)
    photos: dict[int, tuple[str, int, int]] = {}
    repeated = _find_repeated(entries, keys, numbers, file, problems)
    for place, (fields, key) in enumerate(zip(entries, keys, strict=True)):
        if place in repeated:
            continue
        try:
            image_id, photo = _photo(fields, place, file, numbers.get(key) if isinstance(key, str) else key)
        except MisfitError as error:
            try:
                image_id, photo = _photo(_mend_photo(fields, album), place, file, error.problem.image_id)
            except MisfitError as still:
                problems.append(still.problem)
                continue
            text = f"{error.problem.text}: taken as {photo[0][:SHOWN]!r} of {photo[2]} x {photo[1]} pixels"
            problems.append(replace(error.problem, text=text, image_id=image_id, fix="", kept=True))
        photos[image_id] = photo
    names, heights, widths = zip(*photos.values(), strict=True) if photos else ((), (), ())
    return PhotoTable(
        np.fromiter(photos, np.int64, len(photos)), names, np.array(heights, np.int64), np.array(widths, np.int64),
        numbers,
    )  # fmt: skip


def _leave_out_shared(table: PhotoTable, file: str, problems: list[Problem]) -> PhotoTable:
    """Leave out the photos of which several entries are: who is in one is not labelled in the other."""
    counts = Counter(table.file_names)
    if len(counts) == len(table.file_names):
        return table
    shared = defaultdict(list)
    for number, name in zip(table.ids.tolist(), table.file_names, strict=True):
        if counts[name] > 1:
            shared[name].append(number)
    fix = "put all its annotations under one image id, or leave out those of one export"
    for name, ids in shared.items():
        text = f"{len(ids)} images are of {name[:SHOWN]!r}, with the ids {', '.join(map(str, ids[:5]))}"
        problems += [Problem(file, "one photo, several images", text, fix, number) for number in ids]
    return table.select(np.array([counts[name] == 1 for name in table.file_names]))


def _number_texts(keys: Sequence[Key | None]) -> dict[str, int]:
    """Number the ids that are texts on from the largest that is a number."""
    texts = dict.fromkeys(key for key in keys if isinstance(key, str))
    first = max((key for key in keys if isinstance(key, int)), default=0) + 1 if texts else 0
    return {text: number for number, text in enumerate(texts, max(first, 1))}


def _find_repeated(
    entries: Sequence[dict[str, Any]],
    keys: Sequence[Key | None],
    numbers: Mapping[str, int],
    file: str,
    problems: list[Problem],
) -> set[int]:
    """Find the places of photos whose id another one has, too; of entries that say the same the first stays."""
    counts = Counter(key for key in keys if key is not None)
    if len(counts) == len(entries):
        return set()
    places = defaultdict(list)
    for place, key in enumerate(keys):
        if key is not None and counts[key] > 1:
            places[key].append(place)
    repeated: set[int] = set()
    for key, same in places.items():
        alike = all(entries[place] == entries[same[0]] for place in same)
        repeated |= {*same[alike:]}
        shown = ", ".join(str(entries[place].get("file_name"))[:SHOWN] for place in same[:3])
        text = f"{len(same)} images have the id {key!r} ({shown}): "
        text += "they say the same" if alike else "two exports were put together, and whose the people are is lost"
        fix = "" if alike else "number one export's ids on from the other's, or give each a dataset spec of its own"
        number = numbers[key] if isinstance(key, str) else key
        problems.append(Problem(file, "image twice", text, fix, number, kept=alike))
    return repeated


def _mend_photo(fields: dict[str, Any], album: Album | None) -> dict[str, Any]:
    """Read numbers that are texts, the path in an address, and sizes from the photo where the file tells none."""
    mended = dict(fields)
    given = (value for key in NAMES if isinstance(value := mended.get(key), str) and value.strip())
    name = next(given, mended.get("file_name"))
    if album is not None and isinstance(name, str) and not (_is_below(name) and name == mended.get("file_name")):
        inner = _OUTSIDE.sub("", path_in(name))
        if _is_below(inner) and album.has(album.find([inner])[0]):
            mended["file_name"] = inner
    name = mended.get("file_name")
    for key in ("height", "width"):
        value = read_key(mended.get(key))
        mended[key] = value if type(value) is int else mended.get(key)
    told = all(type(mended[key]) is int and mended[key] > 0 for key in ("height", "width"))
    if not told and album is not None and isinstance(name, str) and _is_below(name):
        size = album.read_size(name)
        mended |= {} if size is None else {"height": size[0], "width": size[1]}
    return mended


def _photo(fields: dict[str, Any], number: int, file: str, key: int | None) -> tuple[int, tuple[str, int, int]]:
    """Read the id, and file name, height and width, of a photo whose id was read already."""
    values: list[Any] = [fields.get(key) for key in ("file_name", "height", "width")]
    if key is not None and _are_sound(key, *values):
        name, height, width = values
        return key, (name, height, width)
    image_id = Entry(fields, file, f"image number {number}").whole("id") if key is None else key
    entry = Entry(fields, file, image_id=image_id)
    name = entry.text("file_name")
    if not _is_below(name):
        text = f"'file_name' is {name[:SHOWN]!r}, which leaves the folder"
        raise entry.wrong("file_name", text, "write its path below the folder")
    height, width = entry.size("height", PHOTO_SIDE), entry.size("width", PHOTO_SIDE)
    if height * width > PHOTO_PIXELS:
        raise entry.wrong(
            "image size", f"{width} x {height} pixels are too many", f"tile it, to {PHOTO_PIXELS:,} at most"
        )
    return image_id, (name, height, width)


def _are_sound(image_id: object, name: object, height: object, width: object) -> bool:
    """Tell whether all is well at first sight."""
    if type(image_id) is not int or type(name) is not str or type(height) is not int or type(width) is not int:
        return False
    sized = 0 < height <= PHOTO_SIDE and 0 < width <= PHOTO_SIDE and height * width <= PHOTO_PIXELS
    return sized and abs(image_id) <= WHOLE_NUMBER and _is_below(name)


def _is_below(name: str) -> bool:
    """Tell whether a file of this name is below the folder that it is looked for in."""
    return bool(_is_plain(name) and name.strip(".")) or stays_inside(name)


def _is_plain(text: str) -> bool:
    """Tell whether a text is of printable ASCII characters alone, none of which folders are named by."""
    return text.isascii() and text.isprintable() and not set(text) & set("/\\:")
