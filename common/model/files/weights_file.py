"""Weights files: a network's arrays, layer by layer, out of every kind of file that a training can start from.

Only arrays and names are read. The network of the file is not built, and nothing that the file describes is run.
"""

import io
import zipfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from bodyposenet.common.bounds import WEIGHTS_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.hdf5 import Arrays, array, hdf5_errors, member, open_hdf5, text, texts
from bodyposenet.common.model.files.model_file import model_file
from bodyposenet.common.model.files.tao_hdf5 import flatten, list_layers, model_config
from bodyposenet.common.storage.model_key import TAO_ENDINGS, foreign, open_model_file, taking_plain
from bodyposenet.common.storage.unpacking import begins_zip, open_zip

WEIGHTS_MEMBER = "model.weights.h5"
KNOWN = "a .keras file, a .weights.h5 of Keras 3, an open .hdf5 of TAO, or Keras Applications' VGG19 .h5"
DEPTH = 32  # of networks within networks


@dataclass(frozen=True)
class Stored:
    """The weights of a file.

    Attributes:
        path: The file.
        kind: What it was found to be, in words.
        layers: The arrays of each layer, in Keras' order; names have ``_`` for TAO's ``/``.
        notes: What a user should know of these weights.
    """

    path: Path
    kind: str
    layers: dict[str, Arrays]
    notes: tuple[str, ...] = ()


def read_weights(path: Path, known: Collection[str] = ()) -> Stored:
    """Read the weights of a file, whatever its suffix.

    Args:
        path: The file, or a folder with a ``model.keras``.
        known: Layers of the network to fill; helps to tell layers of a nested TAO network apart.

    Raises:
        UserError: There is no such file, it is damaged or locked, or holds no weights that can be told apart.
    """
    path = model_file(path) if path.is_dir() else path
    if holds_hdf5(path):
        with open_hdf5(path) as file:
            return _hdf5(path, file, known)
    with taking_plain(), open_model_file(path) as content, hdf5_errors(path), open_zip(content) as archive:
        return Stored(path, "Keras model", _in_archive(path, archive))


def holds_hdf5(path: Path) -> bool:
    """Whether a file is HDF5; False for a zip.

    Raises:
        UserError: There is no such file, it is locked, or it is neither.
    """
    if not path.is_file():
        raise UserError("there is no such file", where=str(path), fix=f"give {KNOWN}")
    if h5py.is_hdf5(path):
        return True
    with taking_plain(), open_model_file(path) as content:
        if begins_zip(content):
            return False
    raise foreign(path, "neither HDF5 nor a Keras zip", f"give {KNOWN}", endings=(*TAO_ENDINGS, ".hdf5"))


def _hdf5(path: Path, file: h5py.File, known: Collection[str]) -> Stored:
    root = member(file, "model_weights") if "model_weights" in file else file
    if texts(root.attrs, "layer_names"):
        config = model_config(file)
        kind = "TAO or Keras 2 weights" if config is None else "TAO or Keras 2 model"
        return Stored(path, kind, list_layers(root, flatten(config) or known))
    return Stored(path, "Keras 3 weights", _keras3(path, file))


def _in_archive(path: Path, archive: zipfile.ZipFile) -> dict[str, Arrays]:
    """The weights in a ``.keras`` file."""
    if WEIGHTS_MEMBER not in archive.namelist():
        raise UserError(f"is a zip without {WEIGHTS_MEMBER}, so no Keras model", where=str(path), fix=f"give {KNOWN}")
    if archive.getinfo(WEIGHTS_MEMBER).file_size > WEIGHTS_BYTES:
        raise UserError("holds more weights than any network here", where=str(path), fix=f"give {KNOWN}")
    with open_hdf5(path, io.BytesIO(archive.read(WEIGHTS_MEMBER))) as file:
        return _keras3(path, file)


def _keras3(path: Path, file: h5py.File) -> dict[str, Arrays]:
    layers: dict[str, Arrays] = {}
    _gather(file, layers, path, DEPTH)
    if not layers:
        raise UserError("holds no layers with weights", where=str(path), fix=f"give {KNOWN}")
    return layers


def _gather(group: h5py.Group, layers: dict[str, Arrays], path: Path, depth: int) -> None:
    """Add the layers of a group, and of the networks within it, to ``layers``."""
    if not depth:
        raise UserError("holds networks within networks without end", where=str(path), fix=f"give {KNOWN}")
    for key in group:
        node: Any = member(group, key)
        if key == "vars" and isinstance(node, h5py.Group) and len(node):
            _put(layers, path, node)
        elif isinstance(node, h5py.Group) and key != "optimizer":
            _gather(node, layers, path, depth - 1)


def _put(layers: dict[str, Arrays], path: Path, variables: h5py.Group) -> None:
    """Add one layer, whose variables are numbered and whose name is an attribute."""
    if "name" not in variables.attrs:
        raise UserError(
            f"does not tell the layers' names ({variables.parent.name})",
            where=str(path),
            fix="load it with the Keras that wrote it, and save the model as .keras with a newer one",
        )
    name = text(variables.attrs["name"])
    if name in layers:
        raise UserError(f"has two layers named {name!r}", where=str(path), fix="give each layer a name of its own")
    layers[name] = tuple(array(variables, number) for number in sorted(variables, key=int))
