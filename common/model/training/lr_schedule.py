"""LR schedule: the learning rate as a function of how much of the training is done."""

import math
from collections.abc import Callable

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.optimizer import Distillation
from bodyposenet.common.spec.train import BpNetExponentialDecayLRSchedule, SoftstartAnnealingLearningRateSchedule

Schedule = Callable[[int], float]


def soft_start_annealing(spec: SoftstartAnnealingLearningRateSchedule, last_step: int) -> Schedule:
    """A schedule that rises, stays and falls, each way exponentially, as TAO's of that name.

    With p the share of the steps that are done, t goes linearly from 0 to 1 while p < ``soft_start`` and back to 0 from
    p = ``annealing`` on; the rate is ``exp(ln min + t (ln base - ln min))``.

    Raises:
        UserError: There are no steps to spread it over.
    """
    if last_step < 1:
        raise UserError(
            "there is no step to train", where="num_epoch", fix="give more epochs, more data or a smaller batch"
        )
    low, high = math.log(spec.min_learning_rate), math.log(spec.base_learning_rate)

    def rate(step: int) -> float:
        done = min(max(step / last_step, 0.0), 1.0)
        t = done / spec.soft_start if done < spec.soft_start else 1.0
        if done > spec.annealing:
            t = (1 - done) / (1 - spec.annealing)
        return math.exp(low + t * (high - low))

    return rate


def exponential_decay(spec: BpNetExponentialDecayLRSchedule, steps_per_epoch: int) -> Schedule:
    """A schedule that falls exponentially, as TAO's of that name.

    The rate is ``learning_rate * decay_rate ** (epochs done / decay_epochs)``, not below ``min_learning_rate``.
    """

    def rate(step: int) -> float:
        exponent = step / (spec.decay_epochs * steps_per_epoch)
        exponent = math.floor(exponent) if spec.staircase else exponent
        return max(spec.learning_rate * spec.decay_rate**exponent, spec.min_learning_rate)

    return rate


def make_schedule(
    spec: SoftstartAnnealingLearningRateSchedule | BpNetExponentialDecayLRSchedule,
    *,
    steps_per_epoch: int,
    last_step: int,
) -> Schedule:
    """The schedule of an optimizer spec: step number to learning rate."""
    if isinstance(spec, SoftstartAnnealingLearningRateSchedule):
        return soft_start_annealing(spec, last_step)
    return exponential_decay(spec, steps_per_epoch)


def make_teacher_weights(distillation: Distillation | None, last_step: int) -> Schedule:
    """Build the schedule of a teacher's weight: step number to ``w0 + (w1 - w0) step / last_step``; 0 without one.

    That the teacher's share changes over a training is after Jafari et al., "Annealing Knowledge Distillation" (EACL
    2021); a constant one is that of Zhang et al., "Fast Human Pose Estimation" (CVPR 2019).
    """
    if distillation is None:
        return lambda step: 0.0
    first, last = distillation.weight, distillation.final_weight
    return lambda step: first + (last - first) * min(max(step / last_step, 0.0), 1.0)
