"""Checkpoints: everything a training needs to go on where it stopped, in files that appear whole or not at all."""

import contextlib
import io
import json
import logging
import math
import re
import shutil
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bodyposenet.common.bounds import CARD_BYTES, OPTIMIZER_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import hold_small, load_model, save_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.storage.encryption import LockedError, is_encrypted
from bodyposenet.common.storage.json_files import take_list, take_mapping
from bodyposenet.common.storage.model_key import open_model_file
from bodyposenet.common.storage.unpacking import BROKEN_ZIP, open_zip

log = logging.getLogger(__name__)

NAME = "model.epoch-{}.keras"
PATTERN = re.compile(r"model\.epoch-(\d+)\.(?:keras|tlt)")
LATEST = "model.latest.keras"  # made within an epoch
UNNAMED = "earlier"  # what trainings from before they had names go by
LATEST_PATTERN = re.compile(rf"model\.latest(?:-(?:[0-9a-f]{{16}}|{UNNAMED}))?\.(?:keras|tlt)")  # aside by training
TRAINING = re.compile(r"(?:[0-9a-f]{16})?")  # what trainings are called
BEST = "model.best.keras"  # a network only, of the best AP so far
OPTIMIZER, HISTORY, STATE = "optimizer.npz", "history.json", "training.json"
MOST_STATE = {OPTIMIZER: OPTIMIZER_BYTES, HISTORY: CARD_BYTES, STATE: CARD_BYTES}  # that these unpack to
STAYS = ("rounds.json", "tracking_buffer")  # files and folders that do not go to another folder with a training
LEFT = (".saving-*", ".*.keras.*.tmp", ".*.tlt.*.tmp", ".*.json.*.tmp", ".*.yaml.*.tmp")  # what is on its way
BROKEN = (OSError, AttributeError, RecursionError, *BROKEN_ZIP)  # what reading a torn file raises

Epoch = dict[str, float]


class DamagedError(UserError):
    """A checkpoint's file is not whole."""


@dataclass
class TrainingState:
    """How far a training has come.

    Attributes:
        epoch: Epochs that are done.
        step: Steps done of the next epoch.
        steps: Steps that an epoch has.
        sums: Sums over the steps of that epoch, of all that a step returns.
        seconds: Spent on them.
        history: An entry for each epoch that is done.
        precision: The number format that it computes in; nothing in checkpoints from before this was kept.
        training: Tells its checkpoints from those of others in the same folder: a name made where it began, which it
            keeps wherever it goes on; nothing, likewise.
    """

    epoch: int = 0
    step: int = 0
    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    history: list[Epoch] = field(default_factory=list)
    precision: str = ""
    training: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """Epochs and steps, to compare with another's."""
        return self.epoch, self.step

    def add(self, scalars: dict[str, float]) -> None:
        """Note one more step."""
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in scalars.items()}
        self.step += 1

    def close(self, entry: Epoch) -> None:
        """Note that the epoch is done, with its entry in the history."""
        self.history.append(entry)
        self.epoch, self.step, self.sums, self.seconds = self.epoch + 1, 0, {}, 0.0


class Checkpoint(NamedTuple):
    """What a checkpoint's file holds: the network, the optimizer's variables in order, and how far it had come."""

    model: Any
    optimizer: list[np.ndarray]
    state: TrainingState


def save_checkpoint(path: Path, model: Any, optimizer: Sequence[Any], card: Card, state: TrainingState) -> None:
    """Write a checkpoint, whole or not at all.

    The file is a model file that every command reads; the rest of the state are further members of its zip.

    Args:
        path: The file.
        model: The network, in float32.
        optimizer: The optimizer's variables, or their values.
        card: How to feed and read the network.
        state: How far the training has come.
    """
    file = io.BytesIO()
    np.savez(file, *(np.asarray(variable) for variable in optimizer))
    rest = {name: value for name, value in vars(state).items() if name != "history"}
    texts = {HISTORY: json.dumps(state.history), STATE: json.dumps(rest)}
    more = {name: text.encode() for name, text in texts.items()}
    save_model(model, path, card, more={OPTIMIZER: file.getvalue()} | more)


