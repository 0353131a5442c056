"""prune_rounds: prune and retrain in rounds, all but the last of them."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def prune_rounds(
    model: dsl.Input[artifacts.PoseModel],
    dataset: dsl.Input[artifacts.PoseDataset],
    prune_spec: dict,
    retrain_spec: dict,
    pruned: dsl.Output[artifacts.PoseModel],
    metrics: dsl.Output[dsl.Metrics],
    work: str = "",
) -> dict:
    """Prune a little and retrain, as often as the spec says less once; with one round the network stays as it is.

    Args:
        model: Trained network.
        dataset: Converted shards.
        prune_spec: A prune spec; its target is that of all its rounds together, its threshold that of every round.
        retrain_spec: A TAO train spec; what follows each pruning.
        pruned: The smaller network, ready for the last round, and the rounds so far.
        metrics: Rounds, and parameters and FLOPs before and after.
        work: Folder or bucket that a retried task sees again: it goes on there. Empty keeps checkpoints in the task.

    Returns:
        The prune spec of the last round.
    """
    from bodyposenet.common import tasks

    outputs = pruned.path, metrics.path
    last, numbers = tasks.prune_rounds(model.path, dataset.path, prune_spec, retrain_spec, *outputs, work=work)
    own = {name: numbers[name] for name in ("params", "gflops") if name in numbers}
    pruned.metadata.update({name: value for name, value in model.metadata.items() if name != "ap"}, **own)
    metrics.metadata.update(numbers)
    return last
