"""Step: one optimizer step on one batch, compiled, on one device or on many."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from bodyposenet.common.data.loading.batches import TrainingBatch
from bodyposenet.common.model.network.losses import StageLosses, pose_loss
from bodyposenet.common.model.network.teacher import Teacher
from bodyposenet.common.spec.train import Loss

FLOATS = 4  # parts of a batch that a step computes with
COMPARED = ("task_loss", "distillation_loss")
SCALED = "float16"  # the precision whose gradients vanish unless the loss is scaled up


def make_loss(model: Any, loss: Loss) -> Callable[[TrainingBatch], Any]:
    """Build the function that measures ``model`` on a batch, as inference sees it, without regularisation."""

    @tf.function(jit_compile=False, autograph=False)
    def compute_loss(images: Any, heatmaps: Any, pafs: Any, mask: Any) -> Any:
        return pose_loss(model(images, training=False), heatmaps, pafs, mask, loss).total

    return lambda batch: compute_loss(*(tf.constant(part) for part in batch[:FLOATS]))


@dataclass(frozen=True)
class Scalars:
    """What a step found, where it was computed: a GPU may still be at work on it.

    Attributes:
        names: Of the losses.
        tensor: ``(S + 1,)`` the losses, then the share of processes that ask for an end.
    """

    names: tuple[str, ...]
    tensor: Any

    @cached_property
    def _values(self) -> list[float]:
        values: list[float] = self.tensor.numpy().tolist()
        return values

    def read(self) -> dict[str, float]:
        """The losses by name, once the step is done."""
        return dict(zip(self.names, self._values, strict=False))

    @property
    def asked(self) -> bool:
        """Whether any process asks for an end, once the step is done."""
        return self._values[-1] > 0


Step = Callable[..., Scalars]


def make_step(
    model: Any, optimizer: Any, loss: Loss, *, strategy: Any = None, jit_compile: bool | None = None,
    teacher: Teacher | None = None,
) -> Step:  # fmt: skip
    """Build the function that trains ``model`` on a batch.

    Keras 3's ``fit`` fails under ``MultiWorkerMirroredStrategy``, so the step is our own. Each replica computes the
    loss of its part of the batch; the gradients' mean is applied everywhere, and batch normalization sees all parts.

    Args:
        model: The network; made in the strategy's scope, as the optimizer is.
        optimizer: Takes a float16 network's gradients only if it is a ``keras.optimizers.LossScaleOptimizer``.
        loss: What is minimised.
        strategy: A ``tf.distribute.Strategy``.
        jit_compile: Compile with XLA, which on CPUs is several times slower.
        teacher: Draws further targets of the batch, see :func:`mix_losses`; made in the strategy's scope.

    Returns:
        A function of the part of a batch that this process trains on, a learning rate, the teacher's weight and
        ``leave``, whether this process asks for an end. It updates the model and returns :class:`Scalars`, means over
        the replicas: ``loss`` with regularisation, ``regularization``, and ``heatmap_loss_stageN`` and
        ``paf_loss_stageN``, which are the labels'; with a teacher also ``task_loss``, their sum, and
        ``distillation_loss``, both before they are weighed.
    """
    strategy = strategy or tf.distribute.get_strategy()
    replicas = strategy.num_replicas_in_sync
    if replicas > 1:
        _see_all_replicas(model)
    optimizer.build(model.trainable_variables)
    names = _names(len(model.outputs) // 2, taught=teacher is not None)

    def part(images: Any, heatmaps: Any, pafs: Any, mask: Any, leave: Any, share: Any) -> Any:
        targets = teacher and teacher.draw(images)
        with tf.GradientTape() as tape:
            outputs = model(images, training=True)
            losses = pose_loss(outputs, heatmaps, pafs, mask, loss)
            minimised, compared = mix_losses(losses, outputs, targets, share, loss)
            penalty = tf.add_n(model.losses) if model.losses else tf.constant(0.0)
            total = minimised + penalty
            scaled = optimizer.scale_loss(total / replicas)  # gradients are summed over the replicas
        variables = model.trainable_variables
        optimizer.apply(_agree(tape.gradient(scaled, variables), optimizer, replicas), variables)
        return tf.stack([total, penalty, *losses.heatmaps, *losses.pafs, *compared, leave]) / replicas  # one transfer

    @tf.function(jit_compile=bool(jit_compile), autograph=False)
    def run_step(batch: Sequence[Any], learning_rate: Any, leave: Any, share: Any) -> Any:
        optimizer.learning_rate = learning_rate
        found = strategy.run(part, args=(*batch, leave, share))
        return strategy.reduce(tf.distribute.ReduceOp.SUM, found, axis=None)

    def step(batch: TrainingBatch, learning_rate: float, *, leave: bool = False, share: float = 0.0) -> Scalars:
        numbers = np.float32(learning_rate), np.float32(leave), np.float32(share)
        return Scalars(names, run_step(_dealt(batch, strategy), *map(tf.constant, numbers)))

    return step


def mix_losses(losses: StageLosses, outputs: list[Any], targets: Any, share: Any, loss: Loss) -> tuple[Any, list[Any]]:
    """Mix what holds the student to the labels and to its teacher: ``(1 - w) task + w distillation``.

    The distillation is the task's own loss with the teacher's maps in the labels' place, in all cells: the teacher also
    draws the people that nobody labelled, for whom the labels' mask is (Zhang et al., CVPR 2019, section 3.2).

    Args:
        losses: Of the student's maps, held to the labels.
        outputs: The student's maps, as :func:`pose_loss` takes them.
        targets: The teacher's heatmaps and fields; None leaves the task's loss as it is.
        share: w, a scalar.
        loss: How errors are measured.

    Returns:
        What is minimised, without regularisation, and the scalars that only a teacher brings: task and distillation.
    """
    if targets is None:
        return losses.total, []
    heatmaps, pafs = targets
    taught = pose_loss(outputs, heatmaps, pafs, 1.0, loss).total
    return (1.0 - share) * losses.total + share * taught, [losses.total, taught]


def with_loss_scale(optimizer: Any, model: Any) -> Any:
    """The optimizer as the network's precision wants it: one that scales the loss where it computes in float16."""
    halves = any(getattr(layer, "compute_dtype", "") == SCALED for layer in model.layers)
    return keras.optimizers.LossScaleOptimizer(optimizer) if halves else optimizer