def sweep(folder: Path) -> None:
    """Remove what a killed training left half written."""
    for left in (path for pattern in LEFT for path in folder.glob(pattern)):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left)
        else:
            left.unlink()


def checkpoints_in(folder: Path) -> list[tuple[int, Path]]:
    """Epoch and file of the checkpoint of every epoch in a folder, oldest first."""
    found = ((PATTERN.fullmatch(path.name), path) for path in Path(folder).glob("model.epoch-*"))
    return sorted((int(match[1]), path) for match, path in found if match)


def latest_in(folder: Path) -> list[Path]:
    """List the checkpoints within an epoch in a folder: the last training's, and what was set aside of others."""
    found = (LATEST_PATTERN.fullmatch(path.name) and path for path in sorted(Path(folder).glob("model.latest*")))
    return [path for path in found if path]


def list_lasting(folder: Path) -> list[Path]:
    """List what another folder needs for the trainings in and below this one to go on there as they would here.

    Of each training's checkpoints that is the newest. Hidden files are left out, and what belongs to this folder: the
    mark of whose rounds are in it, and tracked runs on their way.
    """
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file() and _lasts(path.relative_to(folder))]
    folders = {path.parent for path in files}
    older = {path for place in folders for path in [*_newest_first(place, sys.maxsize)][1:]}
    return [path for path in files if path not in older]


def _lasts(path: Path) -> bool:
    return not any(part.startswith(".") or part in STAYS for part in path.parts)


def newest_checkpoint(folder: Path, epochs: int) -> tuple[Path, Checkpoint] | None:
    """The newest whole checkpoint of at most so many epochs, and its file; a damaged one costs a warning.

    One that does not open may be whole, and the key another: it counts as damaged if the key opens one before it.

    Raises:
        UserError: All that there are are damaged, or do not open.
    """
    damaged: list[DamagedError | LockedError] = []
    for path in _newest_first(folder, epochs):
        try:
            found = load_checkpoint(path)
        except (DamagedError, LockedError) as error:
            damaged.append(error)
            continue
        _require_proof(damaged, path)
        if damaged:
            told = "; ".join(str(UserError(error.problem, where=error.where)) for error in damaged)
            log.warning("%s; the training goes on from %s", told, path.name)
        return path, found
    if damaged:
        raise _report_none_whole(damaged[0])
    return None


def _report_none_whole(error: DamagedError | LockedError) -> UserError:
    if isinstance(error, LockedError):
        return error
    fix = "there is no whole one before it: copy it again, or delete it, and the training begins anew"
    return DamagedError(error.problem, where=error.where, fix=fix)


def find_precision(folder: Path, epochs: int) -> str:
    """Find what the newest readable checkpoint of at most so many epochs computes in; nothing where none tells."""
    for path in _newest_first(folder, epochs):
        with contextlib.suppress(UserError):  # whoever resumes will tell of what does not open
            return read_state(path).precision
    return ""


def _require_proof(damaged: list[DamagedError | LockedError], opens: Path) -> None:
    """Refuse to pass over files that may only want another key, where the one before them is open to anybody."""
    locked = [error for error in damaged if isinstance(error, LockedError)]
    if locked and not is_encrypted(opens):
        raise locked[0]


def _newest_first(folder: Path, epochs: int) -> Iterator[Path]:
    found = [((epoch, 0), path) for epoch, path in checkpoints_in(folder) if epoch <= epochs]
    latest = [(_place(path) or (epochs, 0), path) for path in latest_in(folder)]  # a damaged one is tried, and told
    found += [(place, path) for place, path in latest if place <= (epochs, 0)]
    return (path for _, path in sorted(found, reverse=True))


