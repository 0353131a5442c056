"""Optimizer spec: the ``optimizer``, ``loss`` and ``distillation`` parts of a train spec."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from bodyposenet.common.spec.base import Bool, Float, Fraction, Name, Natural, NotNegative, PathText, Positive, Strict
from bodyposenet.common.spec.problems import SpecMisfitError

Decay = Annotated[Float, Field(ge=0, lt=1)]


class SoftstartAnnealingLearningRateSchedule(Strict):
    """Rise from the least learning rate, hold, and fall back to it; rise and fall are exponential.

    Attributes:
        base_learning_rate (per step): The greatest learning rate.
        min_learning_rate (per step): The first and the last learning rate.
        soft_start (share): Share of the training in which it rises.
        annealing (share): Share of the training after which it falls; 1 or more never.
        last_step (steps): Accepted; without effect, as the trainer knows it.
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
        learning_rate (per step): The first learning rate, and the greatest.
        decay_epochs (epochs): Time in which it falls to ``decay_rate`` of what it was.
        decay_rate (share): What is left of it after ``decay_epochs``.
        staircase: Fall only at whole multiples of ``decay_epochs``.
        min_learning_rate (per step): The least learning rate.
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
        learning_rate_schedule: How the learning rate goes through the training.
        grad_weights_dict (times): Weight of the gradient by variable or layer name; null leaves all at
            ``weight_default_value``. TAO does not use it.
        weight_default_value (times): Weight of the others.
        momentum (share): Share of the last step that the next one keeps.
        use_nesterov: Look ahead along the momentum before each step.
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
    """Extension: Adam.

    Attributes:
        learning_rate_schedule: How the learning rate goes through the training.
        beta_1 (share): Share of its past that the mean gradient keeps at a step.
        beta_2 (share): Share of its past that the mean squared gradient keeps at a step.
        epsilon (gradient): Added to the root of the mean squared gradient, which divides the step.
        weight_decay (share): Share of each kernel that a step takes off, times the learning rate.
    """

    class_name: Literal["Adam"] = Field(default="Adam", alias="__class_name__")
    learning_rate_schedule: Schedule
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    weight_decay: NotNegative = 0.0


class AdamW(Strict):
    """Extension: Adam whose weight decay stands beside the gradient.

    Attributes:
        learning_rate_schedule: How the learning rate goes through the training.
        beta_1 (share): Share of its past that the mean gradient keeps at a step.
        beta_2 (share): Share of its past that the mean squared gradient keeps at a step.
        epsilon (gradient): Added to the root of the mean squared gradient, which divides the step.
        weight_decay (share): Share of each kernel that a step takes off, times the learning rate.
    """

    class_name: Literal["AdamW"] = Field(default="AdamW", alias="__class_name__")
    learning_rate_schedule: Schedule
    beta_1: Decay = 0.9
    beta_2: Decay = 0.999
    epsilon: Positive = 1e-7
    weight_decay: NotNegative = 0.0


OptimizerSpec = Annotated[WeightedMomentumOptimizer | Adam | AdamW, Field(discriminator="class_name")]


class FocalLossParams(Strict):
    """Weight of easy cells, TAO's undocumented option.

    Attributes:
        use_focal_loss: Weigh cells by how wrong they are.
        alpha (map): Taken off what is drawn on the foreground, before its distance from 1 is measured.
        beta (map): The same of what is missing on the background.
        bkg_thresh (map): Labels above it are foreground.
        gamma (power): Power of the distance that a cell's error is weighed by; 0 weighs all alike.
    """

    use_focal_loss: Bool = False
    alpha: Float = 0.1
    beta: Float = 0.02
    bkg_thresh: Float = 0.01
    gamma: NotNegative = 1.0


class Loss(Strict):
    """Half the squared error of all maps of all stages.

    Attributes:
        focal_loss_params: Weight of easy cells; null weighs all alike.
        joint_weight (times): Extension: heatmap cells weigh 1 + this times the joint's label.
        paf_weight (times): Extension: weight of the part affinity fields.
        normalize_cells: Extension: mean over the cells, where TAO sums them.
    """

    class_name: Literal["BpNetLoss"] = Field(default="BpNetLoss", alias="__class_name__")
    focal_loss_params: FocalLossParams | None = None
    joint_weight: NotNegative = 0.0
    paf_weight: NotNegative = 1.0
    normalize_cells: Bool = False


class Distillation(Strict):
    """Extension: a teacher, whose maps of the same pictures are targets beside the labels.

    What is minimised is ``(1 - w) task + w distillation``; w goes from ``weight`` to ``final_weight``, linearly over
    the steps of the training.

    Attributes:
        enabled: Learn from the teacher. With ``auto`` where there is one, in a pipeline only if its photos are not
            drawn; true refuses to train without one; false does without.
        teacher: A model file with the same joints, limbs and stride. Null takes the one that a pipeline's task is
            given: of a retraining, the network before it was pruned.
        weight (share): Weight of the distillation, w, at the first step.
        final_weight (share): Weight of the distillation when the last step is done.
    """

    enabled: Bool | Literal["auto"] = "auto"
    teacher: PathText | None = Field(default=None)
    weight: Fraction = 1.0
    final_weight: Fraction = 0.0
