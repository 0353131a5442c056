"""HDF5: plain access to files that others wrote; nothing in them leads elsewhere, and nothing is run."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from bodyposenet.common.bounds import ARRAY_BYTES, ARRAY_RATIO, ARRAY_RATIO_FROM
from bodyposenet.common.errors import UserError

Arrays = tuple[np.ndarray, ...]


@contextmanager
def hdf5_errors(path: Path) -> Iterator[None]:
    """Turn whatever libraries raise on a file that is not whole into one error that names it.

    Raises:
        UserError: The file is damaged, or is not what it seems.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # h5py, zipfile, json and Keras each have their own for a file that is not whole
        reason = (str(error).splitlines() or [""])[0][:200]
        raise UserError(
            f"this file is damaged, or of a kind unknown here: {type(error).__name__}: {reason}",
            where=str(path),
            fix="copy or download it again",
        ) from error


@contextmanager
def open_hdf5(path: Path, content: BinaryIO | None = None) -> Iterator[h5py.File]:
    """Open an HDF5 file to read; errors name ``path``.

    Args:
        path: The file, or the archive that ``content`` is out of.
        content: An HDF5 file in memory.

    Raises:
        UserError: The file is damaged, or something in it is refused.
    """
    with hdf5_errors(path), h5py.File(content or path, "r") as file:
        yield file


def member(group: h5py.Group, name: str) -> Any:
    """What a group holds under ``name``, a path; links out of the file are refused.

    Raises:
        UserError: There is nothing, or a link.
    """
    node = group
    for part in filter(None, name.split("/")):
        link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):
            kind = "is missing" if link is None else "is a link to another place, which is not followed"
            raise UserError(f"{name!r} {kind}", where=group.file.filename, fix="copy or download the file again")
        node = node[part]
    return node


def array(group: h5py.Group, name: str) -> np.ndarray:
    """The array of floating-point numbers that a group holds under ``name``, float32.

    Raises:
        UserError: It holds no such array, or the array is elsewhere, of other things or not finite.
    """
    node = member(group, name)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind != "f" or not _is_held(node):
        raise UserError(f"{name!r} is no array of weights", where=group.file.filename, fix="give a network's weights")
    values = np.asarray(node[()], np.float32)
    if not np.isfinite(values).all():
        raise UserError(
            f"{name!r} holds values that are no finite numbers",
            where=group.file.filename,
            fix="take a checkpoint from before the training went wrong",
        )
    return values


def _is_held(node: h5py.Dataset) -> bool:
    """Tell whether an array is in the file itself, and no larger than what is stored of it can honestly be."""
    if node.is_virtual or node.external or node.size is None:
        return False
    size = int(node.size) * node.dtype.itemsize
    most = min(ARRAY_BYTES, max(ARRAY_RATIO_FROM, ARRAY_RATIO * node.id.get_storage_size()))
    return bool(size <= most)


def hold_arrays(content: BinaryIO, where: Path) -> int:
    """Refuse an HDF5 file with an array that is elsewhere, or is larger than what is stored of it.

    Returns:
        How many numbers its arrays have together.

    Raises:
        UserError: It has one.
        OSError: It is no HDF5 file.
    """
    numbers = 0
    with h5py.File(content, "r") as file:

        def hold(name: str, node: Any) -> None:
            nonlocal numbers
            if not isinstance(node, h5py.Dataset):
                return
            if not _is_held(node):
                fix = "give a file that `bpnet train` or `bpnet prune` wrote"
                raise UserError(f"{name!r} is no array of weights in this file", where=str(where), fix=fix)

            numbers += int(node.size)

        file.visititems(hold)
    return numbers


def texts(attributes: Mapping[str, Any], key: str) -> list[str]:
    """A list of texts among attributes; Keras cuts long lists into ``key0``, ``key1`` and so on."""
    if key in attributes:
        return [text(item) for item in attributes[key]]
    found: list[str] = []
    number = 0
    while f"{key}{number}" in attributes:
        found += [text(item) for item in attributes[f"{key}{number}"]]
        number += 1
    return found


def text(value: Any) -> str:
    """An attribute's text; older files hold bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)