def _place(latest: Path) -> tuple[int, int] | None:
    """Where the checkpoint within an epoch was made; None if it is damaged or does not open."""
    try:
        return read_state(latest).place
    except (DamagedError, LockedError):
        return None


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        DamagedError: The file is not whole.
        LockedError: It is encrypted, and does not open.
        UserError: There is none, or it is a network without the rest of a checkpoint.
    """
    state = read_state(path)
    try:
        with open_model_file(path) as file, open_zip(file) as archive:
            hold_small(archive, path, more=MOST_STATE)
            broken = archive.testzip()
            if broken:
                raise zipfile.BadZipFile(f"{broken} is broken")
            arrays = _read_arrays(archive.read(OPTIMIZER))
        model, _ = load_model(path)
        return Checkpoint(model, arrays, state)
    except LockedError:
        raise
    except BROKEN as error:
        raise _report_damage(path, error) from None


def _read_arrays(npz: bytes) -> list[np.ndarray]:
    """Read an optimizer's arrays, in no more memory than their file: NumPy would take what a header asks for."""
    with zipfile.ZipFile(io.BytesIO(npz)) as packed:
        for member in packed.infolist():
            with packed.open(member) as file:
                head = np.lib.format.read_magic(file)
                shape, _, kind = np.lib.format.read_array_header_1_0(file)
            if member.compress_type or head != (1, 0) or math.prod(shape) * kind.itemsize > member.file_size:
                raise zipfile.BadZipFile(f"{member.filename} in {OPTIMIZER} is no array as a training writes it")
    arrays = np.load(io.BytesIO(npz))
    return [arrays[name] for name in arrays.files]


def is_whole(path: Path) -> bool:
    """Tell whether a file is a checkpoint that nothing is missing of; an encrypted one must open."""
    try:
        read_state(path)
        with open_model_file(path) as file, open_zip(file) as archive:
            return archive.testzip() is None
    except (UserError, *BROKEN):
        return False


def read_state(path: Path) -> TrainingState:
    """How far the training of a checkpoint had come, without loading Keras; raises as :func:`load_checkpoint`."""
    if not path.is_file():
        raise UserError("there is no such checkpoint", where=str(path), fix="check the path")
    try:
        with open_model_file(path) as file, open_zip(file) as archive:
            hold_small(archive, path, more=MOST_STATE)
            if OPTIMIZER in archive.namelist():
                return _state_in(archive)
    except LockedError:
        raise
    except BROKEN as error:
        raise _report_damage(path, error) from None
    raise UserError("is a network, not a checkpoint", where=str(path), fix="give it as pretrained_weights instead")


def _state_in(archive: zipfile.ZipFile) -> TrainingState:
    history = [take_mapping(entry) for entry in take_list(json.loads(archive.read(HISTORY)))]
    if not all(isinstance(value, int | float) for entry in history for value in entry.values()):
        raise TypeError("a value of an epoch is no number")
    if STATE not in archive.namelist():  # written before there were checkpoints within an epoch
        return TrainingState(epoch=len(history), history=history)
    state = TrainingState(**json.loads(archive.read(STATE)), history=history)
    numbers = (*state.sums.values(), state.seconds)
    counts = (state.epoch, state.step, state.steps)
    if not all(isinstance(number, int | float) for number in numbers) or not isinstance(state.precision, str):
        raise TypeError("a number of its state is none")
    if not all(type(count) is int and count >= 0 for count in counts):
        raise TypeError("its state does not count")
    if not TRAINING.fullmatch(state.training):  # it becomes part of a file's name
        raise ValueError("its training has no name that is one")
    return state


def _report_damage(path: Path, error: Exception) -> DamagedError:
    return DamagedError(
        f"this checkpoint is damaged: {error}",
        where=str(path),
        fix="copy it again, or delete it: a training goes on from the one before",
    )
