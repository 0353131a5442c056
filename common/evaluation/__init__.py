"""Evaluation: people found, against people annotated."""
