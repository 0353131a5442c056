"""Evaluate: people found, against people annotated."""
