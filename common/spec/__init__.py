"""Specs: the files users write, as frozen models."""
