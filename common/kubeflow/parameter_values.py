"""Parameter values: specs as dicts on their way through Kubeflow, which has no whole numbers, and its SDK no null."""

from collections.abc import Mapping
from typing import Any

NULL = "null"  # stands for None: the SDK refuses that anywhere in a dict, be it a default or an argument


def to_kfp(value: Any) -> Any:
    """A spec's dict as the SDK takes it; :func:`restore_ints` is the way back."""
    if isinstance(value, Mapping):
        return {key: to_kfp(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_kfp(entry) for entry in value]
    return NULL if value is None else value


def restore_ints(value: Any) -> Any:
    """Numbers as they were written, and null for its word: Kubeflow's dicts come back with every number a float."""
    if isinstance(value, Mapping):
        return {key: restore_ints(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [restore_ints(entry) for entry in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return None if value == NULL else value
