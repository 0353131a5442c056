"""LabelMe: a JSON file for each photo; shapes of one ``group_id`` are one person: a rectangle and the points of joints.

A circle labelled as a joint is a point in its middle. A point without a group belongs to the only rectangle of a person
that holds it. A flag that is set, or the description, tells hidden joints (``occluded``, ``hidden``) and those that are
not labelled (``absent``, ``outside``); X-AnyLabeling writes the same files, and that a hidden joint is ``difficult``.
"""

import json
import logging
import math
import posixpath
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bodyposenet.common.data.importers.assembly import Assembly, Joints, choose_people, name_joints
from bodyposenet.common.data.importers.document import Fault, objects, read_number
from bodyposenet.common.data.importers.json_text import parse
from bodyposenet.common.data.importers.regions import HIDDEN, NOT_LABELLED, normalize_label, parse_number
from bodyposenet.common.data.importers.sources import SourceFiles
from bodyposenet.common.errors import AwayError, UserError

Fields = dict[str, Any]
log = logging.getLogger(__name__)

BOX_FIX = "draw a rectangle around each person in LabelMe, and give it and the person's points one group id"
_AROUND = ("box", "outline")  # kinds of shapes that are around somebody
_SAID = {"visible", *filter(str.isalpha, HIDDEN | NOT_LABELLED)}  # numbers may be those of people
_POINT_FIX = "give the points and the rectangle of each person one group id in LabelMe"


def is_labelme(document: object) -> bool:
    """Tell a photo's file by its keys."""
    return isinstance(document, dict) and {"shapes", "imagePath"} <= document.keys()


def is_labelme_start(data: bytes) -> bool:
    """Tell a photo's file by its beginning and end, without reading the picture that may be in it."""
    ends = (data[:4000] + data[-4000:]).replace(b"\0", b"")  # UTF-16 has zeros between
    return b'"shapes"' in ends and b'"imagePath"' in ends


def list_labelme(files: SourceFiles) -> list[str]:
    """List the files of photos in a folder or archive; none where the first JSON files are other tools'."""
    names = [name for name in files.names if name.lower().endswith(".json")]
    return names if any(files.fits(name, is_labelme_start) for name in names[:3]) else []


def read_folder(files: SourceFiles, names: Sequence[str], joints: Joints) -> Fields:
    """Read the files of a folder into a COCO document; those of other tools are left out and told."""
    documents: list[tuple[str, str, Fields]] = []
    others, damaged = [], []
    for name in names:
        try:
            document = parse(files.read(name), files.tell(name))
        except AwayError:
            raise
        except UserError as error:
            damaged.append(Fault(f"{error.where}: {error.problem}", error.fix))
            continue
        if is_labelme(document):
            documents.append((posixpath.dirname(name), files.tell(name), document))
        else:
            others.append(name)
    if others:
        log.warning("%s: %d files are no photos' of LabelMe, such as %s", files.where, len(others), others[0])
    return from_labelme(documents, files.where, joints, damaged)


def from_labelme(
    documents: Sequence[tuple[str, str, Fields]], where: str, joints: Joints = None, damaged: Sequence[Fault] = ()
) -> Fields:
    """Turn photos' files into a COCO document.

    Args:
        documents: Of each, its folder below the others', its name for messages, and the file.
        where: Where they all are.
        joints: As the dataset spec has them; by default the labels of points, sorted.
        damaged: What is wrong with files that cannot be read.

    Raises:
        UserError: There are no points, or labels of points that fit none of the spec's joints.
    """
    lists = joints.values() if isinstance(joints, Mapping) else [joints or ()]
    known = frozenset(normalize_label(name) for names in lists for name in names)
    photos = [_Photo.read(folder, place, document, known) for folder, place, document in documents]
    points = Counter(shape.label for photo in photos for shape in photo.shapes if shape.kind == "point")
    boxes = dict.fromkeys(shape.label for photo in photos for shape in photo.shapes if shape.kind in _AROUND)
    if not points:
        raise UserError("nobody labelled a point in it", where=where, fix=BOX_FIX)
    people = choose_people(list(boxes), joints) or ["person"]
    names = name_joints(points, joints, people, where)
    assembly, asked = Assembly(names, where), {normalize_label(joint) for own in names.values() for joint in own}
    for photo in photos:
        _add_photo(assembly, photo, asked)
    for fault in damaged:
        assembly.add_photo(fault, None)
    return assembly.finish("LabelMe")


