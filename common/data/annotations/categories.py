"""Categories: which of them in an annotation file are people, and what their joints are called."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from bodyposenet.common.data.annotations.ids import Key, read_key
from bodyposenet.common.errors import UserError

_BETWEEN = re.compile(r"[\s_\-]+")


@dataclass(frozen=True)
class Kinds:
    """Categories of people.

    Attributes:
        joints: Names of all joints: those of the categories put together by name.
        columns: For each category id, the numbers of its joints among ``joints``.
        default: Stands for the category of an annotation that names none, or one that the file does not describe.
        others: Ids of categories that are not of people.
    """

    joints: tuple[str, ...]
    columns: Mapping[Key, tuple[int, ...]]
    default: tuple[int, ...] | None
    others: Collection[Key] = ()

    def find(self, category: object) -> tuple[int, ...] | None:
        """Find the joints of an annotation's category; None where it is not of people."""
        key = category if type(category) is int else read_key(category)
        return self.columns.get(key, None if key in self.others else self.default) if key is not None else self.default

    def knows(self, category: object) -> bool:
        """Tell whether the file has such a category, or describes none of people."""
        key = category if type(category) is int else read_key(category)
        return category is None or not self.columns or key in self.columns or key in self.others


def people_kinds(
    categories: Sequence[object], joints: Sequence[str] | Mapping[str, Sequence[str]] | None, file: str
) -> Kinds:
    """Match the categories of a file with those of a dataset spec.

    A category of the spec is the file's of that name. Where no name matches, a spec's only category is each of the
    file's that has keypoints.

    Args:
        categories: ``categories`` of the file.
        joints: As :func:`~bodyposenet.common.data.annotations.coco.read_annotations` takes them.
        file: The file's name, for messages.

    Raises:
        UserError: The file names no joints and the spec neither, or they disagree.
    """
    own = _describe(categories, file)
    if joints is None:
        if not own:
            raise _not_coco(file, "no category names 'keypoints'")
        others = {key for entry in categories if isinstance(entry, dict) and (key := read_key(entry.get("id")))}
        return replace(_join([(number, names) for number, (_, names) in own.items()]), others=others - own.keys())
    asked = joints if isinstance(joints, Mapping) else {"person": joints}
    matched = [(number, name) for number, (name, _) in own.items() if name in asked]
    if not matched and len(asked) == 1:
        matched = [(number, next(iter(asked))) for number in own]
    if own and not matched:
        known = ", ".join(repr(name) for name, _ in own.values())
        raise UserError(
            f"it has no category {' or '.join(map(repr, asked))}, but {known}",
            where=file,
            fix="name its categories in the dataset spec",
        )
    named = [(number, name_joints(own[number][1], asked[name], file)) for number, name in matched]
    others = {key for entry in categories if isinstance(entry, dict) and (key := read_key(entry.get("id"))) is not None}
    return replace(_join(named, list(asked.values())), others=others - {number for number, _ in matched})


def _describe(categories: Sequence[object], file: str) -> dict[Key, tuple[str, tuple[str, ...]]]:
    """Name and joints of each category that has joints."""
    if not isinstance(categories, list):
        raise _not_coco(file, "'categories' is no list")
    described = {}
    for category in categories:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if not names:
            continue
        number = read_key(category.get("id"))
        named = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        if not named or number is None:
            raise _not_coco(file, f"category {category.get('name', number)!r} has a wrong 'keypoints' or 'id'")
        if len(set(names)) < len(names):
            raise _not_coco(file, f"category {category.get('name', number)!r} names a joint twice")
        described[number] = (str(category.get("name", "")), tuple(names))
    return described


def name_joints(own: Sequence[str], asked: Sequence[str], file: str) -> tuple[str, ...]:
    """Name the joints of a file as the dataset spec does, in the order of the file.

    Names are compared without case, blanks, dashes and underscores.

    Raises:
        UserError: There are more or fewer, or names fit none of the spec's; the message lists which are left over.
    """
    if len(own) != len(asked):
        raise UserError(
            f"its people have {len(own)} joints ({', '.join(own)}), those of the dataset spec {len(asked)}",
            where=file,
            fix="copy the joints of the file to categories[].keypoints of the spec",
        )
    names = {_bare(name): name for name in asked}
    if len(names) == len(asked) and {_bare(name) for name in own} == names.keys():
        return tuple(names[_bare(name)] for name in own)
    if tuple(own) == tuple(asked):
        return tuple(own)
    known = {_bare(name) for name in own}
    left = [name for name in own if _bare(name) not in names] or own
    over = [name for name in asked if _bare(name) not in known] or asked
    pairs = ", ".join(f"{name} = {other}?" for name, other in zip(left, over, strict=False))
    raise UserError(
        f"its joints {', '.join(left)} are none of the dataset spec's, and which is which cannot be known: {pairs}",
        where=file,
        fix="rename them in the file's category, or in categories[].keypoints of the spec",
    )


def _bare(name: str) -> str:
    return _BETWEEN.sub("", name).casefold()


def _join(kinds: Sequence[tuple[Key, Sequence[str]]], asked: Sequence[Sequence[str]] = ()) -> Kinds:
    """Put joints together: those asked for, in that order, whichever categories a file has and in whatever order."""
    lists = [names for _, names in kinds] or list(asked)
    joints = tuple(dict.fromkeys(name for names in asked or lists for name in names))
    places = {name: number for number, name in enumerate(joints)}
    columns = {number: tuple(places[name] for name in names) for number, names in kinds}
    return Kinds(joints, columns, tuple(places[name] for name in lists[0]) if lists else None)


def _not_coco(file: str, why: str) -> UserError:
    return UserError(f"not a COCO keypoints file: {why}", where=file, fix="name a person_keypoints file")
