"""Synthetic people: drawn photos with perfect annotations."""
