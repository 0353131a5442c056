"""Prune spec: how much of a network to cut away."""

from typing import Self

from pydantic import model_validator

from bodyposenet.common.spec.base import Bool, Name, Natural, NotNegative, Share, Strict
from bodyposenet.common.spec.problems import SpecMisfitError
from bodyposenet.common.spec.words import CriterionName, Equalization, Normalizer


class PruneSpec(Strict):
    """What pruning needs to know; the flags of ``bpnet prune`` say the same.

    Attributes:
        pruning_threshold: Filters with a normalised norm at or below it go.
        normalizer: Norms are divided by the layer's largest (``max``), or by their L2 norm times the filter count
            (``L2``), or, an extension that suits ``taylor``, by the root of what one of its filters costs (``cost``):
            FLOPs, or parameters where those are the target.
        equalization_criterion: How layers that must keep the same filters agree.
        pruning_granularity: What is left of a layer is a multiple of this many filters.
        min_num_filters: Least number of filters left of a layer.
        excluded_layers: Names of layers that stay whole, or patterns of names (``stage1_*``).
        criterion: By what filters are weighed; ``taylor`` needs training data.
        target_params: Greatest share of the parameters that may be left; the threshold is then searched, and
            ``pruning_threshold`` plays no part.
        target_flops: The same of the floating-point operations.
        refit: Extension: before anything is trained, fit the layers that are left to what they drew before,
            by least squares, on photos of the training. It matters most where no batch normalization follows.
        rounds: How often a pipeline prunes and retrains; the last round meets the target, a threshold is that of every
            round. One pruning alone takes no notice of it.
    """

    pruning_threshold: NotNegative = 0.1
    normalizer: Normalizer = "max"
    equalization_criterion: Equalization = "union"
    pruning_granularity: Natural = 8
    min_num_filters: Natural = 16
    excluded_layers: tuple[Name, ...] = ()
    criterion: CriterionName = "l2_norm"
    target_params: Share | None = None
    target_flops: Share | None = None
    refit: Bool = False
    rounds: Natural = 1

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.target_params is not None and self.target_flops is not None:
            raise ValueError("give target_params or target_flops, not both")
        if self.normalizer == "cost" and self.target_params is None and self.target_flops is None:
            raise SpecMisfitError((("normalizer",), "cost needs a target: give target_flops or target_params"))
        return self