@dataclass(frozen=True, eq=False)
class _Shape:
    """A point, a rectangle, any other outline, or a damaged one of them; corners in pixels."""

    label: str
    kind: str
    corners: list[tuple[float, float]]
    group: float | str | None
    remarks: frozenset[str]

    @property
    def triplet(self) -> list[float]:
        """The point with COCO's flag."""
        flag = 0 if self.remarks & NOT_LABELLED else 1 if self.remarks & HIDDEN else 2
        return [*self.corners[0], flag] if flag else [0, 0, 0]

    @property
    def box(self) -> list[float]:
        """x, y, width and height."""
        xs, ys = zip(*self.corners, strict=True)
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]

    def holds(self, point: "_Shape") -> bool:
        """Tell whether a point lies in the rectangle."""
        x, y, width, height = self.box
        across, down = point.corners[0]
        return x <= across <= x + width and y <= down <= y + height


@dataclass(frozen=True, eq=False)
class _Photo:
    """A photo's file: its name, its size if that is told, and what is drawn."""

    name: str
    place: str
    size: tuple[int, int] | None
    shapes: list[_Shape]

    @classmethod
    def read(cls, folder: str, place: str, document: Fields, joints: Collection[str]) -> "_Photo":
        given = document.get("imagePath")
        path = given.replace("\\", "/") if isinstance(given, str) else ""
        name: str = posixpath.normpath(posixpath.join(folder, path)) if path else ""
        while name.startswith("../"):
            name = name[3:]
        why = f"{place}: it names no photo: 'imagePath' is {json.dumps(given)[:60]}"
        height, width = document.get("imageHeight"), document.get("imageWidth")
        size = (height, width) if type(height) is int and type(width) is int and min(height, width) > 0 else None
        shapes = [_read_shape(entry, joints) for entry in objects(document.get("shapes"))]
        return cls(name or Fault(why, "write the photo's name"), place, size, shapes)


def _read_shape(entry: Fields, joints: Collection[str]) -> _Shape:
    """Read a point, or the rectangle around any other shape; it is damaged where it has no place.

    Args:
        entry: The shape.
        joints: Of the dataset spec, spelled alike; the label of a point may say more after one (``left_eye-occluded``).
    """
    given = entry.get("points")
    pairs = given if isinstance(given, list) else []
    corners = [
        (parse_number(pair[0]), parse_number(pair[1])) for pair in pairs if isinstance(pair, list) and len(pair) > 1
    ]
    label = str(entry.get("label", ""))
    joint, _, said = normalize_label(label).rpartition(" ")
    is_told = joint in joints and normalize_label(label) not in joints and said in _SAID
    form = entry.get("shape_type")
    if form == "circle" and (is_told or normalize_label(label) in joints):
        corners = corners[:1]  # its middle; the other is on its rim
    damaged = not corners or any(math.isnan(value) for corner in corners for value in corner)
    kind = "point" if form == "point" or len(corners) == 1 else "box" if form == "rectangle" else "outline"
    kind = "damaged" if damaged else kind
    flags = entry["flags"] if isinstance(entry.get("flags"), dict) else {}
    remarks = [name for name, value in flags.items() if value is True]
    remarks += [text for text in [entry.get("description")] if isinstance(text, str)]
    remarks += ["hidden"] if kind == "point" and entry.get("difficult") is True else []
    if kind == "point" and is_told:
        label, remarks = joint, [*remarks, said]
    spelled, group = frozenset(map(normalize_label, remarks)), read_number(entry.get("group_id"))
    is_grouped = type(group) in (int, float, str) and group != "" and group == group  # NaN is no group
    return _Shape(label, kind, corners, group if is_grouped else None, spelled)


@dataclass(eq=False)
class _Person:
    """A group: the rectangle, if there is one, and the points."""

    box: _Shape | None = None
    points: dict[str, _Shape] = field(default_factory=dict)
    fault: str | None = None

    def add(self, point: _Shape) -> None:
        """Give them a joint; a second one of a name is a fault."""
        key = normalize_label(point.label)
        if key in self.points:
            self.fault = f"joint {point.label!r} is there twice"
        self.points[key] = point


