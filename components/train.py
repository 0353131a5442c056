"""train: fit a network to a dataset; from a pruned network this is the retraining."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def train(
    dataset: dsl.Input[artifacts.PoseDataset],
    train_spec: dict,
    model: dsl.Output[artifacts.PoseModel],
    metrics: dsl.Output[dsl.Metrics],
    curves: dsl.Output[dsl.HTML],
    start_from: dsl.Input[artifacts.PoseModel] = None,
    teacher: dsl.Input[artifacts.PoseModel] = None,
    work: str = "",
    weights_digest: str = "",
    gpus: int = 1,
) -> None:
    """Train the network of a spec, or go on with a network as pruning left it.

    Args:
        dataset: Converted shards.
        train_spec: A TAO train spec; the paths of the records are filled in.
        model: The trained network, its history and its spec.
        metrics: Parameters, GFLOPs, last loss and speed.
        curves: Loss, AP and learning rate by epoch, and the first batch.
        start_from: A network to train further, its regularisation off.
        teacher: A network to learn from beside the labels, where the spec has a distillation that names none.
        work: Folder or bucket that a retried task sees again: it goes on there. Empty keeps checkpoints in the task.
        weights_digest: Digest of the spec's start weights; a new one makes this task run again.
        gpus: Devices that train side by side, each with a batch of its own.
    """
    from bodyposenet.common import tasks

    start = start_from.path if start_from else None
    outputs = model.path, metrics.path, curves.path
    facts, numbers = tasks.train(
        dataset.path, train_spec, start, *outputs, teacher=teacher.path if teacher else None, work=work,
        weights_digest=weights_digest, gpus=gpus,
    )  # fmt: skip
    model.metadata.update(facts)
    metrics.metadata.update(numbers)
