"""Trainer: a training's state, and what is done to it step by step and epoch by epoch."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bodyposenet.common.data.loading.batches import TrainingBatch
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.network.dtype_policy import convert_policy
from bodyposenet.common.model.training.checkpoints import (
    BEST,
    LATEST,
    NAME,
    Epoch,
    TrainingState,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from bodyposenet.common.model.training.finite_checks import check_batch_loss, check_weights
from bodyposenet.common.model.training.initial_network import starting_network, starting_teacher
from bodyposenet.common.model.training.lr_schedule import make_schedule, make_teacher_weights
from bodyposenet.common.model.training.optimizer import make_optimizer
from bodyposenet.common.model.training.own_checkpoints import OwnCheckpoints, name_training
from bodyposenet.common.model.training.plan import Plan, read_aps, stops_early
from bodyposenet.common.model.training.precision import PrecisionChoice
from bodyposenet.common.model.training.preemption import Interruption, StopAsked
from bodyposenet.common.model.training.progress import TrainingProgress
from bodyposenet.common.model.training.step import Scalars, make_step, with_loss_scale
from bodyposenet.common.model.training.strategy import ProcessGroup
from bodyposenet.common.model.training.tensorboard import Summaries
from bodyposenet.common.skeleton.card import Card

log = logging.getLogger(__name__)

Validate = Callable[[Any, Card], Epoch]
OnEpoch = Callable[[Sequence[Epoch]], None]
MINUTE = 60.0


@dataclass(frozen=True)
class Watchers:
    """Who is told of a training's steps and epochs, and who may end it.

    Attributes:
        progress: For people.
        summaries: For TensorBoard.
        on_epoch: Gets the entries of the history, as they come.
        interruption: Knows whether the training is to end.
    """

    progress: TrainingProgress
    summaries: Summaries
    on_epoch: OnEpoch
    interruption: Interruption


class _Taken(NamedTuple):
    """A step that may not be done yet: its batch, its learning rate and what it will have found."""

    batch: TrainingBatch
    rate: float
    found: Scalars


class Trainer:
    """Network, optimizer and schedule of a training, and how far it has come.

    Args:
        plan: What to do.
        results_dir: Where checkpoints go, and are resumed from.
        validate: Looks at the network, in float32, where the spec wants that; what it returns joins the history.
        group: The processes that train, of which only the chief reads and writes the folder, and validates.
        precision: What to compute in.
        ending: Of the names of the networks and checkpoints that are written.
        on_checkpoint: Called after each checkpoint.
    """

    def __init__(
        self, plan: Plan, results_dir: Path, *, validate: Validate | None, group: ProcessGroup,
        precision: PrecisionChoice, ending: str, on_checkpoint: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        spec = self.spec = plan.spec
        self.plan, self.results_dir, self.validate, self.group = plan, results_dir, validate, group
        self.precision, self.ending, self.on_checkpoint = precision, ending, on_checkpoint
        last = plan.steps * plan.epochs
        self.schedule = make_schedule(spec.optimizer.learning_rate_schedule, steps_per_epoch=plan.steps, last_step=last)
        self.shares = make_teacher_weights(spec.teaching, last)
        with group.scope():
            told = results_dir if self.chief else None
            self.model = starting_network(spec, plan.skeleton, told, policy=precision.policy)
            optimizer = make_optimizer(spec.optimizer, self.model, stagewise=spec.use_stagewise_lr_multipliers)
            self.optimizer = with_loss_scale(optimizer, self.model)
        self.twin = convert_policy(self.model, "float32")  # what is saved and validated: on one device, in 32 bits
        with group.scope():
            self.step = make_step(
                self.model, self.optimizer, spec.loss, strategy=group.strategy, jit_compile=spec.jit_compile,
                teacher=starting_teacher(plan, precision.policy),
            )  # fmt: skip
        self.state = TrainingState(
            epoch=plan.first, steps=plan.steps, precision=precision.name, training=name_training()
        )
        self.own: OwnCheckpoints | None = None  # of the chief, once it has looked what is there
        self.saved = time.monotonic()
        self.patience = MINUTE * (spec.checkpoint_n_minutes or math.inf)  # seconds between checkpoints in an epoch

    @property
    def chief(self) -> bool:
        """Whether this process writes files."""
        return self.group.cluster.chief

    def resume(self) -> None:
        """Go on from the newest whole checkpoint; a fine-tuning that has none yet begins with the spec's."""
        if self.chief:
            self._resume()
            self.own = OwnCheckpoints(
                self.results_dir, self.state, most=self.spec.max_ckpt_to_keep, epochs=self.plan.epochs
            )
        self.state = TrainingState(**self.group.broadcast(vars(self.state)))
        self.group.sync([*self.model.variables, *self.optimizer.variables])

    def _resume(self) -> None:
        tuning = self.spec.finetuning_config
        found = newest_checkpoint(self.results_dir, self.plan.epochs)
        if found:
            path, checkpoint = found
            self._restore(path, checkpoint.model, checkpoint.optimizer)
            self.state = replace(checkpoint.state, precision=self.precision.name)
            self._fit_steps(path)
            log.info("%s: going on after epoch %s of %d", path, self.where(), self.plan.epochs)
        elif tuning.is_finetune_exp:
            path = Path(str(tuning.checkpoint_path))
            model, optimizer, _ = load_checkpoint(path)
            self._restore(path, model, optimizer)
            log.info("%s: fine-tuning from epoch %d to %d", path, self.plan.first, self.plan.epochs)

    def run_epoch(self, watchers: Watchers) -> None:
        """Train what is left of an epoch, validate, and keep a checkpoint where the spec wants one."""
        self._steps(watchers)
        means = self._means()
        if self._is_validated() and self.validate and self.chief:
            with watchers.interruption.at_once():
                means |= self.validate(self.plain(), self.plan.card)
        means = self.group.broadcast(means)
        self.state.close(means)
        watchers.progress.epoch(means)
        watchers.summaries.epoch(self.state.epoch * self.plan.steps, means)
        watchers.on_epoch([means])
        self._keep(means)

    def stops_early(self) -> bool:
        """Whether the spec's early stopping ends the training here."""
        return stops_early(self.state.history, self.spec.early_stopping)

    def save_latest(self) -> None:
        """Keep a checkpoint within the epoch."""
        if self.state.step:
            self._checkpoint(self.file(LATEST))
            self._tell_of_checkpoint()
        self.saved = time.monotonic()

    def save_epoch(self) -> None:
        """Keep a checkpoint of the epoch that is done, and drop this training's oldest."""
        self._checkpoint(self.file(NAME.format(self.state.epoch)))
        self._tell_of_checkpoint()
        self.saved = time.monotonic()

    def file(self, name: str) -> Path:
        """A model file in the results folder, with the ending that its content asks for."""
        return (self.results_dir / name).with_suffix(self.ending)

    def plain(self) -> Any:
        """The network as it is now, in float32 and without its strategy; the same object at every call."""
        self.twin.set_weights(self.model.get_weights())
        return self.twin

    def _steps(self, watchers: Watchers) -> None:
        """Train what is left of an epoch; a step is looked at when the next is under way, so that no device waits."""
        state, epoch = self.state, self.state.epoch
        clock = time.monotonic() - state.seconds  # when the epoch would have begun
        late: _Taken | None = None
        for number, batch in enumerate(self.plan.batches(epoch, first=state.step), state.step):
            place = epoch * self.plan.steps + number
            rate, share = self.schedule(place), self.shares(place)
            found = self.step(batch, rate, leave=watchers.interruption.asked, share=share)
            before, late = late, _Taken(batch, rate, found)
            ends = self._note(before, watchers, clock)
            if ends or time.monotonic() - self.saved > self.patience:
                ends |= self._note(late, watchers, clock)
                late = None
                if ends:
                    raise StopAsked
                self.save_latest()
        if self._note(late, watchers, clock):
            raise StopAsked

    def _note(self, taken: "_Taken | None", watchers: Watchers, clock: float) -> bool:
        """Note a step that was taken; whether the training is to end, in which all processes agree."""
        asked = watchers.interruption.asked and not self.group.cluster.shared
        if taken is None:
            return asked
        state, scalars = self.state, taken.found.read()
        epoch, number = state.epoch, state.step
        check_batch_loss(scalars["loss"], taken.batch, epoch=epoch, step=number, steps=self.plan.steps)
        state.add(scalars)
        state.seconds = time.monotonic() - clock
        watchers.progress.step(epoch, number, scalars["loss"], taken.rate)
        watchers.summaries.step(epoch * self.plan.steps + number + 1, scalars | {"learning_rate": taken.rate})
        return asked or taken.found.asked

    def _means(self) -> Epoch:
        """The entry in the history of an epoch whose steps are done."""
        state, plan = self.state, self.plan
        last = (state.epoch + 1) * plan.steps - 1
        means = {name: total / plan.steps for name, total in state.sums.items()}
        means |= {"distillation_weight": self.shares(last)} if self.spec.teaching else {}
        return means | {
            "epoch": state.epoch + 1,
            "learning_rate": self.schedule(last),
            "seconds": state.seconds,
            "images_per_second": plan.steps * plan.batch_size / state.seconds,
        }

    def _is_validated(self) -> bool:
        number = self.state.epoch + 1
        return number % self.spec.validation_every_n_epoch == 0 or number == self.plan.epochs

    def _keep(self, means: Epoch) -> None:
        """The files that an epoch leaves."""
        if "val_ap" in means and means["val_ap"] >= max(read_aps(self.state.history)) and self.chief:
            save_model(self.plain(), self.file(BEST), self.plan.card)
        number = self.state.epoch
        if number % self.spec.checkpoint_n_epoch == 0 or number == self.plan.epochs or self.stops_early():
            self.save_epoch()

    def _checkpoint(self, path: Path) -> None:
        model, optimizer = self.plain(), [np.asarray(variable) for variable in self.optimizer.variables]
        check_weights(model, epoch=self.state.epoch, step=self.state.step)
        if self.chief:
            save_checkpoint(path, model, optimizer, self.plan.card, self.state)
        if self.own:
            self.own.add(path, self.state.place)

    def _tell_of_checkpoint(self) -> None:
        if self.on_checkpoint and self.chief:
            self.on_checkpoint()

    def _restore(self, path: Path, model: Any, optimizer: list[np.ndarray]) -> None:
        ours, theirs = (self.model.weights, self.optimizer.variables), (model.weights, optimizer)
        if [_shapes(part) for part in ours] != [_shapes(part) for part in theirs]:
            raise UserError(
                "this checkpoint is of another network or optimizer than the spec's",
                where=str(path),
                fix="give another results folder, or remove the checkpoints from this one",
            )
        self.model.set_weights(model.get_weights())
        for variable, value in zip(self.optimizer.variables, optimizer, strict=True):
            variable.assign(value)

    def _fit_steps(self, path: Path) -> None:
        """Where an epoch has more or fewer steps than it had, go on at the same share of it."""
        state = self.state
        if state.step and state.steps != self.plan.steps:
            share = state.step / state.steps
            moved = min(round(share * self.plan.steps), self.plan.steps - 1)
            log.warning(
                "%s: an epoch had %d steps and now has %d: going on at step %d of it",
                path, state.steps, self.plan.steps, moved,
            )  # fmt: skip
            scale = moved / state.step
            state.sums = {name: value * scale for name, value in state.sums.items()}
            state.seconds, state.step = state.seconds * scale, moved
        state.steps = self.plan.steps

    def where(self) -> str:
        """How far it has come: ``3``, or ``3, step 17`` within the fourth epoch."""
        within = f", step {self.state.step}" if self.state.step else ""
        return f"{self.state.epoch}{within}"


def _shapes(arrays: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]
