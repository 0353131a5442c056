"""Cache folder: where what was compiled or measured on this machine is kept, whoever the user is."""

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

VARIABLE = "BODYPOSENET_CACHE"


def find_cache_folder(part: str) -> Path | None:
    """Return a folder for one kind of cached things, made if need be; None where nothing can be written.

    The first that can be written of: ``$BODYPOSENET_CACHE``, ``$XDG_CACHE_HOME/bodyposenet``, ``~/.cache/bodyposenet``,
    and a folder of this user alone under ``TMPDIR`` (an arbitrary user in a container has no home).

    Args:
        part: The kind, a folder below, such as ``numba``.
    """
    return next((made for folder in _list_candidates() if (made := make_writable(folder / part))), None)


def _list_candidates() -> Iterator[Path]:
    """List the folders; the one under ``TMPDIR`` is made when it comes to that."""
    if named := os.environ.get(VARIABLE):
        yield Path(named)
        return
    if named := os.environ.get("XDG_CACHE_HOME"):
        yield Path(named) / "bodyposenet"
    home = Path(os.path.expanduser("~"))
    if home.is_absolute():
        yield home / ".cache" / "bodyposenet"
    user = os.getuid() if hasattr(os, "getuid") else 0
    with contextlib.suppress(FileNotFoundError):  # nothing can be written, not even there
        if private := _make_private(Path(tempfile.gettempdir()) / f"bodyposenet-{user}", user):
            yield private


def make_writable(folder: Path) -> Path | None:
    """Make a folder if need be; None if this user may not write there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK | os.X_OK) else None


def _make_private(folder: Path, user: int) -> Path | None:
    """Make a folder that nobody but a user can write to; None if somebody else was there first."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    others = stat.S_IWGRP | stat.S_IWOTH
    own = stat.S_ISDIR(found.st_mode) and found.st_uid == user and not found.st_mode & others
    return folder if own else None
