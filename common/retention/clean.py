"""Clean: look through folders for what may go, tell of it, and remove it."""

import logging
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.pages.numbers import pluralize, size
from bodyposenet.common.plain_text import escape_line
from bodyposenet.common.retention.killed import BUFFER, find_kept_runs, find_lock, find_signed, find_temporaries
from bodyposenet.common.retention.leftovers import CHANGED, DAY, HOUR, MINUTE, Leftover, Limits
from bodyposenet.common.retention.local_runs import CACHE, PIPELINE, RunNote, find_old_runs
from bodyposenet.common.retention.trainings import find_checkpoints
from bodyposenet.common.storage.locking import SCRATCH

log = logging.getLogger(__name__)

HEADINGS = ("kind", "age", "size", "path", "why")


def find_leftovers(folders: Iterable[Path], limits: Limits) -> list[Leftover]:
    """Find what may go in or below folders, and what stays though one might ask; no link is followed.

    Raises:
        UserError: One of them is no folder.
    """
    found: dict[Path, Leftover] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError("no such folder", where=str(folder), fix="name a folder of results, or one above it")
        found |= {each.path: each for each in _walk(folder.resolve(), limits) if each}
    return sorted(found.values(), key=lambda each: (bool(each.stays), each.path))


def find_scratch(folder: Path, limits: Limits) -> list[Leftover]:
    """Find what killed runs of this user have left among temporary files."""
    named = (path for path in sorted(folder.resolve().iterdir()) if SCRATCH.fullmatch(path.name))
    return [left for path in named if not path.is_symlink() and (left := find_signed(path, limits)[1])]


def _walk(top: Path, limits: Limits) -> Iterator[Leftover | None]:
    for place, folders, files in os.walk(top, onerror=_tell_unread):
        here = Path(place)
        folders[:] = sorted(name for name in folders if not (here / name).is_symlink())
        if here.name == BUFFER:
            yield from _pass_over(find_kept_runs(here, limits))
            folders.clear()
            continue
        yield from _pass_over(_look_at(here, files, limits))
        if RunNote.read(here):
            folders[:] = [name for name in folders if name not in (PIPELINE, CACHE)]
        for name in list(folders):
            yield from _pass_over(_look_into(here, name, folders, limits))


def _look_at(here: Path, files: list[str], limits: Limits) -> Iterator[Leftover | None]:
    """Find what a folder has itself."""
    yield from find_temporaries(here, files, limits)
    yield from find_checkpoints(here, limits)
    yield from find_lock(here, files, limits)
    yield from find_old_runs(here, limits)


def _look_into(here: Path, name: str, folders: list[str], limits: Limits) -> Iterator[Leftover | None]:
    """Judge a folder as a whole where it is one of ours; else it is gone through later, if it is not hidden."""
    if name.startswith("."):
        folders.remove(name)
    ours, left = find_signed(here / name, limits)
    yield left
    if ours and name in folders:
        folders.remove(name)


def _pass_over(found: Iterator[Leftover | None]) -> Iterator[Leftover | None]:
    """Tell of what cannot be read, and go on beyond it."""
    try:
        yield from found
    except OSError as error:
        _tell_unread(error)


def _tell_unread(error: OSError) -> None:
    log.warning("%s: cannot be looked through: %s", error.filename, error.strerror)


def remove_all(found: Iterable[Leftover]) -> Iterator[tuple[Leftover, str]]:
    """Remove what may go; yields each with why it stays after all, or with nothing."""
    for each in found:
        if each.stays:
            continue
        try:
            yield each, each.remove()
        except FileNotFoundError:
            yield each, CHANGED if os.path.lexists(each.path) else ""  # somebody else has removed it
        except OSError as error:
            yield each, error.strerror or str(error)


def format_found(found: Iterable[Leftover]) -> Iterator[str]:
    """Format as a table with headings: what may go and then what stays, and the sum of what may go."""
    listed = list(found)
    rows = [HEADINGS, *map(_format_row, listed)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows if listed else ():
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
    going = [each for each in listed if not each.stays]
    yield f"{pluralize(len(going), 'leftover')}, {size(sum(each.size for each in going))}, may go"


def _format_row(each: Leftover) -> tuple[str, ...]:
    why = f"stays: {each.stays}" if each.stays else each.why
    return each.kind, format_age(each.age), size(each.size), escape_line(str(each.path)), escape_line(why)


def format_age(seconds: float) -> str:
    """Write an age in its largest unit: ``16 days``, ``5 hours``, ``3 minutes``."""
    if seconds < 0:
        return "-"
    unit, noun = next((pair for pair in ((DAY, "day"), (HOUR, "hour")) if seconds >= pair[0]), (MINUTE, "minute"))
    return pluralize(int(seconds / unit), noun)