def _add_photo(assembly: Assembly, photo: _Photo, joints: Collection[str]) -> None:
    number = assembly.add_photo(photo.name, photo.size)
    groups = _group_boxes(assembly, photo, number)
    if photo.shapes:
        assembly.note_other(number)
    points = [shape for shape in photo.shapes if shape.kind == "point" and normalize_label(shape.label) in joints]
    for point in points:
        if point.group is not None:
            groups[point.group].add(point)
    lost = _settle([point for point in points if point.group is None], groups)
    _adopt_boxes(groups)
    _tell_damaged(assembly, number, photo, groups, joints)
    for group, person in groups.items():
        told = f"group {group}" if not isinstance(group, _Shape) else "a rectangle without a group"
        _add_person(assembly, number, person, f"{photo.place}: {told}")
    if names := ", ".join(dict.fromkeys(point.label for point in lost)):
        why = f"{photo.place}: {len(lost)} points have no group, and lie in no person's rectangle: {names}"
        around = _Shape("", "box", [point.corners[0] for point in lost], None, frozenset()).box
        kind = next(iter(assembly.numbers))
        assembly.add_person(number, kind, Fault(why, _POINT_FIX), around if min(around[2:]) > 0 else None)


def _tell_damaged(
    assembly: Assembly, number: int, photo: _Photo, groups: Mapping[object, _Person], joints: Collection[str]
) -> None:
    """Make a fault of each shape of people that has no place."""
    spelled = {*map(normalize_label, assembly.numbers), *joints}
    for shape in photo.shapes:
        if shape.kind == "damaged" and normalize_label(shape.label) in spelled:
            why = f"the place of {shape.label!r} is no number"
            if shape.group in groups:
                groups[shape.group].fault = why
            else:
                kind = next(iter(assembly.numbers))
                assembly.add_person(number, kind, Fault(f"{photo.place}: {why}", _POINT_FIX), None)


def _group_boxes(assembly: Assembly, photo: _Photo, number: int) -> defaultdict[object, _Person]:
    """Make somebody of each rectangle of a person, by its group, or by itself where it has none."""
    groups: defaultdict[object, _Person] = defaultdict(_Person)
    for shape in sorted(photo.shapes, key=lambda shape: shape.kind != "box"):  # a rectangle counts before an outline
        if shape.kind in _AROUND and shape.label in assembly.numbers:
            person = groups[shape if shape.group is None else shape.group]
            if person.box and person.box.kind == shape.kind:
                person.fault = "there are two rectangles in a group"
            person.box = person.box or shape
        elif shape.kind in _AROUND:
            assembly.note_other(number, shape.label)
    return groups


def _adopt_boxes(groups: dict[object, _Person]) -> None:
    """Give a group without a rectangle the one without a group that alone holds all its points, and only them."""
    free = {key: person for key, person in groups.items() if isinstance(key, _Shape) and not person.points}
    holders = {
        group: [key for key, one in free.items() if one.box and all(map(one.box.holds, person.points.values()))]
        for group, person in groups.items()
        if person.points and not person.box
    }
    claims = Counter(key for held in holders.values() for key in held)
    for group, held in holders.items():
        if len(held) == 1 and claims[held[0]] == 1:
            groups[group].box = groups.pop(held[0]).box


def _settle(loose: Sequence[_Shape], groups: Mapping[object, _Person]) -> list[_Shape]:
    """Give points without a group to the rectangles that hold them; return those that lie in none."""
    lost = []
    for point in loose:
        holders = [person for person in groups.values() if person.box and person.box.holds(point)]
        if len(holders) == 1:
            holders[0].add(point)
        for person in holders if len(holders) > 1 else ():
            person.fault = f"joint {point.label!r} has no group, and lies in the rectangles of {len(holders)} people"
        lost += [] if holders else [point]
    return lost


def _add_person(assembly: Assembly, photo: int, person: _Person, place: str) -> None:
    kind = person.box.label if person.box else next(iter(assembly.numbers))
    box = person.box.box if person.box else None
    if person.fault:
        assembly.add_person(photo, kind, Fault(f"{place}: {person.fault}", _POINT_FIX), box)
        return
    triplets: list[float] = []
    for joint in assembly.joints(kind):
        point = person.points.get(normalize_label(joint))
        triplets += point.triplet if point else [0, 0, 0]
    if box is not None or any(triplets[2::3]):
        assembly.add_person(photo, kind, triplets, box)
