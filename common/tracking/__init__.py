"""Tracking: the one place that talks to MLflow. Importing it does not import MLflow."""

from bodyposenet.common.tracking.datasets import Dataset
from bodyposenet.common.tracking.offline_buffer import send_buffered
from bodyposenet.common.tracking.registry import (
    Registered,
    fetch,
    find_champion,
    find_registered,
    find_version,
    promote,
    register_model,
    settings_in,
)
from bodyposenet.common.tracking.runs import TrackedRun, task_run

__all__ = [
    "Dataset",
    "Registered",
    "TrackedRun",
    "fetch",
    "find_champion",
    "find_registered",
    "find_version",
    "promote",
    "register_model",
    "send_buffered",
    "settings_in",
    "task_run",
]
