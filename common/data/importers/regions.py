"""Regions: what an annotator drew on one photo in Label Studio, in pixels.

Label Studio tells positions in percent of the photo as it is stored; ``image_rotation`` says only how it was shown. A
region is drawn in one result and described in others of the same id: labels, choices per region, notes.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from bodyposenet.common.data.importers.document import read_number

Floats = npt.NDArray[np.float64]
Fields = dict[str, Any]

HIDDEN = frozenset({"hidden", "occluded", "invisible", "not visible", "1"})
NOT_LABELLED = frozenset({"absent", "outside", "not labeled", "not labelled", "0"})
CROWD = frozenset({"crowd", "is crowd", "iscrowd"})
MOST = 1e9


@dataclass(frozen=True, eq=False)
class Region:
    """One thing that was drawn.

    Attributes:
        number: Its id in the tool.
        shape: ``point``, ``box`` or ``polygon``.
        outline: ``(P, 2)`` corners, x and y in pixels; NaN where the file has no number.
        labels: Its labels, as the annotator's interface calls them.
        remarks: What else is said of it (choices, notes, further labels), in small letters.
        parent: The id of the region that it was put into.
    """

    number: str
    shape: str
    outline: Floats
    labels: tuple[str, ...]
    remarks: frozenset[str]
    parent: str | None

    @cached_property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom, in pixels."""
        (left, top), (right, bottom) = self.outline.min(axis=0), self.outline.max(axis=0)
        return float(left), float(top), float(right), float(bottom)

    @property
    def flag(self) -> int:
        """COCO's flag of a keypoint: visible unless a remark says otherwise."""
        return 0 if self.remarks & NOT_LABELLED else 1 if self.remarks & HIDDEN else 2

    def distance(self, point: Floats) -> float:
        """Measure how far outside the box a point lies, in pixels; 0 inside."""
        left, top, right, bottom = self.box
        x, y = point
        return float(max(left - x, x - right, top - y, y - bottom, 0.0))


@dataclass(frozen=True, eq=False)
class AnnotatedPhoto:
    """Everything on one photo.

    Attributes:
        size: ``(height, width)`` in pixels as the file states it; None where it does not.
        regions: By id, in the order of the file.
        links: Ids of regions that the annotator related to each other.
    """

    size: tuple[int, int] | None
    regions: dict[str, Region]
    links: list[tuple[str, str]] = field(default_factory=list)


Picture = tuple[str, int | None]  # the name of what was drawn on in the labelling interface, and its page


def part_by_picture(results: Iterable[Any]) -> dict[Picture, list[Fields]]:
    """Part the results of one annotation by the picture that they are on.

    A task may show several pictures, side by side or page by page; places are shares of the one that was drawn on.
    What is said of a region goes with it, and relations with each.

    Returns:
        The results of each picture, in the order of the file; all of them under ``("", None)`` where nothing is drawn.
    """
    entries = [entry for entry in results if isinstance(entry, dict)]
    keys = [str(entry.get("id", f"number {number}")) for number, entry in enumerate(entries)]
    drawn: dict[str, Picture] = {}
    for key, entry in zip(keys, entries, strict=True):
        value, name, page = entry.get("value"), entry.get("to_name"), entry.get("item_index")
        if isinstance(value, dict) and ("points" in value or {"x", "y"} <= value.keys()):
            drawn.setdefault(key, (name if isinstance(name, str) else "", page if type(page) is int else None))
    pictures = dict.fromkeys(drawn.values())
    if len(pictures) < 2:
        return {next(iter(pictures), ("", None)): entries}
    return {
        picture: [entry for key, entry in zip(keys, entries, strict=True) if drawn.get(key, picture) == picture]
        for picture in pictures
    }


