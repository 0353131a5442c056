"""YOLO settings: a dataset's ``data.yaml``, and what it says of classes, joints and the numbers of a line."""

import logging
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import yaml

from bodyposenet.common.bounds import YOLO_YAML_BYTES
from bodyposenet.common.data.importers.assembly import Joints, choose_people
from bodyposenet.common.data.importers.document import decode_text
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.spec.excess import find_excess

Fields = dict[str, Any]

_TAKEN = (
    "%s: neither kpt_names nor flip_idx tells what the 17 joints of %r are: they are taken for COCO's, in its order; "
    "if the labelling tool had others, or another order, list them as kpt_names"
)
log = logging.getLogger(__name__)
_NUMBER = re.compile(r"[0-9]{1,6}")
_NO_JOINTS = {"names", "path", "train", "val", "test", "roboflow"}  # keys of other texts
_COCO_FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def parse_yaml(data: bytes, where: str) -> Fields:
    """Parse a dataset's yaml.

    Raises:
        UserError: It is no YAML of plain values, too large or nested too deeply, or holds no keys.
    """
    if len(data) > YOLO_YAML_BYTES:
        raise UserError("is too large for a dataset's yaml", where=where, fix="name the data.yaml")
    text = decode_text(data, where)
    if excess := find_excess(text):
        raise UserError(excess, where=where, fix="name the data.yaml")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        grows = node is not None and _measure(node, {}) > YOLO_YAML_BYTES
        document = None if node is None or grows else loader.construct_document(node)
    except (yaml.YAMLError, *MALFORMED) as error:  # PyYAML looks into what a tag says without a look at it
        mark = getattr(error, "problem_mark", None)
        place = f"{where}:{mark.line + 1}" if mark else where
        told = getattr(error, "problem", None) or "a value is not what its tag says"
        problem = "nested too deeply" if isinstance(error, RecursionError) else told
        raise UserError(f"no YAML: {problem}", where=place, fix="mend it, or export it again") from None
    if grows:
        fix = "write its values out, without aliases (*)"
        raise UserError("its aliases stand for more than a dataset's yaml can hold", where=where, fix=fix)
    if not isinstance(document, dict):
        raise UserError("it holds no keys", where=where, fix="name the data.yaml of a YOLO-pose dataset")
    return document


