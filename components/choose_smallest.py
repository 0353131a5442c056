"""choose_smallest: of several pruned networks the smallest that is good enough."""

from kfp import dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.components._base import on_deploy_image


@on_deploy_image
def choose_smallest(
    base: dsl.Input[artifacts.OnnxPoseModel],
    base_ap: float,
    networks: dsl.Input[list[dsl.Artifact]],  # kfp 2.17 finds no type of our own inside a list
    figures: dsl.Input[list[dsl.Artifact]],
    aps: list[float],
    cuts: list[dict],
    chosen: dsl.Output[artifacts.OnnxPoseModel],
    page: dsl.Output[dsl.HTML],
    metrics: dsl.Output[dsl.Metrics],
    reason: dsl.OutputPath(str),
    max_ap_drop: float = 0.02,
) -> float:
    """Draw AP against GFLOPs, and hand on the network with the fewest GFLOPs whose AP is within the budget.

    Args:
        base: The network that was pruned, exported.
        base_ap: Its AP.
        networks: What was made of it by each cut, exported.
        figures: Metrics of each pruning.
        aps: AP of each network.
        cuts: What each pruning was asked for.
        chosen: The smallest network within the budget, or a note that there is none.
        page: The front of AP and GFLOPs, and a table of all networks.
        metrics: The chosen network's figures.
        reason: Why that network, or why none.
        max_ap_drop: Greatest loss of AP that pruning may cost.

    Returns:
        AP of the chosen network; -1 where none is within the budget.
    """
    from bodyposenet.common import tasks

    places = [[artifact.path for artifact in artifacts] for artifacts in (networks, figures)]
    made = list(zip(*places, aps, cuts, strict=True))
    ap, numbers = tasks.choose_smallest(
        base.path, base_ap, made, max_ap_drop, chosen.path, page.path, metrics.path, reason
    )
    metrics.metadata.update(numbers)
    own = {name: numbers[name] for name in ("params", "gflops", "ap") if name in numbers}
    chosen.metadata.update(base.metadata, **own)
    return ap
