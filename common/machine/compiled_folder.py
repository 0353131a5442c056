"""Compiled folder: where what numba compiled is kept, a folder for each state of the sources."""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from bodyposenet.common.machine.cache_folder import find_cache_folder, make_writable

PACKAGE = Path(__file__).parents[1]
PACKAGES = ("pose", "data", "imaging")  # where functions are compiled
MARK = b"machine.compiling import"
COPY = "COPY.txt"  # beside a package that lies in a registered network: such a copy comes and goes
WAIT = "about 45 s of processor time"  # what compiling the decoder takes; 37 on an AMD EPYC, 44 on an Intel Xeon
REMEDY = f"bpnet doctor --warm compiles it beforehand, {WAIT}"
UNUSED = 30 * 24 * 3600.0  # seconds after which a folder of earlier sources goes


@cache
def find_compiled_folder(package: Path = PACKAGE) -> Path | None:
    """Return the folder for what is compiled from the sources as they are, made if need be; None without a place.

    The first place that can be written of: ``$NUMBA_CACHE_DIR``, the package's own ``__pycache__``, and the user's
    cache; of a package in a registered network, which is downloaded anew each time, only the first and the last. Its
    name is a digest of all sources with compiled functions, as numba itself looks at the file of a function alone and
    would keep a caller of changed functions. What another user compiled beforehand, beside a package that may only be
    read, is copied.

    Args:
        package: Has the sources.
    """
    digest = digest_sources(list_sources(package))
    named = os.environ.get("NUMBA_CACHE_DIR")
    shared = [Path(named) / "bodyposenet"] if named else []
    shared += [] if is_copy(package) else [package / "__pycache__" / "numba"]
    places = (place for place in _list_places(shared) if make_writable(place))
    elsewhere = [place / digest for place in shared]
    return next((folder for place in places if (folder := _fill(place / digest, elsewhere))), None)


def is_copy(package: Path = PACKAGE) -> bool:
    """Tell whether a package lies in a registered network."""
    return (package.parent / COPY).exists()


def has_compiled(folder: Path, function: str) -> bool:
    """Tell whether a function was compiled by this Python, for whichever processor.

    Args:
        folder: Of :func:`find_compiled_folder`.
        function: Its module's last name, and its own, such as ``decoder._decode``.
    """
    major, minor = sys.version_info[:2]
    return any(folder.rglob(f"{function}-*.py{major}{minor}*.nbi"))


def find_source(file: Path, folder: Path, package: Path = PACKAGE) -> Path:
    """Return where the source of a compiled function lies for numba, which looks for what it compiled by that.

    Args:
        file: The source.
        folder: Where what is compiled is kept. Of a package in a registered network the sources are kept there, too,
            so that the next copy finds what was compiled of this one.
        package: Has the source.
    """
    if not is_copy(package):
        return file
    kept = folder / "sources"
    there = kept.is_dir() or _copy(package, kept)
    return kept / file.relative_to(package) if there else file


def list_sources(package: Path = PACKAGE) -> list[Path]:
    """Return the modules that have compiled functions."""
    modules = (path for folder in PACKAGES for path in sorted((package / folder).rglob("*.py")))
    return [path for path in modules if MARK in path.read_bytes()]


def digest_sources(paths: Iterable[Path]) -> str:
    """Digest names and texts of files: 16 hexadecimal digits."""
    found = hashlib.sha256()
    for path in paths:
        found.update(f"{path.parent.name}/{path.name}\n".encode() + path.read_bytes() + b"\0")
    return found.hexdigest()[:16]


def _list_places(shared: Iterable[Path]) -> Iterator[Path]:
    """List the shared places, and this user's own, which is made if the others will not do."""
    yield from shared
    own = find_cache_folder("numba")
    yield from [own] if own else []


def _fill(folder: Path, elsewhere: Iterable[Path]) -> Path | None:
    """Make a folder with what is compiled already elsewhere; None if it cannot be made or is another user's."""
    if folder.is_dir():
        with contextlib.suppress(OSError):
            os.utime(folder)
        return folder if os.access(folder, os.W_OK | os.X_OK) else None
    _drop_unused(folder.parent)
    made = next((place for place in elsewhere if place.is_dir() and _copy(place, folder)), None)
    return folder if made else make_writable(folder)


def _copy(source: Path, folder: Path) -> bool:
    """Copy a folder, whole or not at all."""
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent) as aside:
            made = Path(aside) / folder.name
            for file in filter(Path.is_file, source.rglob("*")):  # without the modes of folders that may only be read
                target = made / file.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, target)
            made.rename(folder)
    except OSError:  # may not be read, no room, or another process was first
        return folder.is_dir()
    return True


def _drop_unused(place: Path) -> None:
    """Remove the folders of earlier sources that nobody has used for a month."""
    for folder in place.iterdir():
        with contextlib.suppress(OSError):
            if folder.is_dir() and folder.stat().st_mtime < time.time() - UNUSED:
                shutil.rmtree(folder)
