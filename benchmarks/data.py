"""Data: what reading annotations and making records cost."""

import os
from pathlib import Path

from benchmarks import annotations, conversion

ROWS = annotations.ROWS | conversion.ROWS


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    data = Path(os.environ["BODYPOSENET_TEST_DATA"]).resolve()
    return {**annotations.reading(data), **conversion.converting(data)}
