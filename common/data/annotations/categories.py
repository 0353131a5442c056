"""Categories: which of them in an annotation file are people, and what their joints are called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bodyposenet.common.errors import UserError


@dataclass(frozen=True)
class Kinds:
    """Categories of people.

    Attributes:
        joints: Names of all joints: those of the categories put together by name.
        columns: For each category id, the numbers of its joints among ``joints``.
        default: Stands for the category of an annotation that names none, or one that the file does not describe.
    """

    joints: tuple[str, ...]
    columns: Mapping[int, tuple[int, ...]]
    default: tuple[int, ...] | None


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
        return _join([(number, names) for number, (_, names) in own.items()])
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
    for number, name in matched:
        _hold_to_spec(own[number][1], asked[name], file)
    return _join([(number, asked[name]) for number, name in matched], list(asked.values()))


def _describe(categories: Sequence[object], file: str) -> dict[int, tuple[str, tuple[str, ...]]]:
    """Name and joints of each category that has joints."""
    if not isinstance(categories, list):
        raise _not_coco(file, "'categories' is no list")
    described = {}
    for category in categories:
        names = category.get("keypoints") if isinstance(category, dict) else None
        if not names:
            continue
        number = category.get("id")
        named = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        if not named or not isinstance(number, int):
            raise _not_coco(file, f"category {category.get('name', number)!r} has a wrong 'keypoints' or 'id'")
        if len(set(names)) < len(names):
            raise _not_coco(file, f"category {category.get('name', number)!r} names a joint twice")
        described[number] = (str(category.get("name", "")), tuple(names))
    return described


def _hold_to_spec(own: Sequence[str], asked: Sequence[str], file: str) -> None:
    if len(own) != len(asked):
        raise UserError(
            f"its people have {len(own)} joints ({', '.join(own)}), those of the dataset spec {len(asked)}",
            where=file,
            fix="copy the joints of the file to categories[].keypoints of the spec",
        )
    if sorted(own) == sorted(asked) and tuple(own) != tuple(asked):
        raise UserError(
            f"its joints are ordered {', '.join(own)}, the dataset spec's otherwise",
            where=file,
            fix="copy the order of the file to categories[].keypoints of the spec",
        )


def _join(kinds: Sequence[tuple[int, Sequence[str]]], asked: Sequence[Sequence[str]] = ()) -> Kinds:
    """Put joints together: those asked for, in that order, whichever categories a file has and in whatever order."""
    lists = [names for _, names in kinds] or list(asked)
    joints = tuple(dict.fromkeys(name for names in asked or lists for name in names))
    places = {name: number for number, name in enumerate(joints)}
    columns = {number: tuple(places[name] for name in names) for number, names in kinds}
    return Kinds(joints, columns, tuple(places[name] for name in lists[0]) if lists else None)


def _not_coco(file: str, why: str) -> UserError:
    return UserError(f"not a COCO keypoints file: {why}", where=file, fix="name a person_keypoints file")
