"""Pose: maps to people."""

from bodyposenet.common.pose.completion import fill_missing
from bodyposenet.common.pose.decoder import decode
from bodyposenet.common.pose.people import People

__all__ = ["People", "decode", "fill_missing"]
