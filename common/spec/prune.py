"""Prune spec: how much of a network to cut away."""

from typing import Literal

from bodyposenet.common.spec.base import Name, Natural, NotNegative, Strict


class PruneSpec(Strict):
    """What pruning needs to know; the flags of ``bpnet prune`` say the same.

    Attributes:
        pruning_threshold: Filters with a normalised norm at or below it go.
        normalizer: Norms are divided by the layer's largest (``max``), or by their L2 norm times the filter count.
        equalization_criterion: How layers that must keep the same filters agree.
        pruning_granularity: What is left of a layer is a multiple of this many filters.
        min_num_filters: Least number of filters left of a layer.
        excluded_layers: Names of layers that stay whole.
    """

    pruning_threshold: NotNegative = 0.1
    normalizer: Literal["max", "L2"] = "max"
    equalization_criterion: Literal["union", "intersection", "arithmetic_mean", "geometric_mean"] = "union"
    pruning_granularity: Natural = 8
    min_num_filters: Natural = 16
    excluded_layers: tuple[Name, ...] = ()
