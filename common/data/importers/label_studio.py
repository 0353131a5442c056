"""Label Studio: its JSON export, a list of tasks, as a COCO document.

Taken as hidden (flag 1) are keypoints of which a choice per region, a note or a second label says "hidden", "occluded",
"invisible", "not visible" or "1"; "absent", "outside", "not labeled" or "0" makes 0. All others are visible (2). A box
of which a remark says "crowd" is one.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from bodyposenet.common.data.importers import foreign
from bodyposenet.common.data.importers.assembly import Joints, list_others, tell_strange
from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.data.importers.people import Crowd, Labelled, box_around, find_owner, gather
from bodyposenet.common.data.importers.photo_names import find_reference, path_in, shorten
from bodyposenet.common.data.importers.regions import (
    CROWD,
    AnnotatedPhoto,
    Region,
    normalize_label,
    part_by_picture,
    read_drawing,
)
from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.problems import did_you_mean

Fields = dict[str, Any]

log = logging.getLogger(__name__)

_BOX_FIX = "put each keypoint into the box of its person in Label Studio, once, and export again"


@dataclass(frozen=True, eq=False)
class _Task:
    """A photo that somebody annotated."""

    number: int
    reference: str | None
    drawing: AnnotatedPhoto


def are_tasks(entries: Sequence[Any]) -> bool:
    """Tell whether these are Label Studio's tasks with their annotations."""
    return any(isinstance(entry, dict) and "data" in entry and _annotations(entry) is not None for entry in entries)


def from_tasks(entries: Sequence[Any], where: str, joints: Joints = None) -> Fields:
    """Turn tasks into a COCO document.

    Of several annotations of a photo, the one marked as ground truth counts, or else the first that is not cancelled;
    predictions never do. Photos that nobody annotated are left out. Where keypoints cannot be given to a person, a
    :class:`Fault` stands in place of their numbers.

    Args:
        entries: The tasks.
        where: The file.
        joints: Names of the joints in the order that the document shall have, or these for each category of people;
            by default the labels of the keypoints, sorted.

    Raises:
        UserError: Nobody annotated anything, or there are no keypoints, or no boxes around people.
    """
    tasks = _tasks(entries, where)
    labels = _Labels.read(tasks, joints, where)
    known = [path_in(name) if (name := task.reference) and not isinstance(name, Fault) else "" for task in tasks]
    photos = [name or task.reference for name, task in zip(shorten(known), tasks, strict=True)]
    images, annotations, drawn = [], [], []
    for task, name in zip(tasks, photos, strict=True):
        height, width = task.drawing.size or (None, None)
        image = {"id": task.number, "file_name": name, "height": height, "width": width}
        # What the file does not tell is missing here, too, and found when the document is checked
        images.append({key: value for key, value in image.items() if value not in (None, "")})
        crowd = gather(task.drawing, labels.kinds, labels.spelling)
        annotations += [labels.annotation(person, task) for person in crowd.people]
        annotations += labels.unboxed(crowd, task)
        drawn += [task.number] if task.drawing.regions else []
    for number, annotation in enumerate(annotations, 1):
        annotation["id"] = number
    people = labels.categories()
    others, kinds = list_others(drawn, annotations, len(people))
    return {"images": images, "annotations": annotations + others, "categories": people + kinds}


def _annotations(task: Fields) -> list[Any] | None:
    found = task.get("annotations", task.get("completions"))
    return found if isinstance(found, list) else None


def _tasks(entries: Sequence[Any], where: str) -> list[_Task]:
    tasks = [entry for entry in entries if isinstance(entry, dict)]
    chosen = [(task, annotation) for task in tasks if (annotation := _choose(_annotations(task) or []))]
    if not chosen:
        guessed = any(task.get("predictions") for task in tasks)
        raise UserError(
            f"none of its {len(entries)} tasks is annotated" + (", there are only predictions" if guessed else ""),
            where=where,
            fix="submit annotations in Label Studio first",
        )
    _tell(tasks, len(entries), len(chosen), where)
    drawn = [
        (task, find_reference(task, picture, len(parts), where), results)
        for task, annotation in chosen
        for parts in [part_by_picture(annotation["result"])]
        for picture, results in parts.items()
    ]
    numbers = [task.get("id") for task, _, _ in drawn]
    if not all(type(number) is int and abs(number) < 2**53 for number in numbers) or len(set(numbers)) < len(numbers):
        numbers = list(range(1, len(drawn) + 1))
    return [
        _Task(cast(int, number), reference, read_drawing(results))
        for number, (_, reference, results) in zip(numbers, drawn, strict=True)
    ]


def _choose(annotations: list[Any]) -> Fields | None:
    usable = _usable(annotations)
    return next((entry for entry in usable if entry.get("ground_truth")), next(iter(usable), None))


def _usable(annotations: list[Any]) -> list[Fields]:
    whole = [entry for entry in annotations if isinstance(entry, dict) and isinstance(entry.get("result"), list)]
    return [entry for entry in whole if not (entry.get("was_cancelled") or entry.get("skipped"))]


def _tell(tasks: list[Fields], count: int, chosen: int, where: str) -> None:
    """Say what is not taken."""
    if count > chosen:
        log.warning("%s: %d of %d tasks are left out: nobody annotated them", where, count - chosen, count)
    several = sum(len(_usable(_annotations(task) or [])) > 1 for task in tasks)
    if several:
        log.warning("%s: %d photos are annotated several times; the ground truth or the first counts", where, several)


