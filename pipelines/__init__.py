"""Pipelines: the components, wired."""
