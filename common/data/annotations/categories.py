"""Categories: which of them in an annotation file are people, and what their joints are called."""

import logging
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bodyposenet.common.data.annotations.ids import Key, read_key
from bodyposenet.common.errors import UserError

log = logging.getLogger(__name__)
_UNNAMED = (
    "%s: it does not name its joints: they are taken for those of the dataset spec, in its order (%s, …); name them in "
    "its category to be sure"
)
SHOWN_JOINTS = 4
_BETWEEN = re.compile(r"[\s_\-]+")
LEFT_OUT = -1  # the place of a joint that is not asked for


@dataclass(frozen=True)
class Kinds:
    """Categories of people.

    Attributes:
        joints: Names of all joints: those of the categories put together by name.
        columns: For each category id, the numbers of its joints among ``joints``; ``LEFT_OUT`` for those that a dataset
            spec does not ask for.
        default: Stands for the category of an annotation that names none, or one that the file does not describe.
        others: Ids of categories that are not of people.
        names: Of the categories of people, by their ids.
    """

    joints: tuple[str, ...]
    columns: Mapping[Key, tuple[int, ...]]
    default: tuple[int, ...] | None
    others: Collection[Key] = ()
    names: Mapping[Key, str] = field(default_factory=dict)

    def find(self, category: object) -> tuple[int, ...] | None:
        """Find the joints of an annotation's category; None where it is not of people."""
        key = category if type(category) is int else read_key(category)
        return self.columns.get(key, None if key in self.others else self.default) if key is not None else self.default

    def find_place(self, category: object) -> int:
        """Find which of the categories of people an annotation's is, by its place; the first where it has none."""
        key = category if type(category) is int else read_key(category)
        return [*self.columns].index(key) if key is not None and key in self.columns else 0

    def knows(self, category: object) -> bool:
        """Tell whether the file has such a category, or describes none of people."""
        key = category if type(category) is int else read_key(category)
        return category is None or not self.columns or key in self.columns or key in self.others


def people_kinds(
    categories: Sequence[object],
    joints: Sequence[str] | Mapping[str, Sequence[str]] | None,
    file: str,
    unnamed: Sequence[str] = (),
) -> Kinds:
    """Match the categories of a file with those of a dataset spec, or choose which are people without one.

    A category of the spec is the file's of that name, in any case. Where no name matches, a spec's only category is
    each of the file's that has keypoints. Without a spec there is one category, ``person``. Where the file names no
    joints at all, those of the spec count, for the categories of its names, or for all if there is none.

    Args:
        categories: ``categories`` of the file.
        joints: As :func:`~bodyposenet.common.data.annotations.coco.read_annotations` takes them.
        file: The file's name, for messages.
        unnamed: Names for joints where neither file nor spec names them; none refuses such a file.

    Raises:
        UserError: The file names no joints and the spec neither, or they disagree.
    """
    own, names = _describe(categories, file), _list_names(categories)
    if joints is None and not own and not unnamed:
        raise _not_coco(file, "no category names 'keypoints'")
    asked = joints if isinstance(joints, Mapping) else {"person": joints or unnamed}
    matched = _match_names([*asked], {number: name for number, (name, _) in own.items()}, names, file)
    if joints is None and own:
        joined = _join([(number, own[number][1]) for number in matched])
    else:
        kinds = [
            (number, name_joints(own[number][1], asked[name], file) if own else asked[name])
            for number, name in matched.items()
        ]
        joined = _join(kinds, list(asked.values()))
    if not own:
        log.warning(_UNNAMED, file, ", ".join(joined.joints[:SHOWN_JOINTS]))
    called, others = {number: names[number] for number in matched}, names.keys() - matched.keys()
    return replace(joined, others=others, names=called)


