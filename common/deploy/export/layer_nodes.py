"""Layer nodes: what each layer of a Keras network comes to in ONNX, weights and all.

Keras has channels last; the nodes here read and write channels first, as ONNX' convolutions do.
"""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from bodyposenet.common.deploy.export.activation_nodes import activate, elu, leak, leak_by_channel, rectify
from bodyposenet.common.deploy.export.convolution_nodes import convolve, read_norm, surround, transpose
from bodyposenet.common.deploy.export.node_list import FIRST, LayerCall, NodeList, unknown

L = keras.layers


def write_call(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Append what a layer computes; returns the tensor that holds it.

    Args:
        nodes: Where to.
        call: The layer.
        sources: The names of what it reads.

    Raises:
        UnknownLayerError: The layer is none of those known here, or has an option that is not.
    """
    layer = call.layer
    write = WRITERS.get(type(layer))
    odd = getattr(layer, "data_format", "channels_last") != "channels_last"
    if write is None or odd or len(call.tensor.shape) != len(FIRST):
        raise unknown(layer)
    return write(nodes, call, sources)


# Arithmetic


def _normalize(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    if layer.axis not in (-1, 3):
        raise unknown(layer)
    return nodes.add("BatchNormalization", layer.name, sources, read_norm(layer), epsilon=layer.epsilon)


def _scale(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    scaled = nodes.add("Mul", layer.name, sources, {"scale": _by_channel(layer.scale)})
    return nodes.add("Add", layer.name, [scaled], {"offset": _by_channel(layer.offset)})


def _standardize(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    mean, variance = np.asarray(layer.mean), np.asarray(layer.variance)
    if layer.invert or any(each.shape[:-1] not in ((), (1, 1, 1)) for each in (mean, variance)):
        raise unknown(layer)
    moved = nodes.add("Sub", layer.name, sources, {"mean": _by_channel(mean)})
    deviation = np.maximum(np.sqrt(variance), keras.config.epsilon())
    return nodes.add("Div", layer.name, [moved], {"deviation": _by_channel(deviation)})


def _by_channel(values: Any) -> np.ndarray:
    return np.asarray(values, np.float32).reshape(-1, 1, 1)


def _combine(op: str) -> "Writer":
    def write(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
        total, *rest = sources
        for source in rest:
            total = nodes.add(op, call.layer.name, [total, source])
        return total

    return write


# Places


def _join(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    return nodes.add("Concat", call.layer.name, sources, axis=FIRST[call.layer.axis % len(FIRST)])


def _pool(op: str) -> "Writer":
    def write(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
        layer = call.layer
        sizes = list(layer.pool_size)
        return nodes.add(
            op, layer.name, sources, kernel_shape=sizes, strides=list(layer.strides), **surround(call, sizes)
        )

    return write


def _enlarge(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    way = ENLARGED.get(layer.interpolation)
    if way is None:
        raise unknown(layer)
    scales = {"scales": np.array([1, 1, *layer.size], np.float32)}
    return nodes.add("Resize", layer.name, [*sources, ""], scales, **way)


ENLARGED: dict[str, dict[str, str]] = {
    "nearest": {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
    "bilinear": {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
}


def _add_border(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    top, left, bottom, right = border(call.layer)
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return nodes.add("Pad", call.layer.name, sources, {"pads": pads})


def border(layer: Any) -> tuple[int, int, int, int]:
    """Zeros that a ``ZeroPadding2D`` adds above, to the left, below and to the right."""
    (top, bottom), (left, right) = layer.padding
    return top, left, bottom, right


def _pass(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Nothing: what a layer does in training only."""
    return sources[0]


Writer = Callable[[NodeList, LayerCall, Sequence[str]], str]
WRITERS: dict[Any, Writer] = {
    L.Conv2D: convolve,
    L.DepthwiseConv2D: convolve,
    L.Conv2DTranspose: transpose,
    L.BatchNormalization: _normalize,
    L.Activation: lambda nodes, call, sources: activate(nodes, call.layer, sources[0]),
    L.ReLU: rectify,
    L.LeakyReLU: leak,
    L.PReLU: leak_by_channel,
    L.ELU: elu,
    L.Rescaling: _scale,
    L.Normalization: _standardize,
    L.Add: _combine("Add"),
    L.Subtract: _combine("Sub"),
    L.Multiply: _combine("Mul"),
    L.Maximum: _combine("Max"),
    L.Minimum: _combine("Min"),
    L.Concatenate: _join,
    L.MaxPooling2D: _pool("MaxPool"),
    L.AveragePooling2D: _pool("AveragePool"),
    L.UpSampling2D: _enlarge,
    L.ZeroPadding2D: _add_border,
    L.Identity: _pass,
    L.Dropout: _pass,
    L.SpatialDropout2D: _pass,
    L.GaussianNoise: _pass,
}
