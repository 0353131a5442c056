"""Trainings: checkpoints that are older than the newest whole ones."""

import functools
from collections.abc import Iterator
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.checkpoints import checkpoints_in, is_whole, read_state
from bodyposenet.common.retention.leftovers import IN_USE, Leftover, Limits, judge
from bodyposenet.common.storage.locking import OWNER, hold_alone, is_held


def find_checkpoints(folder: Path, limits: Limits) -> Iterator[Leftover | None]:
    """Find the checkpoints of a training that are not among its newest whole ones, the oldest first.

    Encrypted ones count as whole with their key only: without it none is found.
    """
    older, newest = _split(folder, limits.keep)
    why = f"{_tell_newer(limits.keep)} newer and whole"
    check = functools.partial(_check, folder, limits)
    for path in filter(_is_checkpoint, older):
        yield judge(path, "checkpoint", why, limits, check=check, remove=functools.partial(_remove, path, newest))


def _tell_newer(number: int) -> str:
    return "another is" if number == 1 else f"{number} others are"


def _split(folder: Path, keep: int) -> tuple[list[Path], list[Path]]:
    """List the checkpoints before the newest whole ones, the oldest first, and these; none where they are too few."""
    found = [path for _, path in checkpoints_in(folder) if not path.is_symlink()]
    newest: list[Path] = []
    for place in range(len(found) - 1, 0, -1) if len(found) > keep else ():
        newest += [found[place]] if is_whole(found[place]) else []
        if len(newest) == keep:
            return found[:place], newest
    return [], []


def _is_checkpoint(path: Path) -> bool:
    """Tell whether a file says itself that it is one of ours."""
    try:
        read_state(path)
    except UserError:
        return False
    return True


def _check(folder: Path, limits: Limits) -> str:
    return IN_USE if is_held(folder / OWNER) else limits.judge_host(folder)


def _remove(path: Path, newest: list[Path]) -> str:
    try:
        with hold_alone(path.parent):
            if not all(each.is_file() for each in newest):
                return "the newer ones are gone"
            path.unlink()
    except UserError as error:
        return error.problem
    return ""
