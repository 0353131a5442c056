"""Model files: a Keras network and the card that says how to feed and read it, in one file.

A ``.keras`` file is a zip of a graph, weights and, here, the card, ``bodyposenet.json``, which Keras ignores. The
weights go through memory: HDF5 ends the process where a disk fills under it, and a disk keeps no secret where the zip
is encrypted, see :mod:`~bodyposenet.common.storage.model_key`.
"""

import errno
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bodyposenet.common.bounds import CARD_BYTES, GRAPH_BYTES, WEIGHTS_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.graph_bounds import hold_graph, hold_maps, holding_weights
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.storage.model_key import create_model_file, foreign, open_model_file, refuse_plain
from bodyposenet.common.storage.unpacking import begins_zip, open_zip, zip_errors

log = logging.getLogger(__name__)

CARD_MEMBER = "bodyposenet.json"
CONFIG_MEMBER = "config.json"
WEIGHTS_MEMBER = "model.weights.h5"
MODEL_NAME = "model.keras"
MOST_UNPACKED = {CARD_MEMBER: CARD_BYTES, CONFIG_MEMBER: GRAPH_BYTES, WEIGHTS_MEMBER: WEIGHTS_BYTES}


def save_model(model: Any, path: Path, card: Card, *, more: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Write ``model`` and its card to ``path``, whole or not at all; any suffix will do.

    Args:
        model: A ``keras.Model``.
        path: The file to write; its folder is made.
        card: What runners need to know.
        more: Further members of the zip, by name.

    Raises:
        UserError: It cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    import keras

    texts = {
        "metadata.json": {"keras_version": keras.__version__},
        CONFIG_MEMBER: keras.saving.serialize_keras_object(model),
        CARD_MEMBER: card.to_dict(),
    }
    weights = _Weights()
    model.save_weights(weights)
    weights.seek(0)
    with create_model_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), json.dumps(text))
        with archive.open(zipfile.ZipInfo(WEIGHTS_MEMBER), "w", force_zip64=True) as to:
            shutil.copyfileobj(weights, to)
        for name, content in more.items():
            archive.writestr(zipfile.ZipInfo(name), content)


class _Weights(io.BytesIO):
    """Weights in Keras' HDF5 form; Keras, which takes paths, takes this for one by its name."""

    def __str__(self) -> str:
        return WEIGHTS_MEMBER


def load_model(path: Path) -> tuple[Any, Card]:
    """Read a network and its card.

    Args:
        path: A file written by :func:`save_model`, a folder with a ``model.keras``, or an open ``.hdf5`` of TAO.

    Returns:
        The ``keras.Model``, not compiled, and its card.

    Raises:
        UserError: There is no such file, or it is no network of this project, or damaged.
    """
    import h5py

    path = model_file(path)
    if h5py.is_hdf5(path):
        refuse_plain(path)
        return _of_tao(path)
    card = read_card(path)
    return _network(path, card.stride), card


def _of_tao(path: Path) -> tuple[Any, Card]:
    """A network of TAO, whose files tell neither skeleton nor input scale: TAO's own are taken."""
    from bodyposenet.common.model.files.tao_hdf5 import read_network

    model, card = read_network(path), Card(skeleton=BODYPOSENET_18)
    stages, drawn = len(model.outputs) // 2, [output.shape[-1] for output in model.outputs]
    if drawn != [card.skeleton.num_joints + 1] * stages + [2 * card.skeleton.num_limbs] * stages:
        raise UserError(
            f"draws maps of {drawn} channels, so not TAO's skeleton of 18 joints, and names no other",
            where=str(path),
            fix="train it on with `load_graph: true` and its pose config; the result names its skeleton",
        )
    log.info("%s: names no skeleton: taking TAO's, of 18 joints, and its input, RGB / 256 - 0.5", path)
    return model, card


def _network(path: Path, stride: int) -> Any:
    import keras

    from bodyposenet.common.model.files.hdf5 import hold_arrays

    with open_model_file(path) as file:
        try:
            with open_zip(file) as archive:
                hold_small(archive, path)
                config = json.loads(archive.read(CONFIG_MEMBER)) | {"compile_config": None}
                hold_graph(config, str(path))
                weights = archive.read(WEIGHTS_MEMBER)
                held = hold_arrays(io.BytesIO(weights), path)
                with holding_weights(held, str(path)):
                    model = keras.saving.deserialize_keras_object(config, safe_mode=True)
                if not isinstance(model, keras.Model):
                    raise TypeError(f"it holds a {type(model).__name__}")
                hold_maps(model, str(path), stride=stride)
                model.load_weights(_Weights(weights))
                return model
        except (MemoryError, UserError):
            raise
        except Exception as error:  # Keras, h5py and zipfile each have their own for a file that is not whole
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise _report_damage(path, error) from error


def hold_small(archive: zipfile.ZipFile, path: Path, *, more: Mapping[str, int] = MappingProxyType({})) -> None:
    """Refuse members that unpack to more than a network's are.

    Args:
        archive: The file.
        path: What messages call it.
        more: Bytes that further members may have, by name.

    Raises:
        UserError: One does.
    """
    bounds = MOST_UNPACKED | dict(more)
    for member in archive.infolist():
        if member.file_size > bounds.get(member.filename, 0) > 0:
            problem = (
                f"{member.filename} in it unpacks to {member.file_size:,} bytes, more than that of any network here"
            )
            raise UserError(problem, where=str(path), fix="give a file that `bpnet train` or `bpnet prune` wrote")


def model_file(path: Path) -> Path:
    """The network's file: ``path`` itself, or the ``model.keras`` in that folder.

    Raises:
        UserError: Nothing is there.
    """
    path = Path(path)
    file = path / MODEL_NAME if path.is_dir() else path
    if not file.is_file():
        raise UserError("there is no model file", where=str(file), fix="give the .keras file that `bpnet train` wrote")
    return file


def read_card(path: Path) -> Card:
    """The card of a model file, without loading Keras.

    Raises:
        UserError: The file is no Keras zip, is locked, or has no card that can be read.
    """
    with open_model_file(path) as file:
        if not begins_zip(file):
            kinds = "neither a Keras zip nor TAO's open .hdf5"
            raise foreign(path, kinds, "give the file that `bpnet train` or `bpnet prune` wrote")
        with zip_errors(lambda error: _report_damage(path, error)), open_zip(file) as archive:
            return _card_in(archive, path)


def _card_in(archive: zipfile.ZipFile, path: Path) -> Card:
    if CARD_MEMBER not in archive.namelist():
        raise UserError(
            f"has no {CARD_MEMBER} inside", where=str(path), fix="train it with `bpnet train`, or save_model() it"
        )
    hold_small(archive, path)
    return Card.from_json(archive.read(CARD_MEMBER))  # what it raises is told as damage


def _report_damage(path: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [""])[0][:200]
    return UserError(
        f"this model file is damaged, or was written by another version: {type(error).__name__}: {reason}",
        where=str(path),
        fix="copy it again, or train it again",
    )
