"""Own checkpoints: which of those in a results folder are this training's, and how many of these stay."""

import logging
import os
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.checkpoints import (
    LATEST,
    UNNAMED,
    DamagedError,
    TrainingState,
    checkpoints_in,
    latest_in,
    read_state,
)
from bodyposenet.common.storage.files import rename_file

log = logging.getLogger(__name__)

PLAIN = Path(LATEST).stem
Place = tuple[int, int]  # epochs and steps


def name_training() -> str:
    """Make the name of a training that begins: 16 hexadecimal digits, and no other's."""
    return os.urandom(8).hex()


class OwnCheckpoints:
    """The checkpoints of a training in its results folder, of which the newest stay.

    Its own are those that it has written, and the runs that it goes on from, up to where it goes on. Others lie beside
    them where it began anew, as they are of more epochs than it is to have: they stay, and do not count. One within an
    epoch lies where this training will want to write, and is set aside; one that is torn goes with the next.

    Args:
        folder: The results folder, which nobody else works in.
        state: Where the training begins or goes on.
        most: So many stay.
        epochs: That the training is to have.
    """

    def __init__(self, folder: Path, state: TrainingState, *, most: int, epochs: int) -> None:
        self.most = most
        found = {path: told for _, path in checkpoints_in(folder) if (told := _read(path))}
        within = {path: told for path in latest_in(folder) if (told := _read(path))}
        self._epochs = {path: told.place for path, told in found.items() if _is_own(told, state)}
        self._within = {path: told.place for path, told in within.items() if _is_own(told, state)}
        self._within |= {path: (0, 0) for path in latest_in(folder) if path.stem == PLAIN and _is_torn(path)}
        _tell_others(folder, [path for path in found.keys() - self._epochs.keys() if found[path].epoch > epochs
                              or found[path].epoch <= state.epoch])  # fmt: skip
        for path in within.keys() - self._within.keys():
            _set_aside(path, within[path].training)
        self._drop()

    def add(self, path: Path, place: Place) -> None:
        """Note that a checkpoint was written, of an epoch or within one, and remove those that are not to stay.

        Args:
            path: Its file.
            place: Epochs that are done, and steps of the next.
        """
        (self._within if place[1] else self._epochs)[path] = place
        self._drop()

    def _drop(self) -> None:
        """Remove all but the newest of epochs, and those within an epoch that are older than any other."""
        in_order = sorted(self._epochs, key=self._epochs.__getitem__)
        for old in in_order[: -self.most]:
            del self._epochs[old]
            old.unlink(missing_ok=True)
        newest = max([*self._epochs.values(), *self._within.values()], default=(0, 0))
        for old in [path for path, place in self._within.items() if place < newest]:
            del self._within[old]
            old.unlink(missing_ok=True)


def _read(path: Path) -> TrainingState | None:
    """Read whose a checkpoint is; None if it does not tell: it is torn, or encrypted with another key."""
    try:
        return read_state(path)
    except UserError:
        return None


def _is_own(found: TrainingState, state: TrainingState) -> bool:
    return found.training == state.training and found.place <= state.place


def _is_torn(path: Path) -> bool:
    try:
        read_state(path)
    except UserError as error:
        return isinstance(error, DamagedError)
    return False


def _tell_others(folder: Path, others: list[Path]) -> None:
    if others:
        names = ", ".join(sorted(path.name for path in others))
        log.warning("%s: not of this training: %s; they stay, and max_ckpt_to_keep does not count them", folder, names)


def _set_aside(path: Path, training: str) -> None:
    """Give another's checkpoint within an epoch a name that has its training's, under which that one finds it."""
    rename_file(path, f"{PLAIN}-{training or UNNAMED}{path.suffix}")
