"""Pose: maps to people."""
