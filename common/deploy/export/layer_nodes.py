"""Layer nodes: what each layer of a Keras network comes to in ONNX, weights and all.

Keras has channels last; the nodes here read and write channels first, as ONNX' convolutions do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import keras
import numpy as np

from bodyposenet.common.deploy.export.canonical import free_name

L = keras.layers
FIRST = (0, 2, 3, 1)  # where each axis of a tensor with channels last is among those with channels first
NOTHING: Mapping[str, Any] = MappingProxyType({})


class UnknownLayerError(Exception):
    """A layer that is not written here."""


@dataclass(frozen=True)
class LayerCall:
    """A layer where it is applied.

    Attributes:
        layer: The layer.
        tensor: What it draws, Keras' symbol of it.
        sources: What it reads.
        norm: Batch normalization that a convolution takes in, or None.
        border: Zeros above, to the left, below, to the right that a convolution takes in.
        divided: Whether its strides divide the rows and columns of what it reads, whatever the picture's size.
    """

    layer: Any
    tensor: Any
    sources: tuple[Any, ...]
    norm: Any = None
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    divided: bool = False


class NodeList:
    """Nodes and constants of a graph that is being written; everything is named after its layer.

    Args:
        taken: Names that no node gets.
    """

    def __init__(self, taken: Sequence[str]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._taken = set(taken)

    def add(
        self, op: str, stem: str, sources: Sequence[str], constants: Mapping[str, Any] = NOTHING, **attributes: Any
    ) -> str:
        """Append a node, which reads the constants after the sources; returns the name of the node and its output."""
        name = free_name(stem, op.lower(), self._taken)
        self._taken.add(name)
        return self.finish(op, name, sources, constants, **attributes)

    def finish(
        self, op: str, name: str, sources: Sequence[str], constants: Mapping[str, Any] = NOTHING, **attributes: Any
    ) -> str:
        """The same under a name that was kept for it."""
        from onnx import helper, numpy_helper

        made = {f"{name}/{label}": np.asarray(value) for label, value in constants.items()}
        self.constants += [numpy_helper.from_array(value, key) for key, value in made.items()]
        self.nodes.append(helper.make_node(op, [*sources, *made], [name], name=name, **attributes))
        return name


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


def unknown(layer: Any) -> UnknownLayerError:
    """The error that tells of a layer."""
    return UnknownLayerError(f"{layer.name} ({type(layer).__name__})")


# Convolutions


def _convolve(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    if isinstance(layer, L.DepthwiseConv2D):  # (rows, columns, C, M): filters c M + m read channel c
        kernel = np.asarray(layer.kernel).transpose(2, 3, 0, 1)
        kernel = kernel.reshape(-1, 1, *kernel.shape[2:])
        groups = layer.kernel.shape[2]
    else:
        groups = layer.groups
    name = nodes.add(
        "Conv", layer.name, sources, fold(call, kernel, 0), group=groups, dilations=list(layer.dilation_rate),
        kernel_shape=list(layer.kernel_size), strides=list(layer.strides), **_surround(call, layer.kernel_size),
    )  # fmt: skip
    return _activate(nodes, layer, name)


def _transpose(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    if max(layer.dilation_rate) > 1 or layer.output_padding is not None:
        raise unknown(layer)
    sizes = list(zip(layer.kernel_size, layer.strides, strict=True))
    cut = [max(size - stride, 0) if layer.padding == "same" else 0 for size, stride in sizes]
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    name = nodes.add(
        "ConvTranspose", layer.name, sources, fold(call, kernel, 1), kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides), pads=[*(each // 2 for each in cut), *(each - each // 2 for each in cut)],
        output_padding=[max(stride - size, 0) for size, stride in sizes],
    )  # fmt: skip
    return _activate(nodes, layer, name)


def fold(call: LayerCall, kernel: np.ndarray, axis: int) -> dict[str, np.ndarray]:
    """A convolution's kernel and bias with its batch normalization in them.

    Args:
        call: The convolution.
        kernel: Its kernel as ONNX has it.
        axis: The axis of it that counts output channels.

    Returns:
        ``kernel`` and, unless there is none, ``bias`` ``(C,)``; float32.
    """
    bias = np.asarray(call.layer.bias) if call.layer.use_bias else None
    if call.norm is not None:
        gamma, beta, mean, variance = (np.asarray(each, np.float64) for each in read_norm(call.norm).values())
        factor = gamma / np.sqrt(variance + call.norm.epsilon)
        bias = beta + factor * ((0 if bias is None else bias) - mean)
        kernel = kernel * factor.reshape([-1 if dim == axis else 1 for dim in range(kernel.ndim)])
    weights = {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def read_norm(norm: Any) -> dict[str, np.ndarray]:
    """A batch normalization's numbers ``(C,)``, in the order in which ONNX reads them."""
    mean = np.asarray(norm.moving_mean)
    return {
        "scale": np.asarray(norm.gamma) if norm.scale else np.ones_like(mean),
        "offset": np.asarray(norm.beta) if norm.center else np.zeros_like(mean),
        "mean": mean,
        "variance": np.asarray(norm.moving_variance),
    }


