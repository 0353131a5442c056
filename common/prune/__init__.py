"""Prune: remove channels from a Keras graph."""
