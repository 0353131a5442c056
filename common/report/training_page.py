"""Training page: the curves of a training and its first batch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from bodyposenet.common.imaging.pixels import decode
from bodyposenet.common.model.training.progress import HISTORY, read_history
from bodyposenet.common.report.run_report import write_report
from bodyposenet.common.spec.train import TrainSpec

FIRST_BATCH = "first_batch.png"
CURVES = {  # of a history, as the page calls them
    "epoch": "epoch",
    "loss": "loss",
    "val_loss": "validation loss",
    "val_ap": "validation AP",
    "learning_rate": "learning rate",
}


def write_training_page(path: Path, folder: Path, spec: TrainSpec, *, precision: str) -> Path:
    """Write what a training left as one file that a browser shows anywhere.

    Args:
        path: The page to write.
        folder: The training's results: its history and the picture of its first batch.
        spec: What it was asked for.
        precision: What it computed in, and why.

    Returns:
        The path.
    """
    history = read_history(folder / HISTORY)
    height, width = spec.dataloader.image_config.image_dims.size
    return write_report(
        path,
        title="A network's training",
        said=_describe(history),
        ceiling_ap=None,
        stages=[],
        curves={"training": [{name: epoch[key] for key, name in CURVES.items() if key in epoch} for epoch in history]},
        pictures=_first_batch(folder / FIRST_BATCH),
        gallery=("First batch", "Augmented pictures, with what the network was to learn from them."),
        facts={
            "epochs": len(history),
            "pictures a step": spec.dataloader.batch_size,
            "trained at": f"{height}x{width} pixels",
            "computed in": precision,
            "optimizer": spec.optimizer.class_name,
            "starts from": spec.pretrained_weights or "random weights",
        },
    )


def _describe(history: Sequence[Mapping[str, Any]]) -> str:
    """Say how the training went, in a sentence."""
    if not history:
        return "No epoch has ended."
    first, last = history[0], history[-1]
    sentence = f"Loss {first['loss']:.4g} in the first epoch, {last['loss']:.4g} in the last of {len(history)}"
    aps = [(epoch["val_ap"], epoch["epoch"]) for epoch in history if "val_ap" in epoch]
    return f"{sentence}; validation AP {aps[-1][0]:.3f}, at best {max(aps)[0]:.3f}." if aps else f"{sentence}."


def _first_batch(path: Path) -> list[tuple[str, np.ndarray]]:
    picture = decode(path.read_bytes(), cv2.IMREAD_COLOR_RGB) if path.is_file() else None
    return [] if picture is None else [("the first step's pictures", picture)]
