"""Train: epochs of steps, with checkpoints from which an interrupted training goes on."""

import json
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bodyposenet.common.data.batches import STRIDE, Drawing, Source, epoch_batches
from bodyposenet.common.data.samples import RecordSource
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.checkpoints import checkpoints_in, load_checkpoint, save_checkpoint
from bodyposenet.common.model.files import Card, save_model
from bodyposenet.common.model.optimizer import make_optimizer
from bodyposenet.common.model.progress import Progress
from bodyposenet.common.model.schedule import make_schedule
from bodyposenet.common.model.start import in_policy, starting_network
from bodyposenet.common.model.step import make_step
from bodyposenet.common.skeleton import Skeleton
from bodyposenet.common.spec.base import dump_yaml
from bodyposenet.common.spec.train import TrainSpec

log = logging.getLogger(__name__)

Epoch = dict[str, float]
AfterEpoch = Callable[[int, Any, Card], Epoch]


@dataclass(frozen=True)
class Training:
    """What came out of a training.

    Attributes:
        model: The file of the trained network.
        history: Means of an epoch's losses, its learning rate and speed, an entry an epoch.
        params: Parameters of the network.
    """

    model: Path
    history: list[Epoch]
    params: int


def train(
    spec: TrainSpec,
    results_dir: Path,
    *,
    source: Source | None = None,
    after_epoch: AfterEpoch | None = None,
) -> Training:
    """Train, or go on training, the network of a spec.

    Args:
        spec: What to do.
        results_dir: Gets ``<final_model_name>.keras``, the checkpoints, ``experiment_spec.yaml``, ``history.json`` and
            ``status.json``; checkpoints that are already there are resumed from.
        source: Where samples come from; the spec's records by default.
        after_epoch: Called with the number of epochs done, the network in float32 and its card; what it returns joins
            the epoch's history.

    Returns:
        The network's file, the curves and the size.

    Raises:
        UserError: The spec does not fit the data, or the loss is no longer a number.
    """
    results_dir = Path(results_dir)
    results_dir.mkdir(parents=True, exist_ok=True)
    skeleton = spec.dataloader.pose_config.skeleton()
    check_channels(spec, skeleton)
    check_built(spec)
    keras.utils.set_random_seed(spec.random_seed)
    if spec.deterministic:
        tf.config.experimental.enable_op_determinism()
    (results_dir / "experiment_spec.yaml").write_text(dump_yaml(spec))
    trainer = _Trainer(spec, results_dir, skeleton, source or RecordSource.of(spec, skeleton))
    with Progress(results_dir, epochs=spec.num_epoch, steps=trainer.steps, every=spec.log_every_n_secs) as progress:
        for epoch in range(len(trainer.history), spec.num_epoch):
            trainer.run_epoch(epoch, progress, after_epoch)
        return trainer.finish()


def check_channels(spec: TrainSpec, skeleton: Skeleton) -> None:
    """Hold the spec's channel counts against the skeleton.

    Raises:
        UserError: They disagree.
    """
    wanted = (skeleton.num_joints + 1, 2 * skeleton.num_limbs)
    if (spec.model.heat_channels, spec.model.paf_channels) != wanted:
        raise UserError(
            f"{spec.model.heat_channels} heatmaps and {spec.model.paf_channels} field channels do not fit skeleton "
            f"{skeleton.name!r}, which needs {wanted[0]} and {wanted[1]}",
            where="model.heat_channels, model.paf_channels",
            fix="set them to that, or name the pose config that was meant",
        )


def check_built(spec: TrainSpec) -> None:
    """Refuse what this release cannot do, rather than train something else; note what it leaves out.

    Raises:
        UserError: With the key, and what to set it to.
    """
    for wanted, where, fix in (
        (
            spec.finetuning_config.is_finetune_exp,
            "finetuning_config.is_finetune_exp",
            "give pretrained_weights instead",
        ),
    ):
        if wanted:
            raise UserError("is not built yet", where=where, fix=fix)
    if spec.dataloader.dataset_config.val_records_path:
        log.info("validation during training is not built yet: run `bpnet evaluate` on the result")


def card_of(spec: TrainSpec, skeleton: Skeleton) -> Card:
    """The card of a network trained by this spec."""
    loader = spec.dataloader
    return Card(
        skeleton=skeleton,
        stride=STRIDE,
        image_scale=loader.normalization_params.image_scale,
        image_offset=loader.normalization_params.image_offset,
        input_size=loader.image_config.image_dims.size,
        sigma=loader.label_processor_config.heatmap_gaussian_sigma,
    )


