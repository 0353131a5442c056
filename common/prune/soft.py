"""Soft pruning: shrink the weakest filters while a network trains, so that pruning it later costs nothing.

After He et al., "Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks" (IJCAI 2018), with a bound
that closes gradually: filters chosen at the start are held to a share of their size that falls to zero, while the
others learn to do without them.
"""

from typing import Any

import keras
import numpy as np

from bodyposenet.common.prune.criteria import filter_norms
from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.spec.prune import PruneSpec


def scale_or_norm(layer: Any) -> np.ndarray:
    """``(F,)`` how much each filter of a layer matters.

    Where batch normalization follows, a kernel's own size says nothing: then it is the size of the learned scale, as in
    Liu et al., "Learning Efficient Convolutional Networks through Network Slimming" (ICCV 2017).
    """
    norm = _normalization_after(layer)
    return filter_norms(layer) if norm is None else np.abs(np.asarray(norm.gamma, np.float64))


class SoftPruning:
    """Holds the filters that a pruning would drop to ever smaller sizes.

    Args:
        model: The network at its start; decides which filters, and how large they were.
        settings: What a pruning by :func:`scale_or_norm` would drop.
        until: Share of the training at which they are zero.
    """

    def __init__(self, model: Any, settings: PruneSpec, until: float) -> None:
        self.until = until
        kept = prune_model(model, settings, criterion=scale_or_norm).filters
        self.bounds: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for layer in model.layers:
            if layer.name in kept:
                self._bound(layer, kept[layer.name])

    def __call__(self, model: Any, done: float) -> None:
        """Scale down, in ``model``, what is larger than its bound when a share ``done`` of the training is over."""
        share = max(0.0, 1 - done / self.until)
        for variable in model.trainable_variables:
            for weak, sizes in self.bounds.get(variable.path, ()):
                variable.assign(_held(np.asarray(variable), weak, share * sizes))

    def _bound(self, layer: Any, kept: np.ndarray) -> None:
        norm = _normalization_after(layer)
        for variable in (*layer.trainable_variables, *(norm.trainable_variables if norm else ())):
            values = np.asarray(variable)
            weak = np.setdiff1d(np.arange(values.shape[-1]), kept)
            if len(weak):
                self.bounds.setdefault(variable.path, []).append((weak, _sizes(values)[weak]))


def _normalization_after(layer: Any) -> Any:
    """The batch normalization that reads a layer, or None."""
    readers = [node.operation for node in layer._outbound_nodes]
    return next((one for one in readers if isinstance(one, keras.layers.BatchNormalization)), None)


def _sizes(values: np.ndarray) -> np.ndarray:
    """``(F,)`` L2 norm of what belongs to each filter, the last axis."""
    return np.sqrt(np.square(values).reshape(-1, values.shape[-1]).sum(axis=0))


def _held(values: np.ndarray, weak: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """``values`` with its weak filters scaled down to their bounds; those within stay as they are."""
    held = values.copy()
    sizes = _sizes(values)[weak]
    held[..., weak] *= np.where(sizes > bounds, bounds / np.maximum(sizes, np.finfo(np.float32).tiny), 1)
    return held
