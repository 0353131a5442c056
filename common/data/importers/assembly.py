"""Assembly: a COCO document that grows photo by photo, person by person."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.data.importers.regions import normalize_label
from bodyposenet.common.errors import UserError

Fields = dict[str, Any]
Joints = Sequence[str] | Mapping[str, Sequence[str]] | None

_HALVES = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
_SHOWN = 10  # labels of points that are left out
_SUBSETS = (
    "%s: it says of which %r each photo is (%s), and all are read: give each a file of its own, or what is held out is "
    "trained on"
)
log = logging.getLogger(__name__)


class PhotoFinder(Protocol):
    """The photos that annotations are of."""

    @property
    def listing(self) -> Mapping[str, object]:
        """The files that are there, by name."""
        ...

    def find(self, names: Sequence[str], file: str = "") -> list[str]:
        """Find what the photos are called."""
        ...

    def has(self, name: str) -> bool:
        """Tell whether there is such a file."""
        ...

    def read_size(self, name: str) -> tuple[int, int] | None:
        """Read ``(height, width)``; None where the photo is missing or no image."""
        ...


class Assembly:
    """Photos and people, numbered from 1 as they come.

    Args:
        kinds: The joints of each category of people, in the order of the triplets.
        where: The file or folder that they are read from.
    """

    def __init__(self, kinds: Mapping[str, Sequence[str]], where: str) -> None:
        self.where = where
        self.images: list[Fields] = []
        self.annotations: list[Fields] = []
        self.numbers = {name: number for number, name in enumerate(kinds, 1)}
        self.categories = [
            {"id": number, "name": name, "keypoints": list(kinds[name]), "skeleton": []}
            for name, number in self.numbers.items()
        ]
        self._joints = kinds
        self._others: Counter[str] = Counter()
        self._drawn: dict[int, None] = {}

    def add_photo(self, name: str, size: tuple[int, int] | None) -> int:
        """Add a photo of so many pixels, ``(height, width)``; of an unknown size it is read later.

        Args:
            name: Its file, or why there is none, as a :class:`Fault`.
            size: None where it is not known.

        Returns:
            Its number.
        """
        number = len(self.images) + 1
        known = {} if size is None else {"height": size[0], "width": size[1]}
        self.images.append({"id": number, "file_name": name} | known)
        return number

    def add_person(
        self, photo: int, kind: str, keypoints: list[float] | Fault, box: Sequence[float] | None, *, crowd: bool = False
    ) -> None:
        """Add somebody.

        Args:
            photo: The number of the photo.
            kind: The category.
            keypoints: Triplets in pixels with COCO's flags, or why there are none.
            box: x, y, width, height in pixels; None takes that of the joints when the document is checked.
            crowd: Whether this is a group that nobody told apart.
        """
        entry: Fields = {"id": len(self.annotations) + 1, "image_id": photo, "category_id": self.numbers[kind]}
        entry |= {"iscrowd": int(crowd), "keypoints": keypoints, "segmentation": []}
        if box is not None:
            entry |= {"bbox": list(box), "area": float(box[2]) * float(box[3])}
        self.annotations.append(entry)

    def joints(self, kind: str) -> Sequence[str]:
        """Return the joints of a category, in the order of the triplets."""
        return self._joints[kind]

    def note_other(self, photo: int, label: str | None = None) -> None:
        """Note that something is drawn in a photo that is no person, so that it is none that shows nothing.

        Args:
            photo: Its number.
            label: What it is, to be counted; None for what nobody need hear of.
        """
        self._drawn[photo] = None
        if label is not None:
            self._others[label] += 1

    def finish(self, tool: str) -> Fields:
        """Say what was read, in one line, and return the document."""
        others = ", ".join(f"{count} of {label}" for label, count in self._others.most_common(5))
        note = f"; left out, as they are no people: {others}" if others else ""
        counts = len(self.images), len(self.annotations)
        log.info("%s: read as %s: %d photos, %d people%s", self.where, tool, *counts, note)
        things, kinds = list_others(self._drawn, self.annotations, len(self.categories))
        annotations, categories = [*self.annotations, *things], [*self.categories, *kinds]
        return {"images": self.images, "annotations": annotations, "categories": categories}


def list_others(photos: Iterable[int], annotations: Sequence[Fields], count: int) -> tuple[list[Fields], list[Fields]]:
    """List annotations of things that are no people, one for each photo that has no others, and their category.

    Such a photo is no negative, as it is none in COCO's files: who looked at it may have drawn other things alone.

    Args:
        photos: Numbers of the photos in which something is drawn.
        annotations: Of people.
        count: Categories of people, which are numbered from 1.
    """
    known = {entry["image_id"] for entry in annotations}
    number = count + 1
    others = [{"image_id": photo, "category_id": number, "keypoints": []} for photo in photos if photo not in known]
    return others, [{"id": number, "name": ""}] if others else []


def choose_people(names: Sequence[str], joints: Joints) -> list[str]:
    """Choose which labels are people: those of the dataset spec, else "person", else all."""
    wanted = [name.casefold() for name in joints] if isinstance(joints, Mapping) else []
    for known in (wanted, ["person"]):
        found = [name for name in names if name.casefold() in known]
        if found:
            return found
    return list(names)


def name_joints(points: Counter[str], joints: Joints, people: Sequence[str], where: str) -> dict[str, Sequence[str]]:
    """Name the joints of each kind of people: those of the dataset spec, or else the labels of points, sorted.

    Labels beside all of the spec's joints are told: they are left out.

    Args:
        points: Labels of points, and how many have each.
        joints: As the dataset spec has them.
        people: The kinds.
        where: The file or folder, for the message.

    Raises:
        UserError: Labels fit none of the spec's joints, and some of these have no label.
    """
    if joints is None:
        return {kind: sorted(points) for kind in people}
    named = dict(joints) if isinstance(joints, Mapping) else {kind: joints for kind in people}
    known = {normalize_label(name) for names in named.values() for name in names}
    strange = [label for label in points if normalize_label(label) not in known]
    unused = [name for name in sorted(known) if name not in set(map(normalize_label, points))]
    if strange and unused:
        fix = f"give joints the labels' names in the spec; no label is called {', '.join(unused[:5])}"
        raise UserError(f"the points {', '.join(strange[:5])} are no joints of the dataset spec", where=where, fix=fix)
    if strange:
        tell_strange(points, strange, where)
    default = next(iter(named.values()))
    return {kind: named.get(kind, default) for kind in people}


def tell_strange(points: Counter[str], strange: Iterable[str], where: str) -> None:
    """Log a warning of points that are left out, with their labels and how many have each, the commonest first.

    Args:
        points: Labels of points, and how many have each.
        strange: Those that are no joints of the dataset spec.
        where: The file or folder.
    """
    counts = Counter({label: points[label] for label in strange}).most_common()
    shown = [f"{count:,} of {label}" for label, count in counts[:_SHOWN]]
    more = f" and {len(counts) - _SHOWN} labels more" if len(counts) > _SHOWN else ""
    told = ", ".join(shown) + more
    log.warning("%s: left out, as they are no joints of the dataset spec: points labelled %s", where, told)


def warn_of_halves(key: str, told: Iterable[object], where: str) -> None:
    """Log a warning where photos are told to be of several halves of a dataset, as all of them are read.

    Args:
        key: Where the file says it.
        told: What it says of each photo or person; what names no half (``train2017`` does) is passed over.
        where: The file.
    """
    counts = Counter(str(half) for half in told if str(half).casefold().rstrip("0123456789") in _HALVES)
    if len(counts) > 1:
        log.warning(_SUBSETS, where, key, ", ".join(f"{count:,} {half}" for half, count in counts.most_common()))
