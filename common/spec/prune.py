"""Prune spec: how much of a network to cut away."""

from typing import Self

from pydantic import model_validator

from bodyposenet.common.spec.base import Bool, Name, Natural, NotNegative, Share, Strict
from bodyposenet.common.spec.problems import SpecMisfitError
from bodyposenet.common.spec.words import CriterionName, Equalization, Normalizer


class PruneSpec(Strict):
    """What pruning needs to know; the flags of ``bpnet prune`` say the same.

    Attributes:
        pruning_threshold (norm): Filters with a normalised norm at or below it go.
        normalizer: What norms are divided by. That is the layer's largest (``max``), or their L2 norm times the filter
            count (``L2``), or, an extension that suits ``taylor``, the root of what one of its filters costs
            (``cost``): FLOPs, or parameters where those are the target.
        equalization_criterion: How layers that must keep the same filters agree.
        pruning_granularity (filters): What is left of a layer is a multiple of this.
        min_num_filters (filters): Least number of filters left of a layer.
        excluded_layers: Names of layers that stay whole, or patterns of names (``stage1_*``).
        criterion: Extension: by what filters are weighed; ``taylor`` needs training data. TAO weighs by ``l2_norm``.
        target_params (share): Extension: greatest share of the parameters that may be left. The threshold is then
            searched, and ``pruning_threshold`` plays no part.
        target_flops (share): Extension: greatest share of the floating-point operations that may be left; likewise.
        refit: Extension: before anything is trained, fit the layers that are left to what they drew before. It is done
            by least squares, on photos of the training, and matters most where no batch normalization follows.
        rounds (rounds): Extension: how often a pipeline prunes and retrains. The last round meets the target, a
            threshold is that of every round; one pruning alone takes no notice of it.
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
