"""Start-weights step: the network of a registry that a training starts from, fetched, and what is recorded of it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyposenet.common.model.files.bundled import is_registered
from bodyposenet.common.spec.train import EarlyStopping, TrainSpec
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.json_files import read_json
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tracking.mlflow_store import log
from bodyposenet.common.tracking.start_weights import StartWeights, choose_start, describe_start, fetch_base

if TYPE_CHECKING:
    from bodyposenet.common.tracking import TrackedRun

NOTE, NETWORK = "start_weights.json", "start_weights.keras"  # files beside a training's checkpoints
WARM_STOPPING = EarlyStopping(patience=3)  # of a training from a registered network whose spec leaves it open
START_TAG = "bodyposenet.start"


@dataclass(frozen=True)
class Begin:
    """A training's spec with its start weights at hand.

    Attributes:
        spec: With a file, or weights of the package, as ``pretrained_weights``.
        start: What the registry told; None where none was asked.
    """

    spec: TrainSpec
    start: StartWeights | None = None

    def log(self, run: "TrackedRun") -> None:
        """Log to a training's run what it started from: a parameter, a tag, and the version's model as an input."""
        if self.start is None:
            return
        run.log_params({"start": self.start.weights, "start_reason": self.start.reason}, prefix="training")
        run.log_tags({START_TAG: self.start.weights or "random"})
        run.log_model_input(self.start.model_id)


@contextmanager
def take_start(spec: TrainSpec, folder: Path | None = None) -> Iterator[Begin]:
    """A spec whose start weights are on the disk for as long as the block runs.

    Args:
        spec: Whose ``pretrained_weights`` may be ``models:/NAME@ALIAS``, ``models:/NAME/VERSION`` or ``auto``.
        folder: Of the training's checkpoints: keeps what was taken, so that a training that goes on, goes on with
            that, whoever is the champion by then and whether or not the registry answers. None keeps nothing.

    Raises:
        UserError: There is no such version, or it does not fit the spec.
        PassingError: The registry does not answer.
    """
    wish = str(spec.pretrained_weights or "")
    if not is_registered(wish):
        yield Begin(spec)
        return
    with scratch_folder() as aside:
        place = folder or Path(aside)
        start = recall_start(place, wish) or _choose(place, wish, spec)
        log.info("%s", describe_start(start))
        yield Begin(_fill(spec, start, place), start)


def recall_start(folder: Path, wish: str) -> StartWeights | None:
    """What an earlier attempt took; None where there was none, or where something else was asked for.

    Raises:
        UserError: The note of it is none.
    """
    if not (folder / NOTE).is_file():
        return None
    fix = "give another folder with -r, or remove the file"
    asked, start = read_json(folder / NOTE, _take_note, what="note of what a training began with", fix=fix)
    there = not is_registered(start.weights) or (folder / NETWORK).is_file()
    return start if asked == wish and there else None


def _take_note(data: Any) -> tuple[str, StartWeights]:
    start = StartWeights(**data["start"])
    if not all(isinstance(text, str) for text in (data["wish"], start.weights, start.reason)):
        raise TypeError("a text is wanted")
    return data["wish"], start


def _choose(folder: Path, wish: str, spec: TrainSpec) -> StartWeights:
    """Ask the registry; the network is in the folder before the note that tells of it."""
    start = choose_start(wish, spec)
    if is_registered(start.weights):
        with scratch_folder() as aside, whole_file(folder / NETWORK) as file:
            file.write(fetch_base(start, Path(aside)).read_bytes())
    with whole_file(folder / NOTE) as file:
        file.write(json.dumps({"wish": wish, "start": asdict(start)}).encode())
    return start


def _fill(spec: TrainSpec, start: StartWeights, folder: Path) -> TrainSpec:
    """The spec with the file; a training from a registered network ends early, unless the spec has a word on that."""
    if not is_registered(start.weights):
        return spec.model_copy(update={"pretrained_weights": start.weights or None})
    changes: dict[str, object] = {"pretrained_weights": str(folder / NETWORK)}
    if "early_stopping" not in spec.model_fields_set and spec.dataloader.dataset_config.val_records_path:
        log.info("ends early after %d validations without a better AP: early_stopping", WARM_STOPPING.patience)
        changes["early_stopping"] = WARM_STOPPING
    return spec.model_copy(update=changes)