def _surround(call: LayerCall, sizes: Sequence[int]) -> dict[str, Any]:
    """The borders of a convolution or a pooling; in numbers where the same do for all sizes.

    OpenCV 5.0 reads borders that the size decides as if they were larger to the left and above.
    """
    layer = call.layer
    if layer.padding == "valid":
        return {"pads": list(call.border)} if any(call.border) else {}
    around = [rate * (size - 1) for rate, size in zip(getattr(layer, "dilation_rate", (1, 1)), sizes, strict=True)]
    if not any(around):
        return {}
    if max(layer.strides) > 1 and not call.divided:
        return {"auto_pad": "SAME_UPPER"}
    totals = [max(each - (step - 1), 0) for each, step in zip(around, layer.strides, strict=True)]
    return {"pads": [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]}


# Activations


def _activate(nodes: NodeList, layer: Any, source: str) -> str:
    """What a layer's activation makes of a tensor."""
    found = ACTIVATIONS.get(layer.activation)
    if found is None:
        raise unknown(layer)
    op, constants, attributes = found
    return nodes.add(op, layer.name, [source], constants, **attributes) if op else source


def _clip(most: float) -> dict[str, np.float32]:
    return {"least": np.float32(0), "most": np.float32(most)}


ACTIVATIONS: dict[Any, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    keras.activations.linear: ("", NOTHING, NOTHING),
    keras.activations.relu: ("Relu", NOTHING, NOTHING),
    keras.activations.relu6: ("Clip", _clip(6), NOTHING),
    keras.activations.leaky_relu: ("LeakyRelu", NOTHING, {"alpha": 0.2}),
    keras.activations.elu: ("Elu", NOTHING, {"alpha": 1.0}),
    keras.activations.selu: ("Selu", NOTHING, NOTHING),
    keras.activations.sigmoid: ("Sigmoid", NOTHING, NOTHING),
    keras.activations.tanh: ("Tanh", NOTHING, NOTHING),
    keras.activations.softplus: ("Softplus", NOTHING, NOTHING),
    keras.activations.softsign: ("Softsign", NOTHING, NOTHING),
}


def _rectify(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    layer = call.layer
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        raise unknown(layer)
    if layer.negative_slope:
        return _leak(nodes, call, sources)
    if layer.max_value is None:
        return nodes.add("Relu", layer.name, sources)
    return nodes.add("Clip", layer.name, sources, _clip(layer.max_value))


def _leak(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    return nodes.add("LeakyRelu", call.layer.name, sources, alpha=float(call.layer.negative_slope))


def _leak_by_channel(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    slopes = np.asarray(call.layer.alpha)
    if slopes.shape[:2] != (1, 1):
        raise unknown(call.layer)
    return nodes.add("PRelu", call.layer.name, sources, {"slope": slopes.transpose(2, 0, 1)})


def _elu(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    return nodes.add("Elu", call.layer.name, sources, alpha=float(call.layer.alpha))


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
            op, layer.name, sources, kernel_shape=sizes, strides=list(layer.strides), **_surround(call, sizes)
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
    L.Conv2D: _convolve,
    L.DepthwiseConv2D: _convolve,
    L.Conv2DTranspose: _transpose,
    L.BatchNormalization: _normalize,
    L.Activation: lambda nodes, call, sources: _activate(nodes, call.layer, sources[0]),
    L.ReLU: _rectify,
    L.LeakyReLU: _leak,
    L.PReLU: _leak_by_channel,
    L.ELU: _elu,
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
