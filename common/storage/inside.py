"""Inside: names that a file says, held to the folder that they are meant for before anything is opened or removed.

A manifest, an archive or a kept run may come from anybody. Whatever it calls a file must lie in its own folder.
"""

import os
from pathlib import Path, PureWindowsPath
from typing import TypeVar

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import in_bucket, translate_errors
from bodyposenet.common.storage.location import Location

P = TypeVar("P", Path, Location)

FIX = "take the file from whom you trust, or mend the name"
LINKED = "put the file itself there, in place of the link"


def stays_inside(name: str) -> bool:
    """Tell whether a name stays in the folder that it is relative to, on any system, and can be written down."""
    try:
        name.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which JSON can hold
        return False
    parts = PureWindowsPath(name)
    return bool(parts.parts) and not (parts.drive or parts.root or ".." in parts.parts or "\0" in name)


def is_plain(name: object) -> bool:
    """Tell whether something is the name of a file directly in a folder: a text without slashes of either kind."""
    return isinstance(name, str) and not set(name) & set("/\\") and stays_inside(name)


def join_inside(folder: P, name: str, *, where: str, fix: str = FIX) -> P:
    """Join a folder and a name that a file says.

    Args:
        folder: On a disk or in a bucket; it may be a link itself.
        name: As the file has it.
        where: The file, for the message.
        fix: What to do about a name that leaves the folder.

    Returns:
        The path, which need not exist.

    Raises:
        UserError: The name is absolute, climbs with ``..``, or a link on the way leads out of the folder.
    """
    _refuse_leaving(name, where, fix)
    path = folder / name
    if not in_bucket(folder):
        _refuse_links(path, folder, where)
    return path


def remove_inside(folder: Path | Location, name: str, *, where: str) -> None:
    """Remove a file by a name that a file says; nothing where it is gone. A link is removed, not what it means.

    Raises:
        UserError: As for :func:`join_inside`, or it cannot be removed.
    """
    _refuse_leaving(name, where, FIX)
    path = folder / name
    if not in_bucket(folder):
        _refuse_links(path.parent, folder, where)
    with translate_errors(path):
        path.unlink(missing_ok=True)


def require_inside(folder: Path, *, where: str) -> None:
    """Refuse a folder in which, at any depth, a link leads out of it.

    Raises:
        UserError: One does.
    """
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _refuse_links(Path(path, name), folder, where)


def _refuse_leaving(name: str, where: str, fix: str) -> None:
    if not stays_inside(name):
        raise UserError(f"{name!r} is no name of a file in this folder", where=where, fix=fix)


def _refuse_links(path: object, folder: object, where: str) -> None:
    real, home = os.path.realpath(str(path)), os.path.realpath(str(folder))
    if real != home and not real.startswith(os.path.join(home, "")):
        raise UserError(f"{path} is a link that leads out of its folder", where=where, fix=LINKED)
