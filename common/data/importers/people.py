"""People: the boxes of one photo, each with the keypoints that belong to it."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bodyposenet.common.data.importers.regions import AnnotatedPhoto, Region, normalize_label

Loose = tuple[str, Region]  # a joint, and a keypoint of it that was put into no box

REACH = 0.05  # of a box's longer side: how far outside it a keypoint may lie that nobody put into another


@dataclass(eq=False)
class Labelled:
    """One person.

    Attributes:
        box: The region around them.
        joints: Their keypoints, by the joint's name.
        fault: Why their keypoints cannot be used; empty if they can.
    """

    box: Region
    joints: dict[str, Region] = field(default_factory=dict)
    fault: str = ""

    def add(self, joint: str, point: Region) -> None:
        """Give them a keypoint; a second one of a name is a fault."""
        if joint in self.joints:
            self.fault = f"joint {joint!r} is labelled twice in one person"
        self.joints[joint] = point


@dataclass(frozen=True, eq=False)
class Crowd:
    """The people of one photo, and the keypoints that no box holds."""

    people: list[Labelled]
    unboxed: list[Region]


def gather(drawing: AnnotatedPhoto, kinds: Collection[str], spelling: Mapping[str, str]) -> Crowd:
    """Sort a photo's keypoints to its people.

    A keypoint belongs to the box that it was put into, or related to, in the tool. Otherwise it belongs to the box
    that holds it; where several do, to the only one of them that lacks this joint.

    Args:
        drawing: What was drawn.
        kinds: Labels of boxes that are people, in the spelling of :func:`normalize_label`.
        spelling: Name of each joint, by its spelling.
    """
    boxes = [region for region in drawing.regions.values() if region.shape != "point"]
    people = {
        box.number: Labelled(box) for box in boxes if any(normalize_label(label) in kinds for label in box.labels)
    }
    links = _follow_links(drawing)
    loose: list[Loose] = []
    for point in drawing.regions.values():
        joints = [spelling[text] for text in map(normalize_label, point.labels) if text in spelling]
        if point.shape != "point" or not joints:
            continue
        joint = joints[0]
        owner = find_owner(point, drawing.regions, links)
        if owner in people:
            people[owner].add(joint, point)
        elif owner is None:
            loose.append((joint, point))
    return Crowd(list(people.values()), _settle(loose, list(people.values())))


def find_owner(point: Region, regions: Mapping[str, Region], links: Mapping[str, Sequence[str]]) -> str | None:
    """Find the box that a keypoint was put into, over any number of keypoints between, or was related to."""
    seen: set[str] = set()
    number = point.parent
    while number is not None and number in regions and number not in seen:
        if regions[number].shape != "point":
            return number
        seen.add(number)
        number = regions[number].parent
    related = {other for other in links.get(point.number, ()) if other in regions and regions[other].shape != "point"}
    return related.pop() if len(related) == 1 else None


def _follow_links(drawing: AnnotatedPhoto) -> dict[str, list[str]]:
    links: dict[str, list[str]] = {}
    for one, other in drawing.links:
        links.setdefault(one, []).append(other)
        links.setdefault(other, []).append(one)
    return links


def _settle(loose: Sequence[Loose], people: Sequence[Labelled]) -> list[Region]:
    """Give keypoints to the people in whose boxes they lie, the certain ones first; return those that lie in none."""
    held = [(joint, point, _holders(point, people)) for joint, point in loose]
    unboxed = [point for _, point, holders in held if not holders]
    held = [entry for entry in held if entry[2]]
    while certain := [entry for entry in held if len(_lacking(entry)) == 1]:
        joint, point, _ = certain[0]
        _lacking(certain[0])[0].add(joint, point)
        held.remove(certain[0])
    for joint, point, holders in held:
        x, y = point.outline[0]
        for person in holders:
            person.fault = f"joint {joint!r} at {x:.0f}, {y:.0f} lies in the boxes of {len(holders)} people"
    return unboxed


def _lacking(entry: tuple[str, Region, list[Labelled]]) -> list[Labelled]:
    """Find who may get a keypoint: of several boxes that hold it, those without this joint; of one, that one."""
    joint, _, holders = entry
    return [person for person in holders if joint not in person.joints] if len(holders) > 1 else holders


def _holders(point: Region, people: Sequence[Labelled]) -> list[Labelled]:
    """Find the people whose boxes hold a keypoint; if none does, those whose boxes it is near."""
    inside, near = [], []
    for person in people:
        left, top, right, bottom = person.box.box
        distance = person.box.distance(point.outline[0])
        inside += [person] if distance == 0 else []
        near += [person] if distance <= REACH * max(right - left, bottom - top) else []
    return inside or near


def box_around(points: Sequence[Region]) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom of what encloses the keypoints."""
    places = np.concatenate([point.outline for point in points])
    left, top, right, bottom = itertools.chain(places.min(axis=0), places.max(axis=0))
    return float(left), float(top), float(right), float(bottom)