class _Trainer:
    """The state of a training: network, optimizer, schedule and what has been done."""

    def __init__(self, spec: TrainSpec, results_dir: Path, skeleton: Skeleton, source: Source) -> None:
        self.spec, self.results_dir, self.source = spec, results_dir, source
        self.card = card_of(spec, skeleton)
        self.steps = len(source) // spec.dataloader.batch_size
        if not self.steps:
            raise UserError(
                f"{len(source)} samples do not fill a batch of {spec.dataloader.batch_size}",
                where="dataloader.batch_size",
                fix="give more data or a smaller batch",
            )
        self.schedule = make_schedule(
            spec.optimizer.learning_rate_schedule, steps_per_epoch=self.steps, last_step=self.steps * spec.num_epoch
        )
        self.model = starting_network(spec, skeleton)
        self.optimizer = make_optimizer(spec.optimizer, self.model, stagewise=spec.use_stagewise_lr_multipliers)
        self.step = make_step(self.model, self.optimizer, spec.loss)
        self.history: list[Epoch] = []
        self._resume()

    def run_epoch(self, epoch: int, progress: Progress, after_epoch: AfterEpoch | None) -> None:
        """Train one epoch, note its means, and keep a checkpoint where the spec wants one."""
        begun = time.monotonic()
        noted: list[Epoch] = []
        for number, batch in enumerate(self._batches(epoch)):
            rate = self.schedule(epoch * self.steps + number)
            scalars = {name: float(value) for name, value in self.step(batch, rate).items()}
            self._check_finite(scalars["loss"], epoch, number)
            noted.append(scalars)
            progress.step(epoch, number, scalars["loss"], rate)
        seconds = time.monotonic() - begun
        means = {name: float(np.mean([scalars[name] for scalars in noted])) for name in noted[0]}
        images = len(noted) * self.spec.dataloader.batch_size
        means |= {"epoch": epoch + 1, "learning_rate": rate, "seconds": seconds, "images_per_second": images / seconds}
        if after_epoch:
            means |= after_epoch(epoch + 1, in_policy(self.model, "float32"), self.card)
        self.history.append(means)
        progress.epoch(means)
        self._write_history()
        if (epoch + 1) % self.spec.checkpoint_n_epoch == 0 or epoch + 1 == self.spec.num_epoch:
            self._checkpoint()

    def finish(self) -> Training:
        """Write the trained network."""
        path = self.results_dir / f"{self.spec.final_model_name}.keras"
        save_model(in_policy(self.model, "float32"), path, self.card)
        self._write_history()
        return Training(path, self.history, self.model.count_params())

    def _batches(self, epoch: int) -> Iterator[Any]:
        loader = self.spec.dataloader
        drawing = Drawing(
            skeleton=self.card.skeleton,
            size=self.card.input_size,
            sigma=self.card.sigma,
            paf_width=loader.label_processor_config.paf_ortho_dist_thresh,
            scale=self.card.image_scale,
            offset=self.card.image_offset,
        )
        return epoch_batches(
            self.source, drawing, batch_size=loader.batch_size, seed=self.spec.random_seed, epoch=epoch,
            threads=os.cpu_count() or 1,
        )  # fmt: skip

    def _check_finite(self, loss: float, epoch: int, number: int) -> None:
        if not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {number + 1} of {self.steps}",
                where=f"epoch {epoch + 1}",
                fix="lower the learning rate; the checkpoints so far are kept",
            )

    def _checkpoint(self) -> None:
        save_checkpoint(
            self.results_dir,
            len(self.history),
            in_policy(self.model, "float32"),
            self.optimizer,
            self.card,
            self.history,
            keep=self.spec.max_ckpt_to_keep,
        )

    def _resume(self) -> None:
        found = [(epoch, path) for epoch, path in checkpoints_in(self.results_dir) if epoch <= self.spec.num_epoch]
        if not found:
            return
        epoch, path = found[-1]
        model, state, history = load_checkpoint(path)
        ours, theirs = (self.model.weights, self.optimizer.variables), (model.weights, state)
        if [_shapes(part) for part in ours] != [_shapes(part) for part in theirs]:
            raise UserError(
                "this checkpoint is of another network or optimizer than the spec's",
                where=str(path),
                fix="give another results folder, or remove the checkpoints from this one",
            )
        self.history = history
        self.model.set_weights(model.get_weights())
        for variable, value in zip(self.optimizer.variables, state, strict=True):
            variable.assign(value)
        log.info("%s: going on after epoch %d of %d", path, epoch, self.spec.num_epoch)

    def _write_history(self) -> None:
        (self.results_dir / "history.json").write_text(json.dumps(self.history, indent=1))


def _shapes(arrays: Iterable[Any]) -> list[tuple[int, ...]]:
    return [tuple(array.shape) for array in arrays]
