"""Local runs: what pipelines on this machine leave in their folder, and which of it the last good runs need.

``run.json`` says whose the folder is, how the last run got on, and in which folders below ``pipeline/`` the outputs of
the good ones lie: a run takes what is unchanged from earlier ones. The order is that of the note: no clock has a part.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bodyposenet.common.retention.leftovers import IN_USE, Leftover, Limits, find_rests, judge
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.locking import hold_file, is_held
from bodyposenet.common.storage.temporary_names import REMOVED, remove_together

FILE, LOCK = "run.json", ".lock"
PIPELINE, CACHE = "pipeline", "cache"  # folders of the runs' outputs, and of what says which tasks are done
MOST = 100  # good runs that are noted
LONGEST = 1 << 22  # bytes of a note
RUN = re.compile(r"[a-z0-9-]+-\d{4}(-\d\d){5}-\d{6}")  # as Kubeflow's local runner names a run's folder
DIGEST = re.compile(r"[0-9a-f]{16}")
UNFINISHED = "the last run here did not end well: run it again, it may need this"


@dataclass(frozen=True)
class RunNote:
    """What is noted of a folder's runs.

    Attributes:
        name: Of the last one.
        asked: Digest of what it was asked for.
        done: Whether it came to a good end.
        runs: Folders with outputs of the good runs, oldest run first.
        cache: Folder of the tasks that are done, of the last good run.
    """

    name: str = ""
    asked: str = ""
    done: bool = False
    runs: tuple[tuple[str, ...], ...] = ()
    cache: str = ""

    @classmethod
    def read(cls, folder: Path) -> "RunNote | None":
        """Read the note of a folder; None where there is none, or none that can be used."""
        path = folder / FILE
        try:
            if not path.is_file() or path.stat().st_size > LONGEST:
                return None
            found = cls(**json.loads(path.read_bytes()))
            return replace(found, runs=tuple(tuple(map(str, run)) for run in found.runs))
        except (OSError, ValueError, TypeError, RecursionError):
            return None

    def write(self, folder: Path) -> None:
        """Write the note."""
        with whole_file(folder / FILE) as file:
            file.write((json.dumps(asdict(self)) + "\n").encode())

    def complete(self, folder: Path, made: Iterable[Path], cache: str) -> "RunNote":
        """Note that the last run came to a good end.

        Args:
            folder: Of the runs.
            made: Its outputs.
            cache: Folder of the tasks that are done.
        """
        root = folder / PIPELINE
        used = sorted({path.relative_to(root).parts[0] for path in made if path.is_relative_to(root)})
        return replace(self, done=True, runs=(*self.runs, tuple(used))[-MOST:], cache=cache)


def find_old_runs(folder: Path, limits: Limits) -> Iterator[Leftover | None]:
    """Find, in the folder of a pipeline on this machine, outputs that none of its newest good runs needs."""
    if RunNote.read(folder) is None:
        return
    for path, kind, why in _list_unneeded(folder, limits.keep):
        check = functools.partial(_check, folder)
        remove = functools.partial(_remove, folder, path, limits.keep)
        yield judge(path, kind, why, limits, check=check, remove=remove)
    for place in (folder / PIPELINE, folder / CACHE):
        yield from find_rests(place, f".*{REMOVED}", limits)


def _list_unneeded(folder: Path, keep: int) -> list[tuple[Path, str, str]]:
    note = RunNote.read(folder)
    if note is None or not note.runs:
        return []
    needed = {name for run in note.runs[-keep:] for name in run}
    runs = [path for path in _list_folders(folder / PIPELINE) if RUN.fullmatch(path.name) and path.name not in needed]
    caches = [path for path in _list_folders(folder / CACHE) if DIGEST.fullmatch(path.name) and path.name != note.cache]
    why = f"the last {keep} good runs need nothing of it" if keep > 1 else "the last good run needs nothing of it"
    return [
        *((path, "pipeline run", why) for path in runs),
        *((path, "task cache", "of another version of the code") for path in caches),
    ]


def _list_folders(place: Path) -> list[Path]:
    if place.is_symlink() or not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink())


def _check(folder: Path) -> str:
    note = RunNote.read(folder)
    if is_held(folder / LOCK):
        return IN_USE
    return "" if note and note.done else UNFINISHED


def _remove(folder: Path, path: Path, keep: int) -> str:
    with hold_file(folder / LOCK) as held:
        if not held:
            return IN_USE
        note = RunNote.read(folder)
        if not (note and note.done) or path not in [each for each, _, _ in _list_unneeded(folder, keep)]:
            return UNFINISHED
        remove_together(path)
    return ""


__all__ = ["CACHE", "FILE", "LOCK", "PIPELINE", "RunNote", "find_old_runs"]