def _measure(node: yaml.Node, known: dict[int, float]) -> float:
    """Count the characters of a value with all that its aliases stand for; without end where it holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return len(node.value)
    if id(node) not in known:
        known[id(node)] = math.inf
        parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_measure(part, known) for part in parts)
    return known[id(node)]


@dataclass(frozen=True)
class YoloSettings:
    """What a ``data.yaml`` says of people.

    Attributes:
        document: All of it.
        classes: Names by number.
        joints: Names of the joints of each class of people, in the order of a line.
        numbers: How many each has in a line: 2 without visibility, or 3.
        places: How many joints a line has room for; those that have no names are never labelled.
    """

    document: Fields
    classes: dict[int, str]
    joints: dict[str, tuple[str, ...]]
    numbers: int
    places: int

    @classmethod
    def read(cls, document: Fields, where: str, joints: Joints) -> "YoloSettings":
        """Read what the labels of people are to be read by.

        Args:
            document: The yaml.
            where: Its name, for messages.
            joints: As the dataset spec has them.

        Raises:
            UserError: A key is missing or wrong, or nobody can know what the joints of a line are.
        """
        older = [document.get(key) for key in ("nkpt", "ndim")]  # what Ultralytics called both numbers first
        shape = document.get("kpt_shape", None if None in older else older)
        if shape is None:
            fix = "export YOLO-pose rather than YOLO boxes, or add kpt_shape: [17, 3], joints and numbers for each"
            raise UserError(
                "it has no key 'kpt_shape', so its labels are boxes without keypoints", where=where, fix=fix
            )
        whole = isinstance(shape, list) and len(shape) == 2 and all(type(value) is int for value in shape)
        if not whole or shape[0] < 1 or shape[1] not in (2, 3):
            fix = "write how many joints there are, and 2 or 3 numbers for each: kpt_shape: [17, 3]"
            raise UserError(f"'kpt_shape' is {shape!r}", where=where, fix=fix)
        classes = _name_classes(document, where)
        people = choose_people(list(classes.values()), joints)
        named = {
            name: _name_joints(document, (number, name), shape[0], where, joints)
            for number, name in classes.items()
            if name in people
        }
        for names in named.values():
            _hold_to_flips(_read_flips(document, shape[0]), names, where)
        return cls(document, classes, named, shape[1], shape[0])


def _name_classes(document: Fields, where: str) -> dict[int, str]:
    given = document.get("names")
    if isinstance(given, str) and given:
        given = [given]
    if isinstance(given, list):
        given = dict(enumerate(given))
    if isinstance(given, dict):
        keys = (int(key) if isinstance(key, str) and _NUMBER.fullmatch(key) else key for key in given)
        given = dict(zip(keys, given.values(), strict=True))
    if not isinstance(given, dict) or not given or not all(type(key) is int for key in given):
        fix = "name the classes in the order of their numbers: names: [person]"
        raise UserError("'names' is missing or no list of classes", where=where, fix=fix)
    return {key: str(name) for key, name in given.items()}


def _name_joints(document: Fields, label: tuple[int, str], count: int, where: str, joints: Joints) -> tuple[str, ...]:
    """Find the joints' names of a class: ``kpt_names``, another key of so many texts, or COCO's where there are 17."""
    given = document.get("kpt_names", document.get("node_names", _find_names(document, label, count)))
    flips = _read_flips(document, count)
    if given is None and count == COCO_17.num_joints and flips in (None, _COCO_FLIP):
        if flips is None:
            log.warning(_TAKEN, where, label[1])
        return tuple(COCO_17.joints)
    if given is None:
        raise _unnamed(count, where, joints, coco=count == COCO_17.num_joints)
    given = _choose_names(given, label)
    if not isinstance(given, list) or not 0 < len({str(name) for name in given}) == len(given) <= count:
        raise refuse_names(len(given) if isinstance(given, list) else "no", count, label[1], where)
    return tuple(str(name) for name in given)


def refuse_names(named: int | str, count: int, label: str, where: str) -> UserError:
    """Make the error for names that are not as many as the joints of a line."""
    fix = f"list the {count} joints' names of {label!r}, each once, in the order of a line"
    return UserError(f"'kpt_shape' has {count} joints, and 'kpt_names' {named} names", where=where, fix=fix)


def _find_names(document: Fields, label: tuple[int, str], count: int) -> list[str] | None:
    """Find the only other key whose texts are as many as the joints, and no two alike; what tools call it differs."""
    chosen = (_choose_names(given, label) for key, given in document.items() if key not in _NO_JOINTS)
    lists = [given for given in chosen if isinstance(given, list) and {*map(type, given)} == {str}]
    found = [given for given in lists if len({*given}) == len(given) == count > 1]
    return found[0] if len(found) == 1 else None


def _choose_names(given: object, label: tuple[int, str]) -> object:
    """Choose a class's list of names: its own, or the only one; of names by number, in the order of the numbers."""
    if isinstance(given, list) and given and isinstance(given[0], list):
        given = dict(enumerate(given))
    if not isinstance(given, dict):
        return given
    if any(isinstance(value, list) for value in given.values()):
        only = next(iter(given.values())) if len(given) == 1 else None
        return next((given[key] for key in label if key in given), only)
    numbered = all(type(key) is int for key in given)
    return [given[key] for key in sorted(given)] if numbered else list(given.values())


def _unnamed(count: int, where: str, joints: Joints, *, coco: bool) -> UserError:
    """Make the error for joints whose order nobody can know, with what to write."""
    lists = list(joints.values()) if isinstance(joints, Mapping) else [joints] if joints else []
    names = next((list(names) for names in lists if len(names) == count), ["nose", "…"])
    why = "'flip_idx' is not that of COCO's 17 joints" if coco else f"only 17 are known to be COCO's, these are {count}"
    return UserError(
        f"it has no key 'kpt_names', and {why}",
        where=where,
        fix=f"write the joints' names in the order of a line, such as kpt_names: {{0: [{', '.join(names)}]}}",
    )


def _read_flips(document: Fields, count: int) -> object:
    """Read which joint each is exchanged with in a mirror, which may be told by the pairs that are exchanged.

    None where that is not told: ``flip_idx`` is empty, or exchanges none, as Roboflow writes it of all its sets.
    """
    given, alone = document.get("flip_idx"), list(range(count))
    if not isinstance(given, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in given):
        return None if given == alone else given
    partners = {one: other for pair in given for one, other in (pair, pair[::-1]) if one in alone}
    return [partners.get(place, place) for place in alone] if partners else None


def _hold_to_flips(flips: object, joints: Sequence[str], where: str) -> None:
    """Refuse names that contradict ``flip_idx``: a left joint that is not exchanged with its right one."""
    if not isinstance(flips, list):
        return
    places = {name.casefold(): place for place, name in enumerate(joints)}
    for place, name in enumerate(places):
        other = places.get(name.replace("left", "right"), place)
        if other != place and (place >= len(flips) or flips[place] != other):
            raise UserError(
                f"'flip_idx' does not exchange {joints[place]} with {joints[other]}: names and numbers disagree",
                where=where,
                fix="write kpt_names in the order of a line's joints, or mend flip_idx",
            )
