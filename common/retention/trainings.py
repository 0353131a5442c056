"""Trainings: checkpoints that are older than the newest whole ones of their training."""

import contextlib
import functools
from collections.abc import Iterator
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.checkpoints import checkpoints_in, is_whole, read_state
from bodyposenet.common.retention.leftovers import IN_USE, Leftover, Limits, judge
from bodyposenet.common.storage.locking import OWNER, hold_alone, is_held


def find_checkpoints(folder: Path, limits: Limits) -> Iterator[Leftover | None]:
    """Find the checkpoints of each training in a folder that are not among its newest whole ones, the oldest first.

    What does not say that it is a checkpoint, and of which training, is none: an encrypted one without its key.
    """
    why = f"{_tell_newer(limits.keep)} newer and whole"
    check = functools.partial(_check, folder, limits)
    found = [path for _, path in checkpoints_in(folder) if not path.is_symlink()]
    for paths in _list_by_training(found) if len(found) > limits.keep else ():
        older, newest = _split(paths, limits.keep)
        for path in older:
            yield judge(path, "checkpoint", why, limits, check=check, remove=functools.partial(_remove, path, newest))


def _tell_newer(number: int) -> str:
    return "another is" if number == 1 else f"{number} others are"


def _list_by_training(paths: list[Path]) -> list[list[Path]]:
    """List the checkpoints of each training, in the same order."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        with contextlib.suppress(UserError):
            found.setdefault(read_state(path).training, []).append(path)
    return [*found.values()]


def _split(found: list[Path], keep: int) -> tuple[list[Path], list[Path]]:
    """List the checkpoints before the newest whole ones, the oldest first, and these; none where they are too few."""
    newest: list[Path] = []
    for place in range(len(found) - 1, 0, -1) if len(found) > keep else ():
        newest += [found[place]] if is_whole(found[place]) else []
        if len(newest) == keep:
            return found[:place], newest
    return [], []


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
