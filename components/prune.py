"""prune: drop the filters that matter least, and rebuild a smaller network."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_train_image


@on_train_image
def prune(
    model: dsl.Input[artifacts.PoseModel],
    prune_spec: dict,
    pruned: dsl.Output[artifacts.PoseModel],
    metrics: dsl.Output[dsl.Metrics],
    summary: dsl.Output[dsl.Markdown],
    picture: dsl.Output[dsl.HTML],
    cut: dict = {},  # noqa: B006 - a task's function is called once, and Kubeflow keeps its source alone
    dataset: dsl.Input[artifacts.PoseDataset] = None,
    train_spec: dict = {},  # noqa: B006
) -> float:
    """Remove filters that score at most the spec's threshold, or as many as its target asks for.

    Args:
        model: Trained network.
        prune_spec: A prune spec: pruning_threshold or target_flops, criterion, pruning_granularity and so on.
        pruned: The smaller network, ready to retrain.
        metrics: Parameters and FLOPs before and after.
        summary: Filters kept, layer by layer.
        picture: The same as a page.
        cut: Keys that replace those of the spec, such as target_flops alone.
        dataset: What the criterion taylor looks at; others need none.
        train_spec: TAO train spec of the training that the criterion taylor goes by.

    Returns:
        Parameters kept, as a fraction.
    """
    from bodyposenet.common import tasks

    records = dataset.path if dataset else None
    outputs = pruned.path, metrics.path, summary.path, picture.path
    kept, numbers = tasks.prune(model.path, prune_spec, *outputs, cut=cut, dataset=records, train_spec=train_spec)
    kept_facts = {name: value for name, value in model.metadata.items() if name != "ap"}
    pruned.metadata.update(kept_facts, params=numbers["params"], gflops=numbers["gflops"])
    metrics.metadata.update(numbers)
    return kept
