"""Checkpoints: everything a training needs to go on where it stopped."""

import io
import json
import os
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files import Card, load_model, save_model

NAME = "model.epoch-{}.keras"
PATTERN = re.compile(r"model\.epoch-(\d+)\.keras")
OPTIMIZER, HISTORY = "optimizer.npz", "history.json"


def save_checkpoint(
    folder: Path, epoch: int, model: Any, optimizer: Any, card: Card, history: list[dict[str, float]], *, keep: int
) -> Path:
    """Write the state after ``epoch`` epochs, whole or not at all, and drop the oldest beyond ``keep``.

    The file is a model file that every command reads; the optimizer's state and the history are members of its zip.
    """
    path = folder / NAME.format(epoch)
    aside = folder / f".{path.name}.part"
    save_model(model, aside, card)
    state = io.BytesIO()
    np.savez(state, *(np.asarray(variable) for variable in optimizer.variables))
    with zipfile.ZipFile(aside, "a") as archive:
        archive.writestr(OPTIMIZER, state.getvalue())
        archive.writestr(HISTORY, json.dumps(history))
    os.replace(aside, path)
    for _, old in [found for found in checkpoints_in(folder) if found[0] <= epoch][:-keep]:
        old.unlink()
    return path


def checkpoints_in(folder: Path) -> list[tuple[int, Path]]:
    """Epoch and file of every checkpoint in a folder, oldest first."""
    found = ((PATTERN.fullmatch(path.name), path) for path in Path(folder).glob("model.epoch-*.keras"))
    return sorted((int(match[1]), path) for match, path in found if match)


def load_checkpoint(path: Path) -> tuple[Any, list[np.ndarray], list[dict[str, float]]]:
    """Read a checkpoint: the network, the optimizer's variables in order, and the epochs so far.

    Raises:
        UserError: The file is damaged.
    """
    try:
        model, _ = load_model(path)
        with zipfile.ZipFile(path) as archive:
            arrays = np.load(io.BytesIO(archive.read(OPTIMIZER)))
            history = json.loads(archive.read(HISTORY))
        return model, [arrays[name] for name in arrays.files], history
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"this checkpoint cannot be read: {error}",
            where=str(path),
            fix="delete it; training resumes from the one before",
        ) from None
