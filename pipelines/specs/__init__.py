"""Specs: what a pipeline does unless it is told otherwise."""

from pathlib import Path
from typing import Any

import yaml

NAMES = ("dataset", "train", "prune", "retrain", "inference", "deploy")
PEOPLE = ("train", "prune", "retrain", "inference")  # of those, which photos have their own of


def default(name: str) -> dict[str, Any]:
    """A shipped spec: one of ``NAMES``; of one of ``PEOPLE`` also the one for photos, ``train_people``."""
    spec: dict[str, Any] = yaml.safe_load((Path(__file__).parent / f"{name}.yaml").read_text(encoding="utf-8"))
    return spec


def default_for(name: str, *, drawn: bool) -> dict[str, Any]:
    """The shipped spec for drawn people, or for photos where these have their own."""
    return default(name if drawn or name not in PEOPLE else f"{name}_people")
