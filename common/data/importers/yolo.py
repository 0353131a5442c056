"""YOLO: pose datasets as Ultralytics describes them: a ``data.yaml``, and for each photo a text file of labels.

A line of a label file is somebody: the class, centre and size of the box, and two or three numbers for each joint, all
in shares of the photo.
"""

import math
import posixpath
from collections.abc import Iterator, Sequence
from typing import Any

from bodyposenet.common.data.importers.assembly import Assembly, Joints, PhotoFinder
from bodyposenet.common.data.importers.document import Fault, decode_text
from bodyposenet.common.data.importers.sources import SourceFiles
from bodyposenet.common.data.importers.yolo_layout import YoloLayout, YoloPair
from bodyposenet.common.data.importers.yolo_settings import YoloSettings, parse_yaml, refuse_names

Fields = dict[str, Any]

_UNPLACED = (-1, -1)
_SHOWN = 60  # characters of a wrong class that a message repeats
_SLACK = 1e-3  # how far rounding puts a share below 0 or above 1


def is_yolo(name: str) -> bool:
    """Tell a dataset's file by its name."""
    return posixpath.basename(name).lower() in ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")


def read_yolo(
    data: bytes, files: SourceFiles, where: str, *, choice: str, joints: Joints, photos: PhotoFinder | None
) -> Fields:
    """Read one subset of a dataset into a COCO document.

    A photo without a label file has nobody in it, unless there are label files without a photo. A wrong line is
    somebody without keypoints: a :class:`Fault` stands in their place.

    Args:
        data: The ``data.yaml``.
        files: The dataset's files.
        where: The yaml, for messages.
        choice: ``train``, ``val`` or ``test``; empty takes the only one.
        joints: As the dataset spec has them.
        photos: The photos, if they are elsewhere.

    Raises:
        UserError: A key of the yaml is missing or wrong, or no label file is where it says.
    """
    settings = YoloSettings.read(parse_yaml(data, where), where, joints)
    pairs = YoloLayout(files, settings.document, where, photos).list_pairs(choice)
    assembly = Assembly(settings.joints, where)
    sizes = _SizeReader([pair.photo for pair in pairs if pair.photo], files, photos, where)
    for pair in pairs:
        size = None if pair.photo is None else sizes.read(pair.photo)
        name = pair.tell_photo(files)
        number = assembly.add_photo(sizes.meant.get(name, name), size)
        if pair.doubtful:
            assembly.note_other(number)
        for line, text in _list_lines(pair, files):
            place = f"{files.tell(pair.label or '')}:{line}"
            _add_person(assembly, number, settings, text.split(), place, size or (1, 1))
    return assembly.finish("Ultralytics YOLO-pose")


class _SizeReader:
    """Reads sizes of photos: of those that a verb works on, else of those that lie with the labels."""

    def __init__(self, names: Sequence[str], files: SourceFiles, photos: PhotoFinder | None, where: str) -> None:
        self.files, self.photos = files, photos
        self.meant = dict(zip(names, photos.find(names, where), strict=True)) if photos else {}

    def read(self, name: str) -> tuple[int, int] | None:
        found = self.meant.get(name, name)
        if self.photos is not None and self.photos.has(found):
            return self.photos.read_size(found)
        return self.files.read_size(name) if name in self.files.known else None


