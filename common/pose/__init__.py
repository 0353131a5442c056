"""Pose: maps to people."""

from bodyposenet.common.pose.decoder import decode
from bodyposenet.common.pose.people import People

__all__ = ["People", "decode"]
