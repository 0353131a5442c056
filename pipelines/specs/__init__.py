"""Specs: what a pipeline does unless it is told otherwise."""

from pathlib import Path
from typing import Any

import yaml


def default(name: str) -> dict[str, Any]:
    """A shipped spec: ``dataset``, ``train``, ``retrain``, ``prune`` or ``inference``."""
    return yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text())
