"""Tensorfile: calibration pictures in TAO's HDF5 layout.

The root's attributes ``count`` and ``shape`` tell how many batches there are and what shape each has; batch ``i`` is
the dataset ``_tensorfile_array_key__<i>/_tensorfile_array_key_``.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.bounds import TENSORFILE_BATCH_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.hdf5 import member
from bodyposenet.common.storage.files import whole_file

GROUP = "_tensorfile_array_key__{}"
DATASET = "_tensorfile_array_key_"
FLOAT_BYTES = 4
FIX = "remove the file and name the photos with --cal_image_dir, so that it is written anew"


def write_tensorfile(path: Path, batches: Iterable[np.ndarray]) -> int:
    """Write batches, one in memory at a time; the file appears whole or not at all.

    Args:
        path: The file.
        batches: ``(B, H, W, 3)`` normalised pictures, all of one shape.

    Returns:
        How many batches were written.

    Raises:
        UserError: There are none, or their shapes differ.
    """
    import h5py

    with whole_file(path) as file, h5py.File(file, "w") as written:
        count, shape = 0, ()
        for batch in batches:
            if count and batch.shape != shape:
                raise UserError(f"batch {count} has the shape {batch.shape}, those before it {shape}", where=str(path))
            written.create_group(GROUP.format(count)).create_dataset(DATASET, data=batch, compression="gzip")
            count, shape = count + 1, batch.shape
        if not count:
            raise UserError("there are no pictures to write", where=str(path))
        written.attrs["count"], written.attrs["shape"] = count, shape
    return count


class Tensorfile:
    """A tensorfile's batches, read one by one.

    Args:
        path: The file.

    Raises:
        UserError: The file is missing or is no tensorfile.
    """

    def __init__(self, path: Path) -> None:
        import h5py

        self.path = path
        try:
            with h5py.File(path, "r") as file:
                self.count = int(file.attrs["count"])
                self.shape = tuple(int(side) for side in file.attrs["shape"])
                held = len(file)
                missing = [number for number in range(min(self.count, held)) if GROUP.format(number) not in file]
        except FileNotFoundError:
            raise UserError("there is no such file", where=str(path), fix="check the path") from None
        except (OSError, KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
            raise UserError(f"this is no tensorfile: {error}", where=str(path), fix=FIX) from None
        if len(self.shape) != 4:
            problem = f"the file tells of batches of the shape {self.shape}, not of pictures"
            raise UserError(problem, where=str(path), fix=FIX)
        if missing:
            problem = f"the file tells of {self.count} batches; number {missing[0]} is missing"
            raise UserError(problem, where=str(path), fix=FIX)
        if not 0 < self.count <= held:
            raise UserError(f"the file tells of {self.count} batches and holds {held}", where=str(path), fix=FIX)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> np.ndarray:
        """A batch ``(B, H, W, 3)`` float32; one that TAO wrote with the channels first is turned.

        Raises:
            UserError: It is damaged, or holds no pictures.
        """
        import h5py

        where = f"{self.path}, batch {number}"
        try:
            with h5py.File(self.path, "r") as file:
                batch = _read_batch(member(file, f"{GROUP.format(number)}/{DATASET}"), where)
        except (OSError, KeyError, RuntimeError) as error:
            raise UserError(f"the batch cannot be read: {error}", where=where, fix=FIX) from None
        if batch.ndim == 4 and batch.shape[1] == 3 != batch.shape[3]:
            batch = np.ascontiguousarray(batch.transpose(0, 2, 3, 1))
        if batch.ndim != 4 or batch.shape[3] != 3:
            raise UserError(f"the shape {batch.shape} is not that of pictures", where=where, fix=FIX)
        return batch


def _read_batch(node: Any, where: str) -> np.ndarray:
    """Read numbers that lie in the file itself, and are no more than a batch has."""
    import h5py

    if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external or node.dtype.kind not in "fiu":
        raise UserError("this is no array of numbers", where=where, fix=FIX)
    if node.size is None:
        raise UserError("this array is empty", where=where, fix=FIX)
    if node.size * FLOAT_BYTES > TENSORFILE_BATCH_BYTES:
        raise UserError(f"the shape {node.shape} is more than a batch of pictures has", where=where, fix=FIX)
    return np.asarray(node[()], np.float32)