def _see_all_replicas(model: Any) -> None:
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _agree(gradients: list[Any], optimizer: Any, replicas: int) -> list[Any]:
    """Gradients that are no numbers anywhere are so everywhere: then no replica applies them."""
    if replicas == 1 or not isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return gradients
    sound = tf.reduce_all([tf.reduce_all(tf.math.is_finite(part)) for part in gradients if part is not None])
    context = tf.distribute.get_replica_context()
    broken = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.where(sound, 0.0, 1.0))
    added = tf.where(broken > 0, np.float32(np.inf), np.float32(0))
    return [None if part is None else part + added for part in gradients]


def _names(stages: int, *, taught: bool) -> tuple[str, ...]:
    numbers = range(1, stages + 1)
    heatmaps, pafs = ([f"{kind}_loss_stage{n}" for n in numbers] for kind in ("heatmap", "paf"))
    return ("loss", "regularization", *heatmaps, *pafs, *(COMPARED if taught else ()))


def _dealt(batch: TrainingBatch, strategy: Any) -> tuple[Any, ...]:
    """The batch as tensors, dealt out among the devices of this process."""
    parts = batch[:FLOATS]
    local = len(strategy.extended.worker_devices) if strategy.num_replicas_in_sync > 1 else 1
    if local == 1:
        return tuple(tf.constant(part) for part in parts)
    size = len(batch.images) // local

    def own(part: np.ndarray) -> Any:
        def of(context: Any) -> Any:
            place = context.replica_id_in_sync_group % local * size
            return tf.constant(part[place : place + size])

        return strategy.experimental_distribute_values_from_function(of)

    return tuple(own(part) for part in parts)
