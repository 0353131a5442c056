"""Datumaro's own JSON: points with their visibility, and the boxes and outlines of the same group.

A box or outline of somebody of whom there are no points is masked, and so are crowds (``is_crowd``).
"""

from collections.abc import Sequence
from typing import Any

from bodyposenet.common.data.importers.assembly import Assembly, Joints, choose_people
from bodyposenet.common.data.importers.document import Fault, number_in, objects
from bodyposenet.common.data.importers.regions import parse_number
from bodyposenet.common.errors import UserError

Fields = dict[str, Any]

_VISIBILITY = {"absent": 0, "hidden": 1, "visible": 2}
_POSES = ("points", "skeleton")
_DRAWN = ("bbox", "polygon", "polyline", "mask", "ellipse", "rotated_bbox", "cuboid_2d", "points")
_FIX = 'export it again, or as "coco_person_keypoints"'


def is_datumaro(document: object) -> bool:
    """Tell Datumaro's file by its keys."""
    return isinstance(document, dict) and isinstance(document.get("items"), list) and "categories" in document


def from_datumaro(document: Fields, where: str, joints: Joints = None) -> Fields:
    """Turn Datumaro's items into a COCO document.

    Args:
        document: The file.
        where: Its name.
        joints: As the dataset spec has them.

    Raises:
        UserError: No label has joints.
    """
    labels, kinds = _read_categories(document, where)
    names = choose_people([labels[number] for number in kinds], joints)
    people = {number: labels[number] for number in kinds if labels[number] in names}
    assembly = Assembly({labels[number]: kinds[number] for number in people}, where)
    for item in objects(document["items"]):
        photo = assembly.add_photo(*_read_image(item, where))
        entries = objects(item.get("annotations"))
        posed = {entry.get("group") for entry in entries if entry.get("type") in _POSES} - {None, 0}
        for number, entry in enumerate(entries, 1):
            label = number_in(entry, "label_id")
            if entry.get("type") not in _POSES or label is None:
                if entry.get("type") in _DRAWN:
                    assembly.note_other(photo)
                if label in people and entry.get("group") not in posed and (box := _read_box(entry)):
                    blank = [0.0] * (3 * len(kinds[label]))
                    assembly.add_person(photo, people[label], blank, box, crowd=_is_crowd([entry]))
                continue
            if label not in people:
                assembly.note_other(photo, labels[label] if 0 <= label < len(labels) else f"label {label}")
                continue
            place = f"{where}: item {item.get('id')!r}: annotation number {number}"
            skeleton = entry.get("type") == "skeleton"
            keypoints = (
                _read_skeleton(entry, labels, kinds[label], place)
                if skeleton
                else _read_points(entry, kinds[label], place)
            )
            group = [entry, *_list_group(entry, entries)]
            assembly.add_person(photo, people[label], keypoints, _find_box(group), crowd=_is_crowd(group))
    return assembly.finish("Datumaro's JSON")


def _read_categories(document: Fields, where: str) -> tuple[list[str], dict[int, list[str]]]:
    """Read the names of all labels, and the joints of those that have some."""
    categories = document["categories"] if isinstance(document["categories"], dict) else {}
    labels, points = (categories.get(key) for key in ("label", "points"))
    names = [str(entry.get("name")) for entry in objects(labels.get("labels") if isinstance(labels, dict) else None)]
    kinds: dict[int, list[str]] = {}
    for entry in objects(points.get("items") if isinstance(points, dict) else None):
        number, joints = number_in(entry, "label_id"), entry.get("labels")
        if number is not None and 0 <= number < len(names) and isinstance(joints, list) and joints:
            kinds[number] = [str(joint) for joint in joints]
    if not kinds:
        fix = "give the label of people joints (Datumaro's PointsCategories), and export again"
        raise UserError("no label of Datumaro's file has joints", where=where, fix=fix)
    return names, kinds


def _read_image(item: Fields, where: str) -> tuple[str, tuple[int, int] | None]:
    media = item.get("image") or item.get("media")
    image: Fields = media if isinstance(media, dict) else {}
    path, size = image.get("path"), image.get("size")
    name = path if isinstance(path, str) and path else item.get("id")
    if not isinstance(name, str) or not name:
        return Fault(f"{where}: an item names no photo", _FIX), None
    whole = isinstance(size, list) and len(size) == 2 and all(type(side) is int for side in size)
    return name.replace("\\", "/"), (size[0], size[1]) if size and whole else None


def _read_points(entry: Fields, joints: Sequence[str], place: str) -> list[float] | Fault:
    """Read the triplets of somebody; a :class:`Fault` where there are too few or too many."""
    given, seen = entry.get("points"), entry.get("visibility")
    points = [parse_number(value) for value in given] if isinstance(given, list) else []
    flags = seen if isinstance(seen, list) else [2] * len(joints)
    if len(points) != 2 * len(joints) or len(flags) != len(joints):
        counts = f"{len(points) / 2:g} points and {len(flags)} visibilities"
        return Fault(f"{place}: its label has {len(joints)} joints, and it {counts}", _FIX)
    triplets: list[float] = []
    for number, flag in enumerate(flags):
        code = _VISIBILITY.get(flag, 9) if isinstance(flag, str) else flag
        if code not in (0, 1, 2):
            return Fault(f"{place}: the visibility of {joints[number]} is {flag!r}, not 0, 1 or 2", _FIX)
        triplets += [*points[2 * number : 2 * number + 2], code] if code else [0, 0, 0]
    return triplets


def _read_skeleton(entry: Fields, labels: Sequence[str], joints: Sequence[str], place: str) -> list[float] | Fault:
    """Read the triplets of a skeleton, as CVAT exports it: its elements are points, each of a label of its own."""
    found: dict[str, list[float]] = {}
    for element in objects(entry.get("elements")):
        number = number_in(element, "label_id")
        name = labels[number] if number is not None and 0 <= number < len(labels) else f"label {number}"
        if name not in joints or name in found:
            why = "is there twice" if name in found else "is no joint of its label"
            return Fault(f"{place}: its point {name!r} {why}", _FIX)
        triplet = _read_points(element, [name], place)
        if isinstance(triplet, Fault):
            return triplet
        found[name] = triplet
    return [value for joint in joints for value in found.get(joint, (0, 0, 0))]


def _list_group(entry: Fields, entries: Sequence[Fields]) -> list[Fields]:
    """List what else is in somebody's group; no group is 0."""
    group = entry.get("group")
    others = [other for other in entries if other is not entry]
    return [other for other in others if group and other.get("group") == group]


def _is_crowd(entries: Sequence[Fields]) -> bool:
    """Tell whether it is said of any that it stands for a group that nobody told apart."""
    attributes = (entry.get("attributes") for entry in entries)
    told = (given.get("is_crowd") for given in attributes if isinstance(given, dict))
    return any(value in (True, 1) for value in told)


def _find_box(group: Sequence[Fields]) -> list[float] | None:
    """Find the box of a group; None where there is none, or several."""
    boxes = [entry["bbox"] for entry in group if isinstance(entry.get("bbox"), list) and len(entry["bbox"]) == 4]
    return [parse_number(value) for value in boxes[0]] if len(boxes) == 1 else None


def _read_box(entry: Fields) -> list[float] | None:
    """Read what is around a box or an outline; None where it has no place."""
    if entry.get("type") == "bbox":
        return _find_box([entry])
    given = entry.get("points") if entry.get("type") in ("polygon", "polyline") else None
    points = [parse_number(value) for value in given] if isinstance(given, list) else []
    xs, ys = points[::2], points[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)] if len(ys) > 2 else None
