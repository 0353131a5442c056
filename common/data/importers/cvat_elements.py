"""CVAT elements: its XML as a tree that knows its lines, and the joints and boxes that are drawn in it.

A joint that is ``outside`` is not labelled, one that is ``occluded`` hidden.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from xml.parsers import expat

from bodyposenet.common.bounds import CVAT_CHARACTERS, CVAT_ELEMENTS
from bodyposenet.common.data.importers.document import Fault
from bodyposenet.common.errors import UserError

Triplet = tuple[float, float, int]

FIX = "mend it in CVAT, and export again"


@dataclass(slots=True)
class CvatElement:
    """An element of XML, the line where it begins, and what is in it."""

    tag: str
    attributes: dict[str, str]
    line: int
    children: list["CvatElement"] = field(default_factory=list)
    text: str = ""

    @property
    def label(self) -> str:
        """What it is labelled as; empty where it is not."""
        return self.attributes.get("label", "")

    def list_all(self, *tags: str) -> list["CvatElement"]:
        """List the children of these kinds."""
        return [child for child in self.children if child.tag in tags]

    def walk(self, tag: str) -> Iterator["CvatElement"]:
        """List what is of a kind anywhere inside."""
        for child in self.children:
            if child.tag == tag:
                yield child
            yield from child.walk(tag)

    def read_text(self, tag: str) -> str:
        """Read the text of the first child of a kind."""
        return next((child.text.strip() for child in self.children if child.tag == tag), "")

    def is_true(self, key: str) -> bool:
        """Tell whether an attribute is 1."""
        return self.attributes.get(key, "0").lower() in ("1", "true")

    def number(self, key: str) -> int | None:
        """Read an attribute that is a whole number; None where it is none."""
        return read_whole(self.attributes.get(key, ""))


def read_whole(text: str) -> int | None:
    """Read a whole number that a task can have; None where there is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def parse_xml(text: str, where: str) -> CvatElement:
    """Parse XML; a document type is refused, as that is where entities that grow or read files are told.

    Raises:
        UserError: It is no XML, has a document type, or is nested too deeply.
    """
    root = CvatElement("", {}, 0)
    open_nodes, numbers = [root], count()
    most = max(CVAT_ELEMENTS, len(text) // CVAT_CHARACTERS)
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def start(tag: str, attributes: dict[str, str]) -> None:
        node = CvatElement(tag, attributes, parser.CurrentLineNumber)
        open_nodes[-1].children.append(node)
        open_nodes.append(node)
        if len(open_nodes) > 100:
            raise UserError("elements are nested too deeply", where=f"{where}:{node.line}", fix=FIX)
        if next(numbers) > most:
            raise UserError(f"more than {most:,} elements, most of them empty", where=f"{where}:{node.line}", fix=FIX)

    def refuse(*_: object) -> None:
        problem = "it has a document type, which CVAT does not write and which may read other files"
        raise UserError(problem, where=f"{where}:{parser.CurrentLineNumber}", fix="remove the line, or export it again")

    def add(text: str) -> None:
        open_nodes[-1].text += text

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: open_nodes.pop()
    parser.CharacterDataHandler = add
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        place = f"{where}:{error.lineno}"
        raise UserError(f"no XML: {expat.ErrorString(error.code)}", where=place, fix="export it again") from None
    return root.children[0]


def read_joints(skeleton: CvatElement, joints: Sequence[str], where: str) -> dict[str, Triplet] | Fault:
    """Read the joints of one skeleton; a :class:`Fault` where one cannot be read."""
    found: dict[str, Triplet] = {}
    for point in skeleton.list_all("points"):
        label, place = point.label, f"{where}:{point.line}"
        x, y = _read_pair(point.attributes.get("points", ""))
        if label not in joints:
            return Fault(f"{place}: joint {label!r} is none of its skeleton's", FIX)
        if label in found:
            return Fault(f"{place}: joint {label!r} stands there twice", FIX)
        if math.isnan(x + y):
            return Fault(f"{place}: the place of {label!r} is {point.attributes.get('points', '')[:40]!r}", FIX)
        flag = 0 if point.is_true("outside") or skeleton.is_true("outside") else 1 if point.is_true("occluded") else 2
        found[label] = (x, y, flag)
    return found


def _read_pair(text: str) -> tuple[float, float]:
    try:
        x, y = map(float, text.split(","))
    except ValueError:
        return math.nan, math.nan
    return (x, y) if math.isfinite(x) and math.isfinite(y) else (math.nan, math.nan)


def read_box(node: CvatElement) -> list[float] | None:
    """Read a rectangle as x, y, width and height of what is around it; None where a number is missing."""
    low = _read_pair(f"{node.attributes.get('xtl')},{node.attributes.get('ytl')}")
    high = _read_pair(f"{node.attributes.get('xbr')},{node.attributes.get('ybr')}")
    turned, _ = _read_pair(f"{node.attributes.get('rotation', '0')},0")
    cos, sin = abs(math.cos(math.radians(turned))), abs(math.sin(math.radians(turned)))
    wide, tall = high[0] - low[0], high[1] - low[1]
    width, height = wide * cos + tall * sin, wide * sin + tall * cos  # around what is turned about its middle
    box = [low[0] + (wide - width) / 2, low[1] + (tall - height) / 2, width, height]
    return None if any(map(math.isnan, box)) else box