def read_drawing(results: Iterable[Any]) -> AnnotatedPhoto:
    """Put the results of one annotation together."""
    entries = [entry for entry in results if isinstance(entry, dict)]
    size = next(filter(None, map(_size, entries)), None)
    groups: dict[str, list[Fields]] = {}
    for index, entry in enumerate(entries):
        if isinstance(entry.get("value"), dict):
            groups.setdefault(str(entry.get("id", f"number {index}")), []).append(entry)
    regions = (_region(number, group, size) for number, group in groups.items())
    related = [entry for entry in entries if entry.get("type") == "relation"]
    links = [(str(entry.get("from_id")), str(entry.get("to_id"))) for entry in related]
    return AnnotatedPhoto(size, {region.number: region for region in regions if region}, links)


def parse_number(value: object) -> float:
    """Read a number, written as one or as a text; NaN for anything else, and for what no photo is large enough for."""
    number = read_number(value)
    if isinstance(number, bool) or not isinstance(number, int | float) or not abs(number) <= MOST:
        return math.nan
    return float(number)


def normalize_label(text: object) -> str:
    """Write a remark or label in one spelling."""
    return " ".join(str(text).lower().replace("_", " ").replace("-", " ").split())


def _size(entry: Fields) -> tuple[int, int] | None:
    height, width = parse_number(entry.get("original_height")), parse_number(entry.get("original_width"))
    whole = height.is_integer() and width.is_integer() and height > 0 and width > 0
    return (int(height), int(width)) if whole else None


def _region(number: str, group: list[Fields], size: tuple[int, int] | None) -> Region | None:
    values = [entry["value"] for entry in group]
    drawn = next(filter(None, (_outline(value, size) for value in values)), None)
    if drawn is None:
        return None
    labels = tuple(dict.fromkeys(label for value in values for label in _labels(value)))
    parent = next((str(entry["parentID"]) for entry in group if type(entry.get("parentID")) in (int, str)), None)
    remarks = frozenset(map(normalize_label, (*labels[1:], *_remarks(group))))
    return Region(number, *drawn, labels, remarks, parent)


def _outline(value: Fields, size: tuple[int, int] | None) -> tuple[str, Floats] | None:
    """Find the shape and its corners; None for shapes that say nothing of people, such as brush strokes."""
    height, width = size or (math.nan, math.nan)
    scale = np.array([width, height], np.float64) / 100
    if isinstance(value.get("points"), list):
        corners = np.array([_pair(point) for point in value["points"]], np.float64).reshape(-1, 2)
        return ("polygon", corners * scale) if len(corners) else None
    if "x" not in value or "y" not in value:
        return None
    start = np.array(_pair([value["x"], value["y"]])) * scale
    if "height" not in value:
        return ("point", start[None]) if "radiusX" not in value else None
    extent = np.array(_pair([value.get("width"), value["height"]])) * scale
    return "box", _corners(start, extent, parse_number(value.get("rotation") or 0))


def _corners(start: Floats, extent: Floats, degrees: float) -> Floats:
    """Return ``(4, 2)`` corners of a rectangle that was turned clockwise around its first corner."""
    turn = math.radians(degrees)
    along = np.array([math.cos(turn), math.sin(turn)]) * extent[0]
    down = np.array([-math.sin(turn), math.cos(turn)]) * extent[1]
    return np.stack([start, start + along, start + along + down, start + down])


def _pair(values: object) -> tuple[float, float]:
    if isinstance(values, list) and len(values) == 2:
        return parse_number(values[0]), parse_number(values[1])
    return math.nan, math.nan


def _labels(value: Fields) -> Iterator[str]:
    for key, labels in value.items():
        if key.endswith("labels") and isinstance(labels, list):
            yield from (label for label in labels if isinstance(label, str))


def _remarks(group: list[Fields]) -> Iterator[object]:
    """List what choices, text fields and notes say of a region."""
    for entry in group:
        note = entry.get("meta")
        for texts in (
            entry["value"].get("choices"),
            entry["value"].get("text"),
            note.get("text") if isinstance(note, dict) else None,
        ):
            yield from texts if isinstance(texts, list) else [texts] if isinstance(texts, str) else []
