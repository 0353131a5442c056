"""Task files: what the artifacts that tasks hand on hold, and where a task's numbers are kept."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.common.storage.files import whole_file

Settings = Mapping[str, Any]

MODEL, ONNX, INT8, INT8_CPU = "model.keras", "model.onnx", "model.int8.onnx", "model.int8.cpu.onnx"
FP16, ENGINE = "model.fp16.onnx", "model.engine"
CALIBRATION_IMAGES = "images"  # folder of a calibration artifact
NOBODY = -1.0  # COCO's AP of a set without labelled people


def model_in(model: str) -> Path:
    """The file to run of a model artifact; of a quantized one the file for the CPU."""
    return next(path for name in (INT8_CPU, ONNX, MODEL) if (path := Path(model) / name).is_file())


def compute_digest(value: Any) -> str:
    """A short digest of settings: equal ones have the same."""
    return digest_settings(value)[:16]


def note(numbers: dict[str, float], metrics: str) -> dict[str, float]:
    """Write numbers where a Metrics artifact is: kfp.local caches only tasks whose artifacts have files."""
    Path(metrics).parent.mkdir(parents=True, exist_ok=True)
    Path(metrics).write_text(json.dumps(numbers), encoding="utf-8")
    return numbers


def copy_whole(source: Path, target: Path) -> None:
    """Copy a file, whole or not at all; its folder is made."""
    with source.open("rb") as read, whole_file(target) as written:
        shutil.copyfileobj(read, written)
