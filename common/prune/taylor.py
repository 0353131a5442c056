"""Taylor: how much the loss would change without a filter, to first order, on training data."""

from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

import numpy as np
import tensorflow as tf

from bodyposenet.common.data.loading.batches import TrainingBatch
from bodyposenet.common.model.channels.channel_graph import ChannelGraph
from bodyposenet.common.model.channels.criteria import Criterion, Scores, Votes, columns
from bodyposenet.common.model.network.losses import pose_loss
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.spec.train import Loss, TrainSpec

VIEWS = 8  # batches that layers are refitted to
FLOATS = 4  # parts of a batch that the loss is computed from


@dataclass(frozen=True)
class TrainingData:
    """What a network was trained on.

    Attributes:
        batches: Images, targets and masks, as nothing has changed them.
        loss: What was minimised.
        views: More pictures ``(B, H, W, 3)``, as the training's augmentation makes them.
    """

    batches: tuple[TrainingBatch, ...]
    loss: Loss = field(default_factory=Loss)
    views: tuple[np.ndarray, ...] = ()

    @classmethod
    def read(cls, spec: TrainSpec, count: int, *, views: int = 0) -> "TrainingData":
        """Read the first batches of a training, fewer if an epoch has no more.

        Args:
            spec: The training's.
            count: Of the batches.
            views: Augmented batches beside them, of several epochs if need be.

        Raises:
            UserError: The spec does not fit its data.
        """
        plain = {"augmentation_config": spec.dataloader.augmentation_config.switch_off()}
        loader = spec.dataloader.model_copy(update=plain)
        plan = make_plan(spec.model_copy(update={"dataloader": loader, "pretrained_weights": None}))
        varied = make_plan(spec.model_copy(update={"pretrained_weights": None}))
        epochs = chain.from_iterable(varied.batches(epoch, first=0) for epoch in range(views))
        seen = tuple(batch.images.copy() for batch in islice(epochs, views))
        return cls(tuple(islice(plan.batches(0, first=0), count)), spec.loss, seen)


def taylor(model: Any, data: TrainingData) -> Criterion:
    """Make a criterion: the root of the mean square, over batches, of what the loss would lose with a filter.

    To first order that is the sum over a filter's weights and its bias of weight times gradient, which equals the sum
    over its outputs of output times gradient. Molchanov et al., "Importance Estimation for Neural Network Pruning"
    (CVPR 2019), equation 8; the network is seen as at inference, with the statistics that batch normalization keeps.

    Args:
        model: The network; its outputs are those that the loss takes.
        data: What it was trained on.
    """

    def criterion(graph: ChannelGraph) -> Votes:
        layers = graph.producers | graph.depthwise
        squares: dict[str, Scores] = {}
        for batch in data.batches:
            for path, change in _changes(model, layers, batch, data.loss).items():
                squares[path] = squares.get(path, np.zeros(len(change))) + change**2
        return {path: np.sqrt(total / len(data.batches)) for path, total in squares.items()}

    return criterion


def _changes(model: Any, layers: dict[str, Any], batch: TrainingBatch, loss: Loss) -> dict[str, Scores]:
    """Estimate for each layer ``(F,)`` by how much the batch's loss would change without each filter."""
    images, heatmaps, pafs, mask = (tf.constant(part) for part in batch[:FLOATS])
    pairs = {path: (layer.kernel, layer.bias) for path, layer in layers.items()}
    weights = {path: [variable for variable in pair if variable is not None] for path, pair in pairs.items()}
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([variable.value for own in weights.values() for variable in own])
        total = pose_loss(model(images, training=False), heatmaps, pafs, mask, loss).total
    slopes = tape.gradient(total, {path: [variable.value for variable in own] for path, own in weights.items()})
    return {
        path: sum((_by_filter(layer, *pair) for pair in zip(weights[path], slopes[path], strict=True)), np.zeros(()))
        for path, layer in layers.items()
    }


def _by_filter(layer: Any, variable: Any, slope: Any) -> Scores:
    """Sum weight times gradient over each filter; the gradient is None where the loss does not depend on it."""
    values = np.asarray(variable).astype(np.float64)
    total: Scores = columns(layer, values * (0.0 if slope is None else np.asarray(slope))).sum(axis=0)
    return total
