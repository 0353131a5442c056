"""Training: a page with the curves of a training and its first batch."""

import json
from pathlib import Path

import cv2
import numpy as np

from bodyposenet.common.report.html import write_report
from bodyposenet.common.spec.train import TrainSpec

FIRST_BATCH = "first_batch.png"


def write_training_page(path: Path, folder: Path, spec: TrainSpec) -> Path:
    """Write what a training left as one file that a browser shows anywhere.

    Args:
        path: The page to write.
        folder: The training's results: its history and the picture of its first batch.
        spec: What it was asked for.

    Returns:
        The path.
    """
    history = json.loads((folder / "history.json").read_text())
    height, width = spec.dataloader.image_config.image_dims.size
    return write_report(
        path,
        title="A network's training",
        ceiling_ap=None,
        stages=[],
        curves={"training": history},
        pictures=_first_batch(folder / FIRST_BATCH),
        facts={
            "epochs": len(history),
            "pictures a step": spec.dataloader.batch_size,
            "trained at": f"{height}x{width} pixels",
            "optimizer": spec.optimizer.class_name,
            "starts from": spec.pretrained_weights or "random weights",
        },
    )


def _first_batch(path: Path) -> list[tuple[str, np.ndarray]]:
    picture = cv2.imread(str(path)) if path.is_file() else None
    if picture is None:
        return []
    return [("the first batch, its targets drawn over", np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))]
