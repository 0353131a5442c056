"""prune: drop the filters that matter least, and rebuild a smaller network."""

from kfp import dsl

from bodyposenet.common import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def prune(
    model: dsl.Input[artifacts.PoseModel],
    spec: dict,
    pruned: dsl.Output[artifacts.PoseModel],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
) -> float:
    """Remove filters whose normalised norm is at most the spec's threshold.

    Args:
        model: Trained network.
        spec: A prune spec: pruning_threshold, normalizer, pruning_granularity and so on.
        pruned: The smaller network, ready to retrain.
        metrics: Parameters and FLOPs before and after.
        summary: Filters kept, layer by layer.

    Returns:
        Parameters kept, as a fraction.
    """
    from bodyposenet.common import tasks

    kept, numbers = tasks.prune(model.path, spec, pruned.path, metrics.path, summary.path)
    metrics.metadata.update(numbers)
    return kept
