"""Keras layers of foreign operations: each as the layer that computes the same, or a word on why there is none."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np

from bodyposenet.common.adopt.graph import UnknownError, by_channel
from bodyposenet.common.adopt.keras_windows import add_border, convolve, enlarge, pool, transpose
from bodyposenet.common.adopt.layer_inputs import Given, Value

L = keras.layers
OURS = "NHWC"


# Activations


def _activate(make: Callable[[Given], Any]) -> Callable[[Given], Value]:
    return lambda given: given.draw(make(given))


def _leak(given: Given) -> Value:
    """PReLU: a slope for each channel."""
    slopes = next(each for each in given.values if isinstance(each, np.ndarray)).reshape(-1)
    channels = given.first.tensor.shape[-1]
    if slopes.size not in (1, channels):
        raise UnknownError(f"it has {slopes.size:,} slopes: other than one for each of {channels} channels")
    slopes = np.broadcast_to(slopes, (channels,))
    return given.draw(L.PReLU(shared_axes=[1, 2], name=given.name), slopes.reshape(1, 1, channels))


def _clip(given: Given) -> Value:
    ends = dict(zip(("min", "max"), given.values[1:], strict=False))
    said = (given.node.attributes.get(name) if ends.get(name) is None else ends[name] for name in ("min", "max"))
    low, high = (None if each is None else float(np.asarray(each).item()) for each in said)
    if low != 0:
        raise UnknownError(f"it cuts at {low} and {high}; only from 0 on is known")
    return given.draw(L.ReLU(max_value=high, name=given.name))


def _bend(given: Given) -> Value:
    """HardSigmoid: a line that is cut at 0 and 1."""
    attributes, channels = given.node.attributes, given.first.tensor.shape[-1]
    slope, rise = attributes.get("alpha", 0.2), attributes.get("beta", 0.5)
    line = Given(given.node, given.values, f"{given.name}_line")
    drawn = _draw_line(line, np.full(channels, slope), np.full(channels, rise))
    return Value(L.ReLU(max_value=1.0, name=given.name)(drawn.tensor), drawn.axes)


def _swish(given: Given) -> Value:
    """HardSwish: what is read, times a HardSigmoid of it."""
    gate = _bend(Given(replace(given.node, attributes={"alpha": 1 / 6}), given.values, f"{given.name}_gate"))
    return Value(L.Multiply(name=given.name)([given.first.tensor, gate.tensor]), gate.axes)


# Arithmetic


def _normalize(given: Given) -> Value:
    if given.node.attributes.get("training_mode") or any(given.node.outputs[1:]):
        raise UnknownError("it normalizes by each batch: export the network in evaluation mode")
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
    """A constant for each channel that is added or multiplied."""
    constant = next((each for each in given.values if isinstance(each, np.ndarray)), None)
    if constant is None:
        raise UnknownError("it divides by what is computed")
    channels = given.first.tensor.shape[-1]
    numbers = by_channel(constant, given.first.axes, channels)
    if given.node.kind in ("Sub", "Div") and not isinstance(given.values[0], Value):
        raise UnknownError("it takes what is computed from a constant")
    factor, offset = np.ones(channels), np.zeros(channels)
    if given.node.kind in ("Mul", "Div"):
        factor = numbers if given.node.kind == "Mul" else 1 / numbers
    else:
        offset = numbers if given.node.kind == "Add" else -numbers
    return _draw_line(given, factor, offset)


def _draw_line(given: Given, factor: np.ndarray, offset: np.ndarray) -> Value:
    """Each channel times a factor, and an offset: a batch normalization that normalizes nothing."""
    epsilon, channels = 1e-6, len(factor)
    layer = L.BatchNormalization(epsilon=epsilon, name=given.name)
    return given.draw(layer, factor, offset, np.zeros(channels), np.full(channels, 1 - epsilon))


# Axes


def _join(given: Given) -> Value:
    if not all(isinstance(each, Value) for each in given.values):
        raise UnknownError("it joins a constant to what is computed")
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
        if end < 0 or (size is not None and end < size):
            raise UnknownError("it takes some channels only, or cuts off the last cells")
    return given.first


LAYERS: dict[str, Callable[[Given], Value]] = {
    "Conv": convolve,
    "ConvTranspose": transpose,
    "BatchNormalization": _normalize,
    "MaxPool": pool(L.MaxPooling2D),
    "AveragePool": pool(L.AveragePooling2D),
    "Relu": _activate(lambda given: L.ReLU(name=given.name)),
    "LeakyRelu": _activate(lambda given: L.LeakyReLU(given.node.attributes.get("alpha", 0.01), name=given.name)),
    "Elu": _activate(lambda given: L.ELU(given.node.attributes.get("alpha", 1.0), name=given.name)),
    "HardSigmoid": _bend,
    "HardSwish": _swish,
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
    "Pad": add_border,
    "Resize": enlarge,
    "Upsample": enlarge,
    "Transpose": _permute,
    "Slice": _slice,
}
