"""Keras layers of foreign operations: each as the layer that computes the same, or a word on why there is none."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from bodyposenet.common.adopt.graph import Node, UnknownError, by_channel
from bodyposenet.common.bounds import LARGEST_STRIDE

L = keras.layers
OURS = "NHWC"


@dataclass(frozen=True)
class Value:
    """A tensor as Keras has it, ``(N, H, W, C)``, and the order of its axes in the file."""

    tensor: Any
    axes: str


@dataclass(frozen=True)
class Given:
    """What an operation reads.

    Attributes:
        node: The operation.
        values: Of its inputs: a :class:`Value`, an array if constant, None if left out.
        name: Of the layer to make.
    """

    node: Node
    values: tuple[Any, ...]
    name: str

    @property
    def first(self) -> Value:
        """The first input, which is no constant."""
        return next(each for each in self.values if isinstance(each, Value))

    def draw(self, layer: Any, *weights: np.ndarray) -> Value:
        """Apply a layer with these weights to the first input."""
        drawn = Value(layer(self.first.tensor), self.first.axes)
        if weights:
            layer.set_weights([np.asarray(each, np.float32) for each in weights])
        return drawn


# Convolutions


def _convolve(given: Given) -> Value:
    kernel = given.values[1]
    _require_axes(given)
    if not isinstance(kernel, np.ndarray):
        raise UnknownError("its kernel is no constant")
    groups = given.node.attributes.get("group", 1)
    if kernel.ndim == 5:  # OpenVINO's, by groups
        groups, kernel = kernel.shape[0], kernel.reshape(-1, *kernel.shape[2:])
    if kernel.ndim != 4:
        raise UnknownError(f"its kernel has {kernel.ndim} axes, not 4")
    filters, read, *size = kernel.shape
    bias = [each for each in given.values[2:3] if each is not None]
    padded, padding = _pad(given, size)
    about: dict[str, Any] = {
        "strides": _strides(given),
        "dilation_rate": tuple(given.node.attributes.get("dilations", (1, 1))),
        "padding": padding,
        "use_bias": bool(bias),
        "name": given.name,
    }
    if groups > 1 and read == 1:
        layer = L.DepthwiseConv2D(size, depth_multiplier=filters // groups, **about)
        weights = kernel.reshape(groups, filters // groups, *size).transpose(2, 3, 0, 1)
    else:
        layer = L.Conv2D(filters, size, groups=groups, **about)
        weights = kernel.transpose(2, 3, 1, 0)
    return padded.draw(layer, weights, *bias)


def _transpose(given: Given) -> Value:
    kernel, attributes = given.values[1], given.node.attributes
    _require_axes(given)
    if not isinstance(kernel, np.ndarray) or kernel.ndim != 4 or attributes.get("group", 1) != 1:
        raise UnknownError("its kernel is no constant of four axes and one group")
    _, filters, *size = kernel.shape
    odd = [name for name in ("output_padding", "output_shape") if any(attributes.get(name, ()))]
    if odd or max(attributes.get("dilations", (1,))) > 1 or attributes.get("auto_pad") == "SAME_LOWER":
        raise UnknownError(f"it is transposed with {odd[0] if odd else 'dilations, or larger borders to the left'}")
    strides, pads = _strides(given), tuple(attributes.get("pads", (0, 0, 0, 0)))
    over = [max(0, wide - step) for wide, step in zip(size, strides, strict=True)]
    same = tuple(each // 2 for each in over) + tuple(each - each // 2 for each in over)
    fits = list(size) == list(strides) and not any(pads)
    if fits or attributes.get("auto_pad", "NOTSET") == "SAME_UPPER" or (pads == same and any(over)):
        padding = "same"
    elif not any(pads) and all(wide >= step for wide, step in zip(size, strides, strict=True)):
        padding = "valid"
    else:
        raise UnknownError(f"its padding {list(pads)} is neither none nor that of equal sizes")
    bias = [each for each in given.values[2:3] if each is not None]
    layer = L.Conv2DTranspose(filters, size, strides=strides, padding=padding, use_bias=bool(bias), name=given.name)
    return given.draw(layer, kernel.transpose(2, 3, 1, 0), *bias)


def _strides(given: Given) -> tuple[int, int]:
    down, across = given.node.attributes.get("strides", (1, 1))
    return down, across


def _pad(given: Given, size: Sequence[int]) -> tuple[Given, str]:
    """What a convolution or a pooling reads, padded where Keras' own two ways are not the file's; and Keras' way."""
    attributes = given.node.attributes
    automatic = attributes.get("auto_pad", "NOTSET")
    if automatic == "SAME_LOWER" and max(_strides(given)) == 1 and all(side % 2 for side in size):
        automatic = "SAME_UPPER"  # as much on either side
    if automatic == "SAME_UPPER":
        return given, "same"
    if automatic == "SAME_LOWER":
        raise UnknownError("its borders are larger to the left and above, as no layer of Keras has them")
    pads = tuple(attributes.get("pads", (0, 0, 0, 0)))
    if automatic == "VALID" or not any(pads):
        return given, "valid"
    around = [rate * (n - 1) for rate, n in zip(attributes.get("dilations", (1, 1)), size, strict=True)]
    strides = _strides(given)
    # of sizes that the stride divides, as all sizes of a pose network's pictures and maps are
    total = [max(0, each - (step - 1)) for each, step in zip(around, strides, strict=True)]
    if pads == (*(each // 2 for each in total), *(each - each // 2 for each in total)):
        return given, "same"
    top, left, bottom, right = pads
    padded = L.ZeroPadding2D(((top, bottom), (left, right)), name=f"{given.name}_pad")(given.first.tensor)
    values = (Value(padded, given.first.axes), *given.values[1:])
    return Given(given.node, values, given.name), "valid"


def _add_border(given: Given) -> Value:
    """Zeros around the rows and columns."""
    pads = given.node.attributes.get("pads")
    if pads is None:
        pads = [int(each) for each in given.values[1]]
    value = next((each for each in given.values[2:3] if each is not None), given.node.attributes.get("value", 0))
    begin, end = (dict(zip(given.first.axes, half, strict=True)) for half in (pads[:4], pads[4:]))
    if not all(0 <= each <= LARGEST_STRIDE for each in pads):
        raise UnknownError(f"its border {list(pads)} is no pose network's")
    if given.node.attributes.get("mode", "constant") != "constant" or np.any(value) or begin["C"] or end["C"]:
        raise UnknownError("it pads with something else than zeros, or the channels")
    border = ((begin["H"], end["H"]), (begin["W"], end["W"]))
    return given.first if not np.any(border) else given.draw(L.ZeroPadding2D(border, name=given.name))


def _require_axes(given: Given) -> None:
    if given.first.axes != "NCHW":
        raise UnknownError(f"it reads axes in the order {given.first.axes}, which no convolution of ONNX does")


# Pooling


def _pool(kind: Any) -> Callable[[Given], Value]:
    def build(given: Given) -> Value:
        _require_axes(given)
        size, attributes = given.node.attributes["kernel_shape"], given.node.attributes
        if max(attributes.get("dilations", (1,))) > 1 or (
            attributes.get("ceil_mode") and list(size) != list(_strides(given))
        ):
            raise UnknownError("it pools with dilations, or beyond the last cell, as no layer of Keras does")
        padded, padding = _pad(given, size)
        if padding == "valid" and padded is not given:
            raise UnknownError(f"its padding {list(given.node.attributes['pads'])} is that of no pooling of Keras")
        if padding == "same" and attributes.get("count_include_pad"):
            raise UnknownError("it counts the zeros of its border, as no pooling of Keras does")
        return given.draw(kind(size, strides=_strides(given), padding=padding, name=given.name))

    return build


# Activations


def _activate(make: Callable[[Given], Any]) -> Callable[[Given], Value]:
    return lambda given: given.draw(make(given))


def _leak(given: Given) -> Value:
    """PReLU: a slope for each channel."""
    slopes = next(each for each in given.values if isinstance(each, np.ndarray)).reshape(-1)
    channels = given.first.tensor.shape[-1]
    slopes = np.broadcast_to(slopes, (channels,))
    return given.draw(L.PReLU(shared_axes=[1, 2], name=given.name), slopes.reshape(1, 1, channels))


def _clip(given: Given) -> Value:
    ends = dict(zip(("min", "max"), given.values[1:], strict=False))
    said = (given.node.attributes.get(name) if ends.get(name) is None else ends[name] for name in ("min", "max"))
    low, high = (None if each is None else float(np.asarray(each).item()) for each in said)
    if low != 0:
        raise UnknownError(f"it cuts at {low} and {high}; only from 0 on is known")
    return given.draw(L.ReLU(max_value=high, name=given.name))


# Arithmetic


def _normalize(given: Given) -> Value:
    gamma, beta, mean, variance = given.values[1:5]
    layer = L.BatchNormalization(epsilon=given.node.attributes.get("epsilon", 1e-5), name=given.name)
    return given.draw(layer, gamma, beta, mean, variance)


def _combine(kind: Any) -> Callable[[Given], Value]:
    def build(given: Given) -> Value:
        one, other = given.values
        if isinstance(one, Value) and isinstance(other, Value):
            if one.axes != other.axes:
                raise UnknownError(f"its inputs have axes in the orders {one.axes} and {other.axes}")
            return Value(kind(name=given.name)([one.tensor, other.tensor]), one.axes)
        return _scale(given)

    return build


def _scale(given: Given) -> Value:
    """A constant for each channel that is added or multiplied: a batch normalization that normalizes nothing."""
    constant = next(each for each in given.values if isinstance(each, np.ndarray))
    channels = given.first.tensor.shape[-1]
    numbers = by_channel(constant, given.first.axes, channels)
    if given.node.kind in ("Sub", "Div") and not isinstance(given.values[0], Value):
        raise UnknownError("it takes what is computed from a constant")
    factor, offset = np.ones(channels), np.zeros(channels)
    if given.node.kind in ("Mul", "Div"):
        factor = numbers if given.node.kind == "Mul" else 1 / numbers
    else:
        offset = numbers if given.node.kind == "Add" else -numbers
    epsilon = 1e-6
    layer = L.BatchNormalization(epsilon=epsilon, name=given.name)
    return given.draw(layer, factor, offset, np.zeros(channels), np.full(channels, 1 - epsilon))


# Axes


def _join(given: Given) -> Value:
    axes = {each.axes for each in given.values}
    (order,) = axes if len(axes) == 1 else ("?",)
    if order == "?" or order[given.node.attributes["axis"]] != "C":
        raise UnknownError("it joins along another axis than the channels")
    if len(given.values) == 1:
        return given.first
    return Value(L.Concatenate(name=given.name)([each.tensor for each in given.values]), order)


def _permute(given: Given) -> Value:
    """Only another order of the same axes: Keras has one order throughout."""
    order = given.node.attributes.get("perm")
    if order is None:
        order = [int(each) for each in given.values[1]]
    return Value(given.first.tensor, "".join(given.first.axes[axis] for axis in order))


def _slice(given: Given) -> Value:
    """Rows and columns that are cut off at the end of an axis, or nothing."""
    starts, ends, axes, *steps = (np.atleast_1d(each) for each in given.values[1:] if each is not None)
    if any(starts) or any(step != 1 for each in steps for step in each):
        raise UnknownError("it takes a part that is not the first one")
    shape = given.first.tensor.shape
    for axis, end in zip(axes, ends, strict=True):
        size = shape[OURS.index(given.first.axes[axis])]
        if size is not None and end < size:
            raise UnknownError("it takes some channels only")
    return given.first


LAYERS: dict[str, Callable[[Given], Value]] = {
    "Conv": _convolve,
    "ConvTranspose": _transpose,
    "BatchNormalization": _normalize,
    "MaxPool": _pool(L.MaxPooling2D),
    "AveragePool": _pool(L.AveragePooling2D),
    "Relu": _activate(lambda given: L.ReLU(name=given.name)),
    "LeakyRelu": _activate(lambda given: L.LeakyReLU(given.node.attributes.get("alpha", 0.01), name=given.name)),
    "Elu": _activate(lambda given: L.ELU(given.node.attributes.get("alpha", 1.0), name=given.name)),
    "Sigmoid": _activate(lambda given: L.Activation("sigmoid", name=given.name)),
    "Tanh": _activate(lambda given: L.Activation("tanh", name=given.name)),
    "PRelu": _leak,
    "Clip": _clip,
    "Clamp": _clip,
    "Add": _combine(L.Add),
    "Sub": _combine(L.Subtract),
    "Mul": _combine(L.Multiply),
    "Div": _scale,
    "Concat": _join,
    "Pad": _add_border,
    "Transpose": _permute,
    "Slice": _slice,
}
