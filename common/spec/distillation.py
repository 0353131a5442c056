"""Distillation spec: how a training also learns from a larger network that knows the task."""

from typing import Literal

from pydantic import Field

from bodyposenet.common.spec.base import Bool, Fraction, PathText, Strict


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
