"""Finite checks: a loss or a weight that is no number ends the training, and tells where to look."""

import math
from typing import Any

import numpy as np

from bodyposenet.common.data.loading.batches import TrainingBatch
from bodyposenet.common.errors import UserError

SLOWER = "lower the learning rate, or start it softer"
KEPT = "the checkpoints so far are kept: run again to go on from the newest"


def check_batch_loss(loss: float, batch: TrainingBatch, *, epoch: int, step: int, steps: int) -> None:
    """Stop where the loss is not finite.

    Args:
        loss: Of the step.
        batch: What it was trained on.
        epoch: Counted from 0.
        step: Counted from 0.
        steps: In an epoch.

    Raises:
        UserError: With the step, the batch's photos and what may have caused it.
    """
    if math.isfinite(loss):
        return
    photos = ", ".join(map(str, dict.fromkeys(batch.image_ids.tolist())))
    wrong = [name for name in ("images", "heatmaps", "pafs", "mask") if not np.isfinite(getattr(batch, name)).all()]
    cause = f"its {' and '.join(wrong)} hold values that are no numbers" if wrong else "its pictures are sound"
    advice = "mend the annotations of these photos, and convert again" if wrong else SLOWER
    raise UserError(
        f"the loss is {loss} at step {step + 1} of {steps}, on photos {photos}; {cause}",
        where=f"epoch {epoch + 1}",
        fix=f"{advice}; {KEPT}",
    )


def check_weights(model: Any, *, epoch: int, step: int) -> None:
    """Stop before a network is saved that is beyond repair.

    Raises:
        UserError: A weight is not finite.
    """
    for variable in model.variables:
        if not np.isfinite(np.asarray(variable)).all():
            raise UserError(
                f"weights of {variable.path} are no numbers after {step} steps of this epoch",
                where=f"epoch {epoch + 1}",
                fix=f"{SLOWER}; {KEPT}",
            )
