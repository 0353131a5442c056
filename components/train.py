"""train: fit a network to a dataset; from a pruned network this is the retraining."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def train(
    dataset: dsl.Input[artifacts.PoseDataset],
    spec: dict,
    model: dsl.Output[artifacts.PoseModel],
    metrics: dsl.Output[dsl.Metrics],
    start_from: dsl.Input[artifacts.PoseModel] = None,
) -> None:
    """Train the network of a spec, or go on with a network as pruning left it.

    Args:
        dataset: Converted shards.
        spec: A TAO train spec; the paths of the records are filled in.
        model: The trained network, its history and its spec.
        metrics: Parameters, last loss and speed.
        start_from: A network to train further, its regularisation off.
    """
    from bodyposenet.common import tasks

    start = start_from.path if start_from else None
    metrics.metadata.update(tasks.train(dataset.path, spec, start, model.path, metrics.path))
