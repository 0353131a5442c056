"""Rebuild: the same network with fewer channels."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from bodyposenet.common.model.channels.channel_graph import ChannelGraph, Layout, width
from bodyposenet.common.model.channels.criteria import Indices
from bodyposenet.common.model.channels.layer_axes import find_axes
from bodyposenet.common.model.channels.tracing import flat

L = keras.layers


def rebuild(model: Any, graph: ChannelGraph, kept: Mapping[str, Indices]) -> Any:
    """Copy ``model``, each layer with only the filters named in ``kept``.

    Names of layers, model and inputs, the order of outputs, data types, regularizers and shared layers stay as they
    are.

    Args:
        model: The network; it is left as it is.
        graph: Its channels, from :func:`~bodyposenet.common.model.channels.tracing.read_graph`.
        kept: For each prunable layer the indices of its filters that stay.

    Returns:
        A new ``keras.Model``.
    """
    clones: dict[int, Any] = {}

    def resize(layer: Any) -> Any:
        if id(layer) not in clones:
            inputs = graph.inputs.get(graph.paths.get(id(layer), ""))
            clones[id(layer)] = _resize(layer, graph, kept) if inputs is None else whole(layer, inputs)
        return clones[id(layer)]

    def whole(model: Any, inputs: Sequence[Layout] = ()) -> Any:
        pictures = [_picture(*pair, kept) for pair in zip(flat(model).inputs, inputs, strict=True)] if inputs else None
        given = None if pictures is None else keras.tree.pack_sequence_as(model.input, pictures)
        return keras.models.clone_model(model, input_tensors=given, clone_function=resize)

    smaller = whole(model)
    for layer in _leaves(model, graph):
        if layer.weights:
            clones[id(layer)].set_weights(_slice(layer, graph, kept))
    return smaller


def channels_kept(layout: Layout, kept: Mapping[str, Indices]) -> Indices:
    """Tell which channels of a tensor stay, counted as they were before pruning.

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


def _picture(tensor: Any, layout: Layout, kept: Mapping[str, Indices]) -> Any:
    """Make the input of a model inside another one, for the channels that it still gets."""
    shape, name = (*tensor.shape[:-1], len(channels_kept(layout, kept))), tensor._keras_history.operation.name
    return keras.Input(batch_shape=shape, dtype=tensor.dtype, name=name)


def _leaves(model: Any, graph: ChannelGraph) -> Iterator[Any]:
    """List its layers, and those of the models in it whose channels were followed."""
    for layer in model.layers:
        if graph.paths.get(id(layer), "") in graph.inputs:
            yield from _leaves(layer, graph)
        else:
            yield layer


def _resize(layer: Any, graph: ChannelGraph, kept: Mapping[str, Indices]) -> Any:
    path, config = graph.paths.get(id(layer), ""), layer.get_config()
    if path in kept:
        config["units" if isinstance(layer, L.Dense) else "filters"] = len(kept[path])
    if path in graph.shapes and config["target_shape"][-1] != -1:
        config["target_shape"] = (*config["target_shape"][:-1], len(channels_kept(graph.shapes[path], kept)))
    if isinstance(layer, L.Lambda):  # its code is already running in this process
        return type(layer).from_config(config, safe_mode=False)
    return type(layer).from_config(config)


def _slice(layer: Any, graph: ChannelGraph, kept: Mapping[str, Indices]) -> list[NDArray[Any]]:
    """Cut the weights of a layer, in Keras' order, to those of the channels that stay."""
    path = graph.paths.get(id(layer), "")
    read = graph.reads.get(path, ())
    stay = {"made": kept.get(path), "read": channels_kept(read, kept) if read else None}
    arrays = []
    for variable in layer.weights:
        array = np.asarray(variable)
        for axis, which in find_axes(layer, variable).items():
            indices = stay[which]
            if indices is not None and (which == "made" or array.shape[axis] == width(read)):
                array = np.take(array, indices, axis=axis)
        arrays.append(array)
    return arrays
