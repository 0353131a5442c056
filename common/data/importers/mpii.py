"""MPII: its annotations as JSON, a list of people, in the two forms that trainings of it use; joints are named here.

The one has ``image``, ``joints`` and ``joints_vis``; the other ``img_paths`` and ``joint_self``. A file of either has
an entry for each person of a photo. MATLAB wrote the places, so that the first pixel is 1; a joint that is there and
not visible is hidden.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from bodyposenet.common.data.importers.assembly import Assembly, warn_of_halves
from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.data.importers.regions import parse_number

Fields = dict[str, Any]

JOINTS = (
    "right_ankle",
    "right_knee",
    "right_hip",
    "left_hip",
    "left_knee",
    "left_ankle",
    "pelvis",
    "thorax",
    "upper_neck",
    "head_top",
    "right_wrist",
    "right_elbow",
    "right_shoulder",
    "left_shoulder",
    "left_elbow",
    "left_wrist",
)
_NAMED: dict[float, str] = {0: "training", 1: "validation"}  # what it says of each person, in the form of img_paths
_FORMS = (frozenset({"image", "joints"}), frozenset({"img_paths", "joint_self"}))
_FIX = f"give it {len(JOINTS)} joints in MPII's order, or leave it out"


def are_mpii(entries: Sequence[Any]) -> bool:
    """Tell a list of MPII's people by the keys of the first."""
    return bool(entries) and isinstance(entries[0], dict) and any(form <= entries[0].keys() for form in _FORMS)


def from_mpii(entries: Sequence[Any], where: str) -> Fields:
    """Turn a list of people into a COCO document; the sizes of photos are read later where they are not told."""
    assembly = Assembly({"person": JOINTS}, where)
    photos: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        fields = entry if isinstance(entry, dict) else {}
        place = f"{where}: entry number {number}"
        name = fields.get("image", fields.get("img_paths"))
        if not isinstance(name, str) or not name:
            assembly.add_photo(Fault(f"{place}: it names no photo", "write the photo's name, or leave it out"), None)
            continue
        if name not in photos:
            photos[name] = assembly.add_photo(name, _read_size(fields))
        assembly.add_person(photos[name], "person", _read_joints(fields, place), None)
    told = [entry.get("isValidation") for entry in entries if isinstance(entry, dict)]
    warn_of_halves("isValidation", [_NAMED.get(value) for value in map(parse_number, told)], where)
    return assembly.finish("MPII's JSON")


def _read_size(fields: Fields) -> tuple[int, int] | None:
    height, width = parse_number(fields.get("img_height")), parse_number(fields.get("img_width"))
    return (int(height), int(width)) if min(height, width) > 0 else None


def _read_joints(fields: Fields, place: str) -> list[float] | Fault:
    triplets = list(_list_triplets(fields))
    if len(triplets) != len(JOINTS):
        return Fault(f"{place}: it has {len(triplets)} joints", _FIX)
    if any(math.isnan(value) for triplet in triplets for value in triplet):
        return Fault(f"{place}: a joint of it is no number", _FIX)
    return [value for triplet in triplets for value in triplet]


def _list_triplets(fields: Fields) -> Iterator[tuple[float, float, float]]:
    """List the joints with COCO's flags; a place that is not in the photo, below 0 or at 0 0, is not labelled."""
    given, seen = fields.get("joints", fields.get("joint_self")), fields.get("joints_vis")
    for number, values in enumerate(given if isinstance(given, list) else []):
        x, y, *told = (
            [*map(parse_number, values[:2]), *map(_read_visible, values[2:])]
            if isinstance(values, list) and values[1:]
            else [math.nan] * 2
        )
        flag = _read_visible(seen[number]) if isinstance(seen, list) and number < len(seen) else told[0] if told else 1
        absent = (x, y) == (0, 0) or min(x, y) < 0
        yield (0, 0, 0) if absent else (x - 1, y - 1, math.nan if math.isnan(flag) else 2 if flag else 1)


def _read_visible(value: object) -> float:
    """Read whether a joint is visible, which is a number, true or false, or a text; NaN where it is none of them."""
    if isinstance(value, bool) or value is None:
        return value is not False  # one that is not told is taken as visible
    if isinstance(value, str):
        return float(value) if value.strip() in ("0", "1") else math.nan
    return parse_number(value)
