"""Presence: which of many files are there, by few requests where they are in a store."""

from collections.abc import Sequence
from typing import NamedTuple

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.location import Location

MOST_ASKED = 200  # questions to stores: a list of a folder each, or a file


class Presence(NamedTuple):
    """Which of some files are there.

    Attributes:
        present: Those that are there.
        looked_for: Those that were looked for; not all where that would take more than :data:`MOST_ASKED` questions.
        lists: Folders of stores whose lists told of several files.
    """

    present: int
    looked_for: int
    lists: list[str]


def look_for(files: Sequence[Location]) -> Presence:
    """Count files that are there.

    On a disk each is looked for. In a store that has lists, each folder's is asked for once. Other files of stores are
    asked for one by one. Of more questions than :data:`MOST_ASKED` that many at the most are asked, spread evenly.

    Raises:
        UserError: All were looked for, and none is there; or a store cannot be asked.
    """
    here = [file for file in files if not file.remote]
    questions = _group([file for file in files if file.remote])
    asked = questions[:: -(-len(questions) // MOST_ASKED) or 1]
    present = sum(file.is_file() for file in here) + sum(_count(group) for group in asked)
    looked_for = len(here) + sum(map(len, asked))
    if files and not present and looked_for == len(files):
        raise UserError("there is no such photo, and none of the others", where=str(files[0]), fix="check the paths")
    return Presence(present, looked_for, [str(group[0].parent) for group in asked if len(group) > 1])


def _group(files: Sequence[Location]) -> list[list[Location]]:
    """Group files of stores by the question that tells of them: the list of their folder, or one for the file alone."""
    groups: dict[str, list[Location]] = {}
    for file in files:
        groups.setdefault(str(file.parent if file.has_lists else file), []).append(file)
    return [*groups.values()]


def _count(group: Sequence[Location]) -> int:
    """Count those of a group's files that are there, by one question."""
    with translate_errors(group[0]):
        if len(group) == 1:
            return int(group[0].is_file())
        folder = group[0].parent
        try:
            listed = {path.name for path in folder.iterdir()}
        except (FileNotFoundError, NotADirectoryError):  # gcsfs says either
            folder.require_store()
            return 0
    return sum(file.name in listed for file in group)