def _match_names(asked: Sequence[str], own: Mapping[Key, str], names: Mapping[Key, str], file: str) -> dict[Key, str]:
    """Match categories of a file with those that a dataset spec asks for, as :func:`people_kinds` says.

    Args:
        asked: Names of the spec's.
        own: Names of the file's that have joints; nothing where it names no joints at all.
        names: Names of all of the file's.
        file: The file's name, for messages.

    Returns:
        For each category that is one of the spec's, which.

    Raises:
        UserError: None of those with joints is.
    """
    wanted = {name.casefold(): name for name in asked}
    spelled = {number: names[number].casefold() for number in own or names}
    matched = {number: wanted[name] for number, name in spelled.items() if name in wanted}
    known = ", ".join(map(repr, own.values()))
    if not matched and len(asked) == 1:
        matched = dict.fromkeys(own, asked[0])
        if own:
            log.log(logging.WARNING if len(own) > 1 else logging.INFO, "%s: taken for people: %s", file, known)
    if own and not matched:
        problem = f"it has no category {' or '.join(map(repr, asked))}, but {known}"
        raise UserError(problem, where=file, fix="name its categories in the dataset spec")
    return matched


def _list_names(categories: Sequence[object]) -> dict[Key, str]:
    """List the name of each category that has an id."""
    names: dict[Key, str] = {}
    for entry in categories:
        key = read_key(entry.get("id")) if isinstance(entry, dict) else None
        if isinstance(entry, dict) and key is not None:
            names[key] = str(entry.get("name", ""))
    return names


def _describe(categories: Sequence[object], file: str) -> dict[Key, tuple[str, tuple[str, ...]]]:
    """Name and joints of each category that has joints."""
    if not isinstance(categories, list):
        raise _not_coco(file, "'categories' is no list")
    described: dict[Key, tuple[str, tuple[str, ...]]] = {}
    for category in categories:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if not names:
            continue
        number = read_key(category.get("id"))
        named = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        label = f"category {str(category.get('name', number))[:60]!r}"
        if number is None:
            raise UserError(f"{label} has no sound 'id'", where=file, fix="give it a number of its own")
        if not named:
            fix = "list its joints' names as texts, in the order of the triplets, in the category of the file"
            raise UserError(f"{label}: 'keypoints' is no list of names: {str(names)[:60]}", where=file, fix=fix)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            fix = "name every joint once, in the category of the file"
            raise UserError(f"{label} names a joint twice: {twice[:60]!r}", where=file, fix=fix)
        if described.get(number, ("", tuple(names)))[1] != tuple(names):
            fix = "number one export's categories on from the other's, or give each a dataset spec of its own"
            problem = f"two categories have the id {number!r}, and their joints differ: whose are whose is lost"
            raise UserError(problem, where=file, fix=fix)
        described[number] = (str(category.get("name", "")), tuple(names))
    return described


def name_joints(own: Sequence[str], asked: Sequence[str], file: str) -> tuple[str, ...]:
    """Name the joints of a file as the dataset spec does, in the order of the file.

    Names are compared without case, blanks, dashes and underscores. Joints that the spec does not ask for, where all of
    the spec's are among the file's, get an empty name: they are left out.

    Raises:
        UserError: There are fewer, or names fit none of the spec's; the message lists which are left over.
    """
    spelled = {_bare(name): name for name in asked}
    further = [name for name in own if _bare(name) not in spelled]
    if len(own) > len(asked) == len(spelled) == len({*map(_bare, own)} & spelled.keys()) == len(own) - len(further):
        log.warning("%s: joints that the dataset spec does not ask for are left out: %s", file, ", ".join(further))
        return tuple(spelled.get(_bare(name), "") for name in own)
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
    columns = {number: tuple(places.get(name, LEFT_OUT) for name in names) for number, names in kinds}
    return Kinds(joints, columns, tuple(places.get(name, LEFT_OUT) for name in lists[0]) if lists else None)


def _not_coco(file: str, why: str) -> UserError:
    return UserError(f"not a COCO keypoints file: {why}", where=file, fix="name a person_keypoints file")
