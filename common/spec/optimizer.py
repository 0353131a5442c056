"""Optimizer spec: the ``optimizer`` and ``loss`` parts of a train spec."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.spec.base import Bool, Float, Fraction, Name, Natural, NotNegative, Positive, Strict
from bodyposenet.common.spec.problems import SpecMisfitError

Decay = Annotated[Float, Field(ge=0, lt=1)]


class SoftstartAnnealingLearningRateSchedule(Strict):
    """Rise from the least learning rate, hold, and fall back to it; rise and fall are exponential.

    Attributes:
        base_learning_rate: The greatest.
        min_learning_rate: The first and the last.
        soft_start: Share of the training in which it rises.
        annealing: Share of the training after which it falls; 1 or more never.
        last_step: Accepted; the trainer knows it.
    """

    class_name: Literal["SoftstartAnnealingLearningRateSchedule"] = Field(
        default="SoftstartAnnealingLearningRateSchedule", alias="__class_name__"
    )
    base_learning_rate: Positive
    min_learning_rate: Positive
    soft_start: Fraction
    annealing: NotNegative
    last_step: Natural | None = None

    @field_validator("min_learning_rate")
    @classmethod
    def _least(cls, rate: float, info: ValidationInfo) -> float:
        base = info.data.get("base_learning_rate", rate)
        if rate > base:
            raise SpecMisfitError(((), f"should be at most base_learning_rate, {base:g} (got {rate:g})"))
        return rate

    @field_validator("annealing")
    @classmethod
    def _after_the_rise(cls, annealing: float, info: ValidationInfo) -> float:
        soft_start = info.data.get("soft_start", annealing)
        if annealing < soft_start:
            raise SpecMisfitError(((), f"should be at least soft_start, {soft_start:g} (got {annealing:g})"))
        return annealing


class BpNetExponentialDecayLRSchedule(Strict):
    """``learning_rate * decay_rate ** (epoch / decay_epochs)``, never below the least.

    Attributes:
        staircase: Only at whole multiples of ``decay_epochs``.
    """

    class_name: Literal["BpNetExponentialDecayLRSchedule"] = Field(
        default="BpNetExponentialDecayLRSchedule", alias="__class_name__"
    )
    learning_rate: Positive
    decay_epochs: Positive
    decay_rate: Annotated[Positive, Field(le=1)]
    staircase: Bool = False
    min_learning_rate: NotNegative = 0.0

    @field_validator("min_learning_rate")
    @classmethod
    def _least(cls, rate: float, info: ValidationInfo) -> float:
        greatest = info.data.get("learning_rate", rate)
        if rate > greatest:
            raise SpecMisfitError(((), f"should be at most learning_rate, {greatest:g} (got {rate:g})"))
        return rate


Schedule = Annotated[
    SoftstartAnnealingLearningRateSchedule | BpNetExponentialDecayLRSchedule, Field(discriminator="class_name")
]


class WeightedMomentumOptimizer(Strict):
    """Momentum, with a weight for each variable's gradient.

    Attributes:
        grad_weights_dict: Weight by variable or layer name; null leaves all at ``weight_default_value``.
        weight_default_value: Weight of the others.
    """

    class_name: Literal["WeightedMomentumOptimizer"] = Field(
        default="WeightedMomentumOptimizer", alias="__class_name__"
    )
    learning_rate_schedule: Schedule
    grad_weights_dict: dict[Name, NotNegative] | None = None
    weight_default_value: NotNegative = 1.0
    momentum: Decay = 0.9
    use_nesterov: Bool = False


class Adam(Strict):
    """Extension: Adam."""

    class_name: Literal["Adam"] = Field(default="Adam", alias="__class_name__")
    learning_rate_schedule: Schedule
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    weight_decay: NotNegative = 0.0


class AdamW(Strict):
    """Extension: Adam whose weight decay stands beside the gradient."""

    class_name: Literal["AdamW"] = Field(default="AdamW", alias="__class_name__")
    learning_rate_schedule: Schedule
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    weight_decay: NotNegative = 0.0


OptimizerSpec = Annotated[WeightedMomentumOptimizer | Adam | AdamW, Field(discriminator="class_name")]


class FocalLossParams(Strict):
    """Weight of easy cells, TAO's undocumented option."""

    use_focal_loss: Bool = False
    alpha: Float = 0.1
    beta: Float = 0.02
    bkg_thresh: Float = 0.01
    gamma: NotNegative = 1.0


class Loss(Strict):
    """Half the squared error of all maps of all stages.

    Attributes:
        joint_weight: Extension: heatmap cells weigh 1 + this times the joint's label.
        paf_weight: Extension: weight of the part affinity fields.
        normalize_cells: Extension: mean over the cells, where TAO sums them.
    """

    class_name: Literal["BpNetLoss"] = Field(default="BpNetLoss", alias="__class_name__")
    focal_loss_params: FocalLossParams | None = None
    joint_weight: NotNegative = 0.0
    paf_weight: NotNegative = 1.0
    normalize_cells: Bool = False
