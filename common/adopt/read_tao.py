"""TAO's Keras files: an open ``.hdf5`` is a network already, and lacks the card alone."""

from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.tao_hdf5 import read_network
from bodyposenet.common.skeleton.skeleton import Skeleton

SUFFIX = ".hdf5"


def read_tao(path: Path, skeleton: Skeleton) -> Any:
    """Read the network of a file of TAO.

    Args:
        path: The file.
        skeleton: What it is taken to draw.

    Raises:
        UserError: It cannot be read, or has not the maps of such a skeleton.
    """
    if not path.is_file():
        raise UserError("no such file", where=str(path))
    model = read_network(path)
    stages, drawn = len(model.outputs) // 2, [output.shape[-1] for output in model.outputs]
    if drawn != [skeleton.num_joints + 1] * stages + [2 * skeleton.num_limbs] * stages:
        raise UserError(
            f"draws maps of {drawn} channels, {skeleton.name!r} has {skeleton.num_joints} joints and "
            f"{skeleton.num_limbs} limbs",
            where=str(path),
            fix="give the pose config that it was trained with: --pose_config",
        )
    return model
