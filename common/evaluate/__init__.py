"""Evaluate: what has yet to find its place."""
