"""Training: what batches cost over only decoding their photos, and steps over bare ones and plain Keras."""

import os
from pathlib import Path

from . import training_input, training_precision, training_steps

ROWS = training_input.ROWS | training_steps.ROWS | training_precision.ROWS


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    with training_input.records(Path(os.environ["BODYPOSENET_TEST_DATA"]) / "coco_sample") as (source, photos):
        figures = training_input.inputs(source, photos)
        figures |= training_steps.steps(source, training_input.drawing(), training_input.BATCH)
    return figures | training_precision.measure()
