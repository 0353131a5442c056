"""Digests: of bytes, settings, files and folders, so that what did not change is not done again; all are SHA-256."""

import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import listing
from bodyposenet.common.storage.json_files import write_json
from bodyposenet.common.storage.location import Location, locate


def digest_bytes(content: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a text's in UTF-8, in hexadecimal."""
    return hashlib.sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def digest_settings(value: object, *, default: Callable[[object], object] | None = None) -> str:
    """Return the SHA-256 of settings as JSON, in hexadecimal: the order of an object's keys does not count.

    Args:
        value: Anything that JSON can hold.
        default: Makes that of what it cannot, as for ``json.dumps``.

    Raises:
        TypeError: JSON cannot hold it, and there is no ``default``.
    """
    whole = hashlib.sha256()
    for piece in write_json(value, default):
        whole.update(piece.encode())
    return whole.hexdigest()


def digest_stream(file: BinaryIO) -> str:
    """Return the SHA-256 of what is left to read of a file that is open, in hexadecimal."""
    return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # BinaryIO lacks readinto


def digest_file(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        return digest_stream(file)


def digest_content(place: Location) -> str:
    """Digest a file's bytes; of a file in a bucket its generation counts in place of them, as for a folder.

    Raises:
        UserError: There is no such file in the bucket.
        OSError: It cannot be read.
    """
    return digest_bytes(place.find_version()) if place.remote else digest_file(str(place))


def fingerprint(folder: str | Path | Location) -> str:
    """Digest the names, sizes and bytes of a folder's files.

    Times, owners and the folder's own place do not count; neither do hidden files. Links are followed. Of files in a
    bucket their generations count in place of their bytes, which would all have to be fetched.

    Returns:
        A SHA-256 in hexadecimal.

    Raises:
        UserError: There is no such folder.
    """
    place = locate(folder)
    if place.remote:
        return _digest_listing(place)
    root = Path(str(place))
    if not root.is_dir():
        raise UserError("no such folder", where=str(root), fix="name the folder that holds images and annotations")
    whole = hashlib.sha256()
    for name in sorted(_files(root)):
        digest, size = digest_file(root / name), (root / name).stat().st_size
        whole.update(f"{len(name.encode())} {name} {size} {digest}\n".encode())
    return whole.hexdigest()


def _digest_listing(folder: Location) -> str:
    whole = hashlib.sha256()
    for name, (size, version) in sorted(listing(folder).items()):
        if not any(part.startswith(".") for part in name.split("/")):
            whole.update(f"{len(name.encode())} {name} {size} {version}\n".encode())
    return whole.hexdigest()


def _files(root: Path) -> Iterator[str]:
    """Paths of the files below the folder, relative and with forward slashes."""
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        if os.path.realpath(folder) in seen:  # a link to a folder above
            below.clear()
            continue
        seen.add(os.path.realpath(folder))
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in names:
            if not name.startswith("."):
                yield (Path(folder) / name).relative_to(root).as_posix()
