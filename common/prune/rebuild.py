"""Rebuild: the same network with fewer channels."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bodyposenet.common.prune.criteria import Indices
from bodyposenet.common.prune.graph import ChannelGraph, Layout

L = keras.layers
Axes = dict[str, dict[int, str]]  # weight name -> axis -> whether it runs along the channels read or those made

# The first entry that fits a layer holds. Weights and axes that are not named are taken over whole.
AXES: tuple[tuple[Any, Axes], ...] = (
    (L.Conv2D, {"kernel": {2: "read", 3: "made"}, "bias": {0: "made"}}),
    (L.Dense, {"kernel": {0: "read", 1: "made"}, "bias": {0: "made"}}),
    (L.Conv2DTranspose, {"kernel": {3: "read"}}),
    (L.DepthwiseConv2D, {"kernel": {2: "read"}, "bias": {0: "read"}}),
    (L.BatchNormalization, {name: {0: "read"} for name in ("gamma", "beta", "moving_mean", "moving_variance")}),
    (L.PReLU, {"alpha": {-1: "read"}}),
)


def rebuild(model: Any, graph: ChannelGraph, kept: dict[str, Indices]) -> Any:
    """A copy of ``model`` in which each layer has only the filters named in ``kept``.

    Names of layers, model and inputs, the order of outputs, data types, regularizers and shared layers stay as they
    are.

    Args:
        model: The network; it is left as it is.
        graph: Its channels, from :func:`~bodyposenet.common.prune.graph.read_graph`.
        kept: For each prunable layer the indices of its filters that stay.

    Returns:
        A new ``keras.Model``.
    """
    smaller = keras.models.clone_model(model, clone_function=lambda layer: _resized(layer, kept))
    for layer in model.layers:
        if layer.weights:
            smaller.get_layer(layer.name).set_weights(_sliced(layer, graph, kept))
    return smaller


def channels_kept(layout: Layout, kept: dict[str, Indices]) -> Indices:
    """Which channels of a tensor stay, counted as they were before pruning.

    Args:
        layout: Where the tensor's channels were born.
        kept: As in :func:`rebuild`; sources that are not in it keep all.
    """
    indices: list[Indices] = []
    offset = 0
    for run in layout:
        indices.append(offset + kept.get(run.source, np.arange(run.width)))
        offset += run.width
    return np.concatenate(indices)


def _resized(layer: Any, kept: dict[str, Indices]) -> Any:
    config = layer.get_config()
    if layer.name in kept:
        config["units" if isinstance(layer, L.Dense) else "filters"] = len(kept[layer.name])
    if isinstance(layer, L.Lambda):  # its code is already running in this process
        return type(layer).from_config(config, safe_mode=False)
    return type(layer).from_config(config)


def _sliced(layer: Any, graph: ChannelGraph, kept: dict[str, Indices]) -> list[NDArray[Any]]:
    """The weights of a layer, in Keras' order, without those of dropped channels."""
    stay = {"made": kept.get(layer.name)}
    if layer.name in graph.reads:
        stay["read"] = channels_kept(graph.reads[layer.name], kept)
    axes: Axes = next((axes for types, axes in AXES if isinstance(layer, types)), {})
    arrays = []
    for variable in layer.weights:
        array = np.asarray(variable)
        for axis, which in axes.get(variable.name, {}).items():
            indices = stay.get(which)
            array = array if indices is None else np.take(array, indices, axis=axis)
        arrays.append(array)
    return arrays
