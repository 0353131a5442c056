"""Specs: TAO's dataset, train, inference and pose-config files, and the prune spec, as frozen models."""

from bodyposenet.common.spec.base import Strict, dump_yaml, load_spec, parse_spec

__all__ = ["Strict", "dump_yaml", "load_spec", "parse_spec"]