def _list_lines(pair: YoloPair, files: SourceFiles) -> Iterator[tuple[int, str]]:
    """List the lines of a label file that say something, with their numbers."""
    if pair.label is None:
        return
    data = files.read(pair.label)
    text = decode_text(data, files.tell(pair.label)) if data.strip() else ""
    yield from ((number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip())


def _add_person(
    assembly: Assembly, photo: int, settings: YoloSettings, words: list[str], place: str, size: tuple[int, int]
) -> None:
    values = [_read_number(word) for word in words]
    label = settings.classes.get(int(values[0])) if values[0] == values[0] // 1 else None
    if label is not None and label not in assembly.numbers:
        assembly.note_other(photo, label)
        return
    kind = label or next(iter(assembly.numbers))
    values = _drop_unnamed(values, kind, settings, assembly.where)
    why = (
        _find_fault(values, settings.joints[kind], settings.numbers)
        if label
        else f"class {words[0][:_SHOWN]} has no name in the data.yaml"
    )
    box = _read_box(values[1:5], size)
    fault = Fault(f"{place}: {why}", _find_remedy(values, settings))
    assembly.add_person(photo, kind, fault if why else _triplets(values, settings, size), box)


def _find_remedy(values: Sequence[float], settings: YoloSettings) -> str:
    """Say what to do about a line: its joints may all have two numbers where the yaml tells three, or three for two."""
    other = 5 - settings.numbers
    if len(values) == 5 + settings.places * other:
        return f"write kpt_shape: [{settings.places}, {other}] in the data.yaml if all lines are so"
    return "mend the line, or label the photo again"


def _drop_unnamed(values: list[float], kind: str, settings: YoloSettings, where: str) -> list[float]:
    """Take the joints without a name off a line's end: Roboflow keeps room for joints that somebody has deleted.

    Raises:
        UserError: One of them is labelled, so that a name is missing, and which cannot be known.
    """
    named = len(settings.joints[kind])
    end = 5 + named * settings.numbers
    if len(values) != 5 + settings.places * settings.numbers or end == len(values):
        return values
    rest = [values[place : place + settings.numbers] for place in range(end, len(values), settings.numbers)]
    if not all(triplet[2:] == [0] or tuple(triplet[:2]) in ((0, 0), _UNPLACED) for triplet in rest):
        raise refuse_names(named, settings.places, kind, where)
    return values[:end]


def _read_number(word: str) -> float:
    try:
        value = float(word)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _find_fault(values: Sequence[float], joints: Sequence[str], numbers: int) -> str | None:
    """Say why a line cannot be used; None if it can."""
    count = len(joints)
    if len(values) != 5 + count * numbers:
        return f"{len(values)} numbers instead of {5 + count * numbers}: a class, a box and {count} joints of {numbers}"
    blank = [end for end in range(7, len(values), 3) if numbers == 3 and values[end] == 0]  # flags of unlabelled joints
    idle = {place for end in blank for place in (end - 2, end - 1)}
    lost = [place for place, value in enumerate(values) if math.isnan(value) and place not in idle]
    if lost:
        return f"value {lost[0] + 1} is no number"
    for joint, place in zip(joints, range(5, len(values), numbers), strict=True):
        x, y, *flag = values[place : place + numbers]
        if flag and flag[0] not in (0, 1, 2):
            return f"the visibility of {joint} is {flag[0]:g}, not 0, 1 or 2"
        if flag != [0] and (x, y) != _UNPLACED and not all(-_SLACK <= value <= 1 + _SLACK for value in (x, y)):
            return f"{joint} lies at {x:g}, {y:g}: shares of the photo are from 0 to 1"
    return None


def _read_box(values: Sequence[float], size: tuple[int, int]) -> list[float] | None:
    """Read the box in pixels; None where it is none."""
    if len(values) < 4 or not all(-1 <= value <= 2 for value in values) or min(values[2:]) <= 0:
        return None
    x, y, width, height = values
    high, wide = size
    return [(x - width / 2) * wide, (y - height / 2) * high, width * wide, height * high]


def _triplets(values: Sequence[float], settings: YoloSettings, size: tuple[int, int]) -> list[float]:
    """Return triplets in pixels; -1 -1 means that a joint is not labelled, and of two numbers 0 0."""
    high, wide = size
    triplets: list[float] = []
    for place in range(5, len(values), settings.numbers):
        x, y, *told = values[place : place + settings.numbers]
        flag = 0 if (x, y) == _UNPLACED else int(told[0]) if told else 2 * bool(x or y)
        triplets += [x * wide, y * high, flag] if flag else [0, 0, 0]
    return triplets