@dataclass(frozen=True, eq=False)
class _Labels:
    """Which labels are people, and which are joints.

    Attributes:
        kinds: Category names of people, by their spelling.
        spelling: Joint names, by their spelling.
        joints: The joints of each category, in the order of the document.
    """

    kinds: dict[str, str]
    spelling: dict[str, str]
    joints: dict[str, tuple[str, ...]]

    @classmethod
    def read(cls, tasks: Sequence[_Task], joints: Joints, where: str) -> "_Labels":
        points, boxes = _count(tasks, "point"), _count(tasks, "box", "polygon")
        if not points:
            raise UserError("nobody labelled a keypoint in it", where=where, fix=foreign.BOXES_FIX)
        if not boxes:
            raise UserError(
                "its keypoints stand in no boxes: whose they are is lost", where=where, fix=foreign.BOXES_FIX
            )
        named = dict(joints) if isinstance(joints, Mapping) else {}
        kinds = _kinds(tasks, list(boxes), list(named))
        known = [joint for names in named.values() for joint in names] or list(cast(Sequence[str], joints or ()))
        spelling = {normalize_label(joint): joint for joint in known or sorted(points)}
        if known:
            _check_labels(points, spelling, where)
        every = tuple(known or sorted(points))
        return cls(kinds, spelling, {kind: tuple(named.get(kind, every)) for kind in kinds.values()})

    def categories(self) -> list[Fields]:
        return [
            {"id": number, "name": name, "keypoints": list(joints), "skeleton": []}
            for number, (name, joints) in enumerate(self.joints.items(), 1)
        ]

    def annotation(self, person: Labelled, task: _Task) -> Fields:
        kind = next(
            self.kinds[normalize_label(label)] for label in person.box.labels if normalize_label(label) in self.kinds
        )
        names = self.joints[kind]
        points = {joint: point for joint, point in person.joints.items() if joint in names and point.flag}
        keypoints: list[float] = []
        for joint in names:
            keypoints += _triplet(points.get(joint))
        return {
            "id": 0,
            "image_id": task.number,
            "category_id": list(self.joints).index(kind) + 1,
            **_extent(person.box, task),
            "iscrowd": int(bool(person.box.remarks & CROWD)),
            "keypoints": Fault(person.fault, _BOX_FIX) if person.fault else keypoints,
            "num_keypoints": len(points),
        }

    def unboxed(self, crowd: Crowd, task: _Task) -> list[Fields]:
        """Make one entry for a photo's keypoints that lie in no box: found when it is checked, and masked."""
        if not crowd.unboxed:
            return []
        left, top, right, bottom = box_around(crowd.unboxed)
        names = ", ".join(dict.fromkeys(label for point in crowd.unboxed for label in point.labels[:1]))
        return [
            {
                "id": 0,
                "image_id": task.number,
                "category_id": 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
                "segmentation": [],
                "keypoints": Fault(f"{len(crowd.unboxed)} keypoints lie in no person's box: {names}", _BOX_FIX),
                "num_keypoints": 0,
            }
        ]


def _count(tasks: Sequence[_Task], *shapes: str) -> Counter[str]:
    """Count how often a region of these shapes has each label."""
    regions = (region for task in tasks for region in task.drawing.regions.values() if region.shape in shapes)
    return Counter(label for region in regions for label in region.labels[:1])


def _kinds(tasks: Sequence[_Task], labels: Sequence[str], named: Sequence[str]) -> dict[str, str]:
    """Find labels of boxes that are people: the spec's, or "person", and those keypoints were put into; else all."""
    wanted = {normalize_label(name): name for name in named or ["person"]}
    owners: set[str] = set()
    for task in tasks:
        for point in task.drawing.regions.values():
            owner = find_owner(point, task.drawing.regions, {}) if point.shape == "point" else None
            owners.update(map(normalize_label, task.drawing.regions[owner].labels[:1]) if owner else ())
    kinds = {normalize_label(label): wanted.get(normalize_label(label), label) for label in labels}
    return {key: name for key, name in kinds.items() if key in wanted or key in owners} or kinds


def _check_labels(points: Counter[str], spelling: Mapping[str, str], where: str) -> None:
    """Refuse labels that seem to mean a joint which no label names; warn of others."""
    unknown = [label for label in points if normalize_label(label) not in spelling]
    unused = [joint for key, joint in spelling.items() if key not in set(map(normalize_label, points))]
    if unknown and unused:
        raise UserError(
            f"keypoint label {unknown[0]!r} is no joint of the dataset spec{did_you_mean(unknown[0], unused)}",
            where=where,
            fix=f"give joints the labels' names in the spec; no label is called {', '.join(unused[:5])}",
        )
    if unknown:
        tell_strange(points, unknown, where)


def _triplet(point: Region | None) -> list[float]:
    if point is None:
        return [0, 0, 0]
    x, y = point.outline[0].tolist()
    return [x, y, point.flag]


def _extent(region: Region, task: _Task) -> Fields:
    """Return the box, kept inside the photo, the area, and the polygon if one was drawn."""
    height, width = task.drawing.size or (float("inf"), float("inf"))
    left, top, right, bottom = region.box
    left, right = max(left, 0.0), min(right, float(width))
    top, bottom = max(top, 0.0), min(bottom, float(height))
    polygon = region.outline.ravel().tolist() if region.shape == "polygon" else []
    across, down = region.outline, region.outline[[*range(1, len(region.outline)), 0]]
    area = abs(float((across[:, 0] * down[:, 1] - down[:, 0] * across[:, 1]).sum())) / 2
    return {
        "bbox": [left, top, right - left, bottom - top],
        "area": area if polygon else (right - left) * (bottom - top),
        "segmentation": [polygon] if polygon else [],
    }
