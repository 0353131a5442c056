"""Retention: what trainings, conversions and pipelines have left on a disk, and which of it may go."""
