"""Tracking: the one place that talks to MLflow. Importing it does not import MLflow."""

from bodyposenet.common.tracking.datasets import Dataset
from bodyposenet.common.tracking.offline_buffer import send_buffered
from bodyposenet.common.tracking.registry import (
    Registered,
    champion_of,
    fetch,
    find_version,
    promote,
    register_model,
    registered_as,
    settings_in,
)
from bodyposenet.common.tracking.runs import Run, task_run

__all__ = [
    "Dataset",
    "Registered",
    "Run",
    "champion_of",
    "fetch",
    "find_version",
    "promote",
    "register_model",
    "registered_as",
    "send_buffered",
    "settings_in",
    "task_run",
]
