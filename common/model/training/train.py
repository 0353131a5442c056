"""Train: epochs of steps, with checkpoints from which an interrupted training goes on."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import tensorflow as tf

from bodyposenet.common.data.loading.batches import SampleSource
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.training.checkpoints import Epoch, sweep
from bodyposenet.common.model.training.cluster import ALONE, TrainingCluster
from bodyposenet.common.model.training.first_batch import write_first_batch
from bodyposenet.common.model.training.initial_network import starting_precision
from bodyposenet.common.model.training.plan import Plan, make_card, make_plan
from bodyposenet.common.model.training.precision import PRECISION, PrecisionChoice
from bodyposenet.common.model.training.preemption import Interruption, StopAsked, StoppedError
from bodyposenet.common.model.training.progress import Silence, TrainingProgress
from bodyposenet.common.model.training.strategy import LostWorkerError, ProcessGroup, form_group
from bodyposenet.common.model.training.tensorboard import Summaries
from bodyposenet.common.model.training.trainer import OnEpoch, Trainer, Validate, Watchers
from bodyposenet.common.spec.base import dump_yaml
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.model_key import VARIABLE, key_in_use

__all__ = ["Training", "make_card", "train"]

log = logging.getLogger(__name__)

Chosen = Callable[[PrecisionChoice], None]


@dataclass(frozen=True)
class Training:
    """What came out of a training.

    Attributes:
        model: The file of the trained network.
        history: Means of an epoch's losses, its learning rate and speed, and what validation found, an entry an epoch.
        params: Parameters of the network.
        precision: What it was trained in, and why.
    """

    model: Path
    history: list[Epoch]
    params: int
    precision: PrecisionChoice


def train(
    spec: TrainSpec,
    results_dir: Path,
    *,
    source: SampleSource | None = None,
    validate: Validate | None = None,
    on_epoch: OnEpoch | None = None,
    chosen: Chosen | None = None,
    kept: str = "",
    cluster: TrainingCluster = ALONE,
    ending: str = ".keras",
    on_checkpoint: Callable[[], None] | None = None,
) -> Training:
    """Train, or go on training, the network of a spec.

    Args:
        spec: What to do.
        results_dir: Gets ``<final_model_name><ending>``, the checkpoints, ``experiment_spec.yaml``, ``history.json``,
            ``precision.json``, ``status.json``, ``first_batch.png`` and ``events/``; checkpoints that are there are
            resumed from.
        source: Where samples come from; the spec's records by default.
        validate: Called with the network in float32 and its card every ``validation_every_n_epoch``; what it returns
            joins the epoch's history. By its ``val_ap`` the best network is kept and training ends early.
        on_epoch: Called with entries of the history: first with those of earlier runs, then with each new one.
        chosen: Called with the precision, before the first step.
        kept: The precision of earlier trainings that this is one with, such as the rounds of a pruning.
        cluster: The processes and devices that train; only the chief's process writes files, validates and tells.
        ending: Of the names of all model files that are written, ``.keras`` or ``.tlt``.
        on_checkpoint: Called after each checkpoint, when its file is there.

    Returns:
        The network's file, the curves and the size.

    Raises:
        UserError: The spec does not fit the data, or the loss is no longer a number.
        StoppedError: SIGTERM came; the same call goes on at the step.
        LostWorkerError: Another process is gone; the same call in all goes on from the newest checkpoint.

    Examples:
        >>> spec = bodyposenet.load_spec("train.yaml", bodyposenet.TrainSpec)
        >>> trained = bodyposenet.train(spec, Path("results"))
        >>> trained.model.as_posix(), trained.params
        ('results/bpnet_model.keras', 1834794)
    """
    results_dir = Path(results_dir)
    if key_in_use() is None and spec.key:
        log.warning("the spec's key is not in use: model files are written open; set %s to encrypt them", VARIABLE)
    plan = make_plan(spec, source, cluster=cluster)
    if cluster.chief:
        results_dir.mkdir(parents=True, exist_ok=True)
        sweep(results_dir)
        _write(results_dir / "experiment_spec.yaml", dump_yaml(spec))
    trainer = None
    with Interruption() as interruption:
        try:
            with interruption.at_once():
                group = form_group(cluster)
            with group.watch():
                with interruption.at_once():
                    _seed(spec)
                    precision = _agree(plan, results_dir, group, kept)
                    trainer = Trainer(
                        plan, results_dir, validate=validate, group=group, precision=precision, ending=ending,
                        on_checkpoint=on_checkpoint,
                    )  # fmt: skip
                    trainer.resume()
                    if chosen and cluster.chief:
                        chosen(precision)
                return _run(trainer, interruption, on_epoch if on_epoch and cluster.chief else _nobody)
        except StopAsked:
            raise _stop(trainer, results_dir) from None
        except LostWorkerError:
            if interruption.asked:  # all were told to end, and another was faster: this step is not whole
                raise StoppedError("stopped", where=str(results_dir), fix="run it again to go on") from None
            raise


def _seed(spec: TrainSpec) -> None:
    keras.utils.set_random_seed(spec.random_seed)
    if spec.deterministic:
        tf.config.experimental.enable_op_determinism()


def _agree(plan: Plan, folder: Path, group: ProcessGroup, kept: str) -> PrecisionChoice:
    """Choose the precision; the chief, which has the checkpoints, chooses for all, and tells."""
    own = starting_precision(plan, folder, kept=kept) if group.cluster.chief else None
    choice = PrecisionChoice(**group.broadcast(own and asdict(own)))
    if group.cluster.chief:
        log.log(logging.WARNING if choice.is_surprising else logging.INFO, "precision %s", choice)
        _write(folder / PRECISION, json.dumps(asdict(choice), indent=1))
    return choice


def _run(trainer: Trainer, interruption: Interruption, on_epoch: OnEpoch) -> Training:
    """Train all epochs that are left."""
    plan, spec, folder, state = trainer.plan, trainer.spec, trainer.results_dir, trainer.state
    begun = state.epoch * plan.steps + state.step
    if trainer.chief:
        write_first_batch(plan, folder)
    with (
        _open_progress(trainer) as progress,
        Summaries(folder, every=spec.summary_every_n_steps if trainer.chief else 0, begun=begun) as summaries,
    ):
        if state.history:
            on_epoch(list(state.history))
        watchers = Watchers(progress, summaries, on_epoch, interruption)
        while state.epoch < plan.epochs and not trainer.stops_early():
            trainer.run_epoch(watchers)
            _write_history(trainer)
        return _finish(trainer)


def _open_progress(trainer: Trainer) -> TrainingProgress:
    told_how_far = TrainingProgress if trainer.chief else Silence
    return told_how_far(
        trainer.results_dir, epochs=trainer.plan.epochs, steps=trainer.plan.steps,
        every=trainer.spec.log_every_n_secs, precision=trainer.precision.name,
    )  # fmt: skip


def _finish(trainer: Trainer) -> Training:
    """Write the trained network; nobody leaves before it is there."""
    if trainer.state.epoch < trainer.plan.epochs:
        log.info("ends after epoch %d of %d: AP no longer gets better", trainer.state.epoch, trainer.plan.epochs)
    path = trainer.results_dir / f"{trainer.spec.final_model_name}{trainer.ending}"
    if trainer.chief:
        save_model(trainer.plain(), path, trainer.plan.card)
    _write_history(trainer)
    trainer.group.wait()
    return Training(path, trainer.state.history, trainer.model.count_params(), trainer.precision)


def _write_history(trainer: Trainer) -> None:
    if trainer.chief:
        _write(trainer.results_dir / "history.json", json.dumps(trainer.state.history, indent=1))


def _stop(trainer: Trainer | None, folder: Path) -> StoppedError:
    """Save what was done, and return what to tell."""
    if trainer is None:
        return StoppedError("stopped before the first step", where=str(folder), fix="run it again")
    trainer.save_latest()
    return StoppedError(f"stopped after epoch {trainer.where()}", where=str(folder), fix="run it again to go on there")


def _write(path: Path, text: str) -> None:
    with whole_file(path) as file:
        file.write(text.encode())


def _nobody(entries: Sequence[Epoch]) -> None:
    """Nobody is told."""
