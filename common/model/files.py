"""Model files: a Keras network and the card that says how to feed and read it, in one open file.

A ``.keras`` file is a zip of a graph, weights and, here, the card, ``bodyposenet.json``, which Keras ignores. Files are
written and read member by member: Keras itself would hold all weights in memory once more.
"""

import errno
import json
import logging
import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton import BODYPOSENET_18, Skeleton

log = logging.getLogger(__name__)

CARD_MEMBER = "bodyposenet.json"
CONFIG_MEMBER = "config.json"
WEIGHTS_MEMBER = "model.weights.h5"
MODEL_NAME = "model.keras"


@dataclass(frozen=True)
class Card:
    """What a runner must know of a network that the network itself does not tell.

    Attributes:
        skeleton: Meaning of the output channels.
        stride: Input pixels per cell of the output grid.
        image_scale: Per channel: network input = RGB / scale - offset.
        image_offset: Per channel, see ``image_scale``.
        input_size: ``(height, width)`` it was trained at.
        sigma: Spread of a heatmap peak it was trained to draw, in input pixels.
    """

    skeleton: Skeleton
    stride: int = 8
    image_scale: tuple[float, ...] = (256.0, 256.0, 256.0)
    image_offset: tuple[float, ...] = (0.5, 0.5, 0.5)
    input_size: tuple[int, int] = (256, 256)
    sigma: float = 7.0

    def to_dict(self) -> dict[str, Any]:
        """This card as plain JSON data."""
        return {
            "skeleton": self.skeleton.to_dict(),
            "stride": self.stride,
            "image_scale": list(self.image_scale),
            "image_offset": list(self.image_offset),
            "input_size": list(self.input_size),
            "sigma": self.sigma,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Card":
        """The inverse of :meth:`to_dict`."""
        return cls(
            skeleton=Skeleton.from_dict(data["skeleton"]),
            stride=int(data["stride"]),
            image_scale=tuple(data["image_scale"]),
            image_offset=tuple(data["image_offset"]),
            input_size=(int(data["input_size"][0]), int(data["input_size"][1])),
            sigma=float(data["sigma"]),
        )


def save_model(model: Any, path: Path, card: Card) -> None:
    """Write ``model`` and its card to ``path``, whole or not at all; any suffix will do.

    Args:
        model: A ``keras.Model``.
        path: The file to write; its folder is made.
        card: What runners need to know.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    import keras

    texts = {
        "metadata.json": {"keras_version": keras.__version__},
        CONFIG_MEMBER: keras.saving.serialize_keras_object(model),
        CARD_MEMBER: card.to_dict(),
    }
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as folder:
        weights, whole = Path(folder) / WEIGHTS_MEMBER, Path(folder) / MODEL_NAME
        model.save_weights(weights)
        with zipfile.ZipFile(whole, "w") as archive:
            for name, text in texts.items():
                archive.writestr(zipfile.ZipInfo(name), json.dumps(text))
            with (
                weights.open("rb") as source,
                archive.open(zipfile.ZipInfo(WEIGHTS_MEMBER), "w", force_zip64=True) as to,
            ):
                shutil.copyfileobj(source, to)
        os.replace(whole, path)


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
        return _of_tao(path)
    card = read_card(path)
    return _network(path), card


def _of_tao(path: Path) -> tuple[Any, Card]:
    """A network of TAO, whose files tell neither skeleton nor input scale: TAO's own are taken."""
    from bodyposenet.common.model.tao_hdf5 import read_network

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


def _network(path: Path) -> Any:
    import keras

    try:
        with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
            config = json.loads(archive.read(CONFIG_MEMBER)) | {"compile_config": None}
            model = keras.saving.deserialize_keras_object(config, safe_mode=True)
            model.load_weights(archive.extract(WEIGHTS_MEMBER, folder))
            return model
    except (MemoryError, OSError) as error:
        if isinstance(error, MemoryError) or error.errno == errno.ENOSPC:
            raise
        raise _damaged(path, error) from error
    except Exception as error:  # Keras, h5py and zipfile each have their own for a file that is not whole
        raise _damaged(path, error) from error


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
        UserError: The file is no Keras zip, or has no card that can be read.
    """
    if not zipfile.is_zipfile(path):
        raise UserError(
            "is no Keras model file (a .keras zip, or TAO's open .hdf5; NVIDIA's encrypted files cannot be read)",
            where=str(path),
            fix="give the file that `bpnet train` or `bpnet prune` wrote",
        )
    with zipfile.ZipFile(path) as archive:
        if CARD_MEMBER not in archive.namelist():
            raise UserError(
                f"has no {CARD_MEMBER} inside", where=str(path), fix="train it with `bpnet train`, or save_model() it"
            )
        try:
            return Card.from_dict(json.loads(archive.read(CARD_MEMBER)))
        except (KeyError, IndexError, TypeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> UserError:
    reason = (str(error).splitlines() or [""])[0][:200]
    return UserError(
        f"this model file is damaged, or was written by another version: {type(error).__name__}: {reason}",
        where=str(path),
        fix="copy it again, or train it again",
    )
