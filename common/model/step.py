"""Step: one optimizer step on one batch, compiled."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from bodyposenet.common.data.batches import Batch
from bodyposenet.common.model.losses import pose_loss
from bodyposenet.common.spec.train import Loss

Step = Callable[[Batch, float], dict[str, Any]]


def make_loss(model: Any, loss: Loss) -> Callable[[Batch], Any]:
    """Build the function that measures ``model`` on a batch, as inference sees it, without regularisation."""

    @tf.function(jit_compile=False, autograph=False)
    def compiled(images: Any, heatmaps: Any, pafs: Any, mask: Any) -> Any:
        return pose_loss(model(images, training=False), heatmaps, pafs, mask, loss).total

    return lambda batch: compiled(*(tf.constant(part) for part in batch[:4]))


def make_step(model: Any, optimizer: Any, loss: Loss) -> Step:
    """Build the function that trains ``model`` on a batch.

    Keras 3's ``fit`` fails under ``MultiWorkerMirroredStrategy``, so the step is our own.

    Returns:
        A function of a batch and a learning rate, which updates the model and returns scalars: ``loss`` with
        regularisation, ``regularization``, and ``heatmap_loss_stageN`` and ``paf_loss_stageN``.
    """
    optimizer.build(model.trainable_variables)

    @tf.function(jit_compile=False)  # XLA is several times slower on CPUs
    def compiled(images: Any, heatmaps: Any, pafs: Any, mask: Any) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            losses = pose_loss(model(images, training=True), heatmaps, pafs, mask, loss)
            penalty = tf.add_n(model.losses) if model.losses else tf.constant(0.0)
            total = losses.total + penalty
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(total, variables), variables, strict=True))
        scalars = {"loss": total, "regularization": penalty}
        scalars |= {f"heatmap_loss_stage{n}": value for n, value in enumerate(losses.heatmaps, 1)}
        scalars |= {f"paf_loss_stage{n}": value for n, value in enumerate(losses.pafs, 1)}
        return scalars

    def step(batch: Batch, learning_rate: float) -> dict[str, Any]:
        optimizer.learning_rate = learning_rate
        return compiled(*(tf.constant(part) for part in batch[:4]))

    return step
