"""Killed: what runs that were killed have left, and that nobody has gone on with."""

import functools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bodyposenet.common.data.conversion.publish_note import READY
from bodyposenet.common.errors import UserError
from bodyposenet.common.retention.leftovers import (
    IN_USE,
    REMOVING,
    Leftover,
    Limits,
    check_free,
    clear_folder,
    find_rests,
    judge,
    remove_rest,
)
from bodyposenet.common.storage.locking import OWNER, SCRATCH, hold_alone, is_held, read_host
from bodyposenet.common.storage.snapshots import NAME as SNAPSHOT
from bodyposenet.common.storage.snapshots import NOTE
from bodyposenet.common.storage.status_log import FILE_NAME as STATUS
from bodyposenet.common.storage.temporary_names import REMOVED, SLOT, lock_slot
from bodyposenet.common.storage.together import STAGING, is_publishing
from bodyposenet.common.tracking.offline_buffer import FOLDER as BUFFER
from bodyposenet.common.tracking.offline_buffer import LINES

HALF = "is half published: run the verb again, it goes on with that"
UNSENT = "is not sent yet: bpnet tracking send"
LOGGED = {"date", "time", "status", "verbosity"}  # keys of every line of a status.json
LONGEST_LINE = 65536  # bytes of it that are looked at


class Signed(NamedTuple):
    """A kind of folder in which a run says that it is ours, and holds a lock while it is at work.

    Attributes:
        kind: Its name.
        why: Why one may go that nobody holds.
        matches: Tells it by its name and what is in it.
        check: Says why one stays.
    """

    kind: str
    why: str
    matches: Callable[[Path], bool]
    check: Callable[[Path], str]


def _named(pattern: str) -> Callable[[Path], bool]:
    return lambda folder: bool(re.fullmatch(pattern, folder.name))


def _has_snapshots(folder: Path) -> bool:
    """Tell the kept training of a work folder: it has a note, and nothing but that and snapshots."""
    names = [name for name in os.listdir(folder) if name != OWNER]
    return NOTE in names and all(name == NOTE or SNAPSHOT.fullmatch(name) or SLOT.fullmatch(name) for name in names)


def _is_own_scratch(folder: Path) -> bool:
    return bool(SCRATCH.fullmatch(folder.name)) and os.lstat(folder).st_uid == os.getuid()


def _never(folder: Path) -> str:
    return ""


STAGED, CONVERTED, PARTS = rf"\..+{re.escape(STAGING)}", r"\..+\.[0-9a-f]{16}", r"parts-[0-9a-f]{16}"
REST = rf"\..+{re.escape(REMOVED)}"
BARE_REST = rf"\.({STAGED}|{CONVERTED}|{PARTS}){re.escape(REMOVED)}"  # known by its name when nothing is in it any more

SIGNED = (
    Signed("rest", REMOVING, _named(REST), _never),
    Signed("scratch", "a run that was killed left it", _is_own_scratch, _never),
    Signed("staging", "outputs that a killed run did not come to publish", _named(STAGED),
           lambda folder: HALF if is_publishing(folder) else ""),
    Signed("conversion", "pieces of a conversion that nobody went on with", _named(CONVERTED),
           lambda folder: HALF if (folder / READY).exists() else ""),
    Signed("parts", "parts of an inference that nobody went on with", _named(PARTS), _never),
    Signed("snapshots", "kept for a training that nobody went on with", _has_snapshots, _never),
)  # fmt: skip


def find_signed(folder: Path, limits: Limits) -> tuple[bool, Leftover | None]:
    """Tell whether a folder is one in which runs of ours work, and whether it may go."""
    if re.fullmatch(BARE_REST, folder.name) and not os.listdir(folder):
        return True, judge(folder, "rest", REMOVING, limits, check=str, remove=functools.partial(remove_rest, folder))
    kind = next((each for each in SIGNED if each.matches(folder)), None) if read_host(folder) else None
    return (True, _judge_signed(folder, kind, limits)) if kind else (False, None)


def _judge_signed(folder: Path, kind: Signed, limits: Limits) -> Leftover | None:
    def check() -> str:
        return kind.check(folder) or check_free(folder, limits)

    def check_held() -> str:
        return kind.check(folder) or limits.judge_host(folder)

    remove = functools.partial(clear_folder, folder, check_held)
    return judge(folder, kind.kind, kind.why, limits, check=check, remove=remove)


def find_temporaries(folder: Path, files: list[str], limits: Limits) -> Iterator[Leftover | None]:
    """Find temporary files of killed writers, in a folder of results that one of our verbs has told about."""
    named = sorted(name for name in files if SLOT.fullmatch(name))
    if not named or not is_results_folder(folder):
        return
    for name in named:
        path = folder / name
        if path.is_symlink():
            continue
        why = "a file that a killed run did not come to finish"
        remove, check = functools.partial(_remove_slot, path), functools.partial(_check_slot, path)
        yield judge(path, "temporary", why, limits, check=check, remove=remove)


def find_lock(folder: Path, files: list[str], limits: Limits) -> Iterator[Leftover | None]:
    """Find the lock of a killed run in a folder of results; the next run there would take it over."""
    path = folder / OWNER
    if OWNER not in files or path.is_symlink() or not is_results_folder(folder):
        return

    def check() -> str:
        return IN_USE if is_held(path) else check_free(folder, limits)

    yield judge(path, "lock", "a run that was killed left it", limits, check=check, remove=lambda: _remove_lock(folder))


def _remove_lock(folder: Path) -> str:
    try:
        with hold_alone(folder):
            return ""
    except UserError as error:
        return error.problem


def is_results_folder(folder: Path) -> bool:
    """Tell whether a verb of ours has written its ``status.json`` in a folder."""
    if not (folder / STATUS).is_file():
        return False
    try:
        with (folder / STATUS).open("rb") as file:
            line = json.loads(file.readline(LONGEST_LINE))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(line, dict) and line.keys() >= LOGGED


def _check_slot(path: Path) -> str:
    return IN_USE if is_held(path) else ""


def _remove_slot(path: Path) -> str:
    descriptor = lock_slot(path)
    if descriptor is None:
        return IN_USE
    path.unlink(missing_ok=True)
    os.close(descriptor)
    return ""


def find_kept_runs(buffer: Path, limits: Limits) -> Iterator[Leftover | None]:
    """Find runs that were kept while the tracking server was away: none of them may go, only rests of sent ones."""
    for folder in sorted(buffer.iterdir()):
        if (folder / LINES).is_file() and not folder.name.startswith("."):
            yield judge(folder, "kept run", "", replace(limits, older=0.0), check=lambda: UNSENT, remove=lambda: UNSENT)
    yield from find_rests(buffer, f".*-[0-9a-f]*{REMOVED}", limits)


__all__ = ["BUFFER", "find_kept_runs", "find_lock", "find_signed", "find_temporaries", "is_results_folder"]
