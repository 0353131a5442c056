"""Tracking: the one place that talks to MLflow. Importing it does not import MLflow."""

from bodyposenet.common.tracking.buffer import send_buffered
from bodyposenet.common.tracking.registry import register_model
from bodyposenet.common.tracking.runs import Run, task_run

__all__ = ["Run", "register_model", "send_buffered", "task_run"]
