"""Specs: TAO's dataset, train, inference and pose-config files, and the prune spec, as frozen models."""
