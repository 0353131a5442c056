"""First batch: the picture that a training leaves before its first step."""

from pathlib import Path

import cv2

from bodyposenet.common.data.loading.batch_picture import batch_picture
from bodyposenet.common.data.loading.batches import make_batch, order_samples
from bodyposenet.common.model.training.plan import Plan
from bodyposenet.common.storage.files import whole_file

NAME = "first_batch.png"


def write_first_batch(plan: Plan, folder: Path) -> None:
    """Draw the first batch of a training with its targets; a picture that is there stays.

    Args:
        plan: The training.
        folder: Gets ``first_batch.png``.

    Raises:
        UserError: A sample of it cannot be read.
    """
    path = folder / NAME
    if path.exists():
        return
    order = order_samples(plan.source, 0, seed=plan.spec.random_seed)
    batch = make_batch(plan.source, plan.drawing, order[: plan.batch_size], 0)
    picture = batch_picture(
        batch, plan.skeleton, scale=plan.drawing.scale, offset=plan.drawing.offset, sigma=plan.drawing.sigma
    )
    with whole_file(path) as file:
        file.write(cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())
