"""Fit skeleton: a network that draws the maps of another skeleton, and keeps whatever both have in common.

The backbone and all inner layers stay. The convolutions that draw maps keep the channels of the joints and limbs that
both skeletons have, in their new order, and the background; a limb that runs the other way round has its sign turned.
New channels begin as the layers' own initializers say. What reads the maps, the first convolutions of later stages,
keeps its weights for what was kept, and reads nothing of the new channels yet: so every stage draws what it drew, as
long as the new skeleton lacks nothing that the old one had.
"""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.channel_graph import ChannelGraph, Layout
from bodyposenet.common.model.channels.layer_axes import find_axes
from bodyposenet.common.model.channels.rebuild import rebuild
from bodyposenet.common.model.channels.tracing import read_graph
from bodyposenet.common.skeleton.skeleton_match import NEW, ChannelOrigin, SkeletonMatch

L = keras.layers
DRAWING = (L.Conv2D, L.Conv2DTranspose)  # layers that make maps
READING = (L.Conv2D, L.Conv2DTranspose, L.Dense)  # layers that may read a turned field: a weight can turn it back
LINEAR = (L.Concatenate, L.Identity, L.ZeroPadding2D, L.Cropping2D, L.AveragePooling2D, L.Dropout)

Origins = Mapping[str, ChannelOrigin]  # by the path of the layer that draws


def fit_skeleton(model: Any, match: SkeletonMatch) -> tuple[Any, SkeletonMatch]:
    """Rebuild a network for another skeleton.

    Args:
        model: A ``keras.Model`` with the heatmaps of stages 1 to T and then their fields as outputs, those of the
            match's old skeleton; it is left as it is.
        match: What both skeletons share.

    Returns:
        The new network, and the match as it was used: fields that something else than a convolution reads cannot be
        turned round, and such limbs count as new.

    Raises:
        UserError: The channels of the network cannot be followed, or its maps are not what single convolutions make.
    """
    graph = read_graph(model)
    stages = len(model.outputs) // 2
    fields = {path for layout in graph.outputs[stages:] for path in _find_sources(graph, layout)}
    if any(match.turned) and not all(_is_read_linearly(graph.layers[path]) for path in fields):
        match = match.drop_turned()
    heatmaps = {path for layout in graph.outputs[:stages] for path in _find_sources(graph, layout)}
    origins = dict.fromkeys(heatmaps, match.heatmaps) | dict.fromkeys(fields, match.fields)
    fitted = rebuild(model, graph, {path: np.maximum(origin.places, 0) for path, origin in origins.items()})
    after = read_graph(fitted)
    for path, layer in after.layers.items():
        _finish(layer, origins.get(path), after.reads.get(path, ()), origins)
    return fitted, match


def _find_sources(graph: ChannelGraph, layout: Layout) -> set[str]:
    """Find the layer that draws an output, and those whose maps are added to its own.

    Raises:
        UserError: There is no such layer.
    """
    sources = set() if len(layout) != 1 else graph.bonds.get(layout[0].source, {layout[0].source})
    if not sources or not all(isinstance(graph.layers.get(path), DRAWING) for path in sources):
        names = ", ".join(dict.fromkeys(run.source for run in layout))
        raise UserError(
            f"its maps are no convolution's, so single channels cannot be kept: {names}",
            fix="give a network whose maps are each drawn by a convolution, or the skeleton that it draws",
        )
    return sources


def _is_read_linearly(layer: Any) -> bool:
    """Whether a field turned round can be turned back wherever it is read: by convolutions, joined or not."""
    if getattr(layer, "activation", None) not in (None, keras.activations.linear):
        return False
    to_do = [node.operation for node in layer._outbound_nodes]
    while to_do:
        reader = to_do.pop()
        if isinstance(reader, READING) and not isinstance(reader, L.DepthwiseConv2D):
            continue
        linear = isinstance(reader, L.Activation) and reader.activation is keras.activations.linear
        if not linear and not isinstance(reader, LINEAR):
            return False
        to_do += [node.operation for node in reader._outbound_nodes]
    return True


def _finish(layer: Any, made: ChannelOrigin | None, read: Layout, origins: Origins) -> None:
    """Give a layer the weights of what it keeps, turned where need be, and begin its new channels."""
    factors = {
        "made": None if made is None else made.signs,
        "read": _join_signs(read, origins) if isinstance(layer, READING) else None,
    }
    arrays = [np.array(variable) for variable in layer.weights]
    for number, variable in enumerate(layer.weights):
        for axis, which in find_axes(layer, variable).items():
            if (factor := factors[which]) is not None:
                arrays[number] = arrays[number] * _lie_along(factor, axis, arrays[number].ndim)
            if which == "made" and made is not None:
                fresh = np.array(_initializer(layer, variable)(variable.shape, dtype="float32"))
                new = _lie_along(made.places == NEW, axis, fresh.ndim)
                arrays[number] = np.where(new, fresh, arrays[number])
    if any(factor is not None for factor in factors.values()):
        layer.set_weights(arrays)


def _join_signs(read: Layout, origins: Origins) -> np.ndarray | None:
    """Tell what each channel that a layer reads is to be multiplied by; None where none of them is a map's."""
    if not any(run.source in origins for run in read):
        return None
    signs = [origins[run.source].signs if run.source in origins else np.ones(run.width) for run in read]
    return np.concatenate(signs).astype(np.float32)


def _initializer(layer: Any, variable: Any) -> Any:
    return layer.bias_initializer if variable.name == "bias" else layer.kernel_initializer


def _lie_along(values: np.ndarray, axis: int, axes: int) -> np.ndarray:
    """Lay ``(C,)`` values along an axis of so many."""
    shape = [1] * axes
    shape[axis] = -1
    return values.reshape(shape)
