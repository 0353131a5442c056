"""Specs: what a pipeline does unless it is told otherwise."""

from pathlib import Path
from typing import Any

import yaml

NAMES = ("dataset", "train", "prune", "retrain", "inference", "deploy")


def default(name: str) -> dict[str, Any]:
    """A shipped spec: one of ``NAMES``."""
    spec: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    return spec
