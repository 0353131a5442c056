"""Graph match: the layers of two networks that stand at the same place, whatever they are called.

Both graphs are walked from the maps back to the picture. Convolutions at the same place must have kernels of the same
shape, and the same strides and borders; activations and batch normalizations are passed over; where branches meet, they
are paired so that everything behind them agrees, and channels that are joined in another order are told.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import keras
import numpy as np

L = keras.layers
MERGES = (L.Add, L.Multiply, L.Concatenate)
CONVOLUTIONS = (L.Conv2D, L.DepthwiseConv2D, L.Conv2DTranspose)
POOLS = (L.MaxPooling2D, L.AveragePooling2D)


@dataclass(frozen=True)
class Pair:
    """Convolutions at the same place.

    Attributes:
        ours: A layer.
        theirs: The other network's.
        order: Channel k that ours reads is channel ``order[k]`` that theirs reads; None where they are the same.
    """

    ours: Any
    theirs: Any
    order: np.ndarray | None


class MismatchError(Exception):
    """Two graphs differ; the text says where first."""


def match_layers(ours: Any, theirs: Any, *, widths: bool = True) -> list[Pair]:
    """Pair the convolutions of two networks that draw the same maps.

    Args:
        ours: A functional ``keras.Model``; its last stage is looked at.
        theirs: Another one.
        widths: Whether all kernels must have the same channels; otherwise only those that draw maps must have the same
            number of filters.

    Raises:
        MismatchError: Their graphs differ.
    """
    walk = _Walk(None if widths else {id(_pass_over(tensor)) for tensor in (*ours.outputs, *theirs.outputs)})
    for one, other in zip(_last_maps(ours), _last_maps(theirs), strict=True):
        walk.match(one, other)
    return list(walk.pairs.values())


def _last_maps(model: Any) -> tuple[Any, Any]:
    stages = len(model.outputs) // 2
    return model.outputs[stages - 1], model.outputs[-1]


class _Walk:
    """Walks two graphs side by side.

    Attributes:
        pairs: What was paired, by the name of our layer.
        maps: The ``id`` of the tensors that are maps, where channels of others do not count; None counts all.
    """

    def __init__(self, maps: set[int] | None) -> None:
        self.maps = maps
        self.pairs: dict[str, Pair] = {}
        self._orders: dict[tuple[int, int], np.ndarray | None] = {}

    def match(self, one: Any, other: Any) -> np.ndarray | None:
        """Pair everything behind two tensors; returns the order of channels of the second, None for the same."""
        one, other = _pass_over(one), _pass_over(other)
        key = id(one), id(other)
        if key not in self._orders:
            self._orders[key] = self._match(one, other)
        return self._orders[key]

    def _match(self, one: Any, other: Any) -> np.ndarray | None:
        ours, theirs = _layer(one), _layer(other)
        if isinstance(ours, CONVOLUTIONS):
            self._pair(ours, theirs)
            return None
        if type(ours) is not type(theirs):
            raise MismatchError(f"{ours.name} is a {type(ours).__name__}, {theirs.name} a {type(theirs).__name__}")
        if isinstance(ours, POOLS):
            return self.match(ours.input, theirs.input)
        return self._meet(ours, theirs) if isinstance(ours, MERGES) else None

    def _pair(self, ours: Any, theirs: Any) -> None:
        one, other = describe(ours), describe(theirs)
        if self._form(ours) != self._form(theirs):
            raise MismatchError(f"{ours.name} is {one}, {theirs.name} is {other}")
        known = self.pairs.get(ours.name)
        if known is not None and known.theirs is not theirs:
            raise MismatchError(f"{ours.name} would be both {known.theirs.name} and {theirs.name}")
        order = self.match(ours.input, theirs.input)
        self.pairs[ours.name] = Pair(ours, theirs, order)

    def _form(self, layer: Any) -> str:
        """Say of a convolution what must be the same."""
        if self.maps is None or not isinstance(layer, CONVOLUTIONS):
            return describe(layer)
        filters = layer.output.shape[-1] if id(layer.output) in self.maps else "any"
        return describe(layer, f"{layer.kernel_size} to {filters}")

    def _meet(self, ours: Any, theirs: Any) -> np.ndarray | None:
        """Pair the branches that meet at a layer, in whatever order they fit."""
        if len(ours.input) != len(theirs.input):
            raise MismatchError(f"{len(ours.input)} branches meet at {ours.name}, {len(theirs.input)} at {theirs.name}")
        reasons = []
        for chosen in permutations(range(len(theirs.input))):
            before = dict(self.pairs), dict(self._orders)
            try:
                orders = [self.match(one, theirs.input[place]) for one, place in zip(ours.input, chosen, strict=True)]
            except MismatchError as reason:
                self.pairs, self._orders = before
                reasons.append(reason)
                continue
            return _join(theirs, chosen, orders) if isinstance(ours, L.Concatenate) else None
        raise reasons[0]


def describe(layer: Any, shape: str | None = None) -> str:
    """Say what a convolution does: kind, kernel, strides, and the borders it has where it leaves out places.

    Args:
        layer: The convolution.
        shape: What to say of its kernel; by default its shape.
    """
    if not isinstance(layer, CONVOLUTIONS):
        return f"no convolution, a {type(layer).__name__}"
    kernel, strides = ("x".join(map(str, each)) for each in (_kernel(layer).shape, layer.strides))
    kernel = kernel if shape is None else shape
    said = f"a {type(layer).__name__} of {kernel} at strides {strides}"
    before = _layer(layer.input)
    border = f" and {before.padding} before it" if isinstance(before, L.ZeroPadding2D) else ""
    return f"{said}, padding {layer.padding}{border}" if max(layer.strides) > 1 else said


def _join(theirs: Any, chosen: tuple[int, ...], orders: list[np.ndarray | None]) -> np.ndarray | None:
    """The order of joined channels: that of ours, in numbers of theirs."""
    widths = [int(tensor.shape[-1]) for tensor in theirs.input]
    begins = np.concatenate([[0], np.cumsum(widths)])
    parts = [
        begins[place] + (np.arange(widths[place]) if order is None else order)
        for place, order in zip(chosen, orders, strict=True)
    ]
    whole = np.concatenate(parts)
    return None if np.array_equal(whole, np.arange(len(whole))) else whole


def _layer(tensor: Any) -> Any:
    return tensor._keras_history.operation


def _pass_over(tensor: Any) -> Any:
    """The tensor that activations, batch normalizations and borders begin with."""
    while not isinstance(layer := _layer(tensor), (*CONVOLUTIONS, *MERGES, *POOLS, L.InputLayer)):
        tensor = layer.input
    return tensor


def _kernel(layer: Any) -> Any:
    return layer.kernel


# Weights


def take_weights(model: Any, pairs: list[Pair]) -> int:
    """Give a network the weights of the layers that its own were paired with; returns how many layers took theirs.

    A batch normalization that only one of both has is folded in, or made one that changes nothing but the bias.
    """
    for pair in pairs:
        kernel = np.array(_kernel(pair.theirs))
        if pair.order is not None:
            axis = 3 if isinstance(pair.theirs, L.Conv2DTranspose) else 2
            kernel = kernel.take(pair.order, axis=axis)
        bias = np.array(pair.theirs.bias) if pair.theirs.use_bias else None
        norm, known = _norm_after(pair.ours), _norm_after(pair.theirs)
        if norm is None:
            _fill_plain(pair.ours, kernel, bias, known)
        elif known is not None and known.get_weights():
            pair.ours.set_weights([kernel, *_bias(pair.ours, bias)])
            norm.set_weights(
                [np.array(each) for each in (known.gamma, known.beta, known.moving_mean, known.moving_variance)]
            )
        else:
            pair.ours.set_weights([kernel, *_bias(pair.ours, None)])
            channels = int(norm.gamma.shape[0])
            beta = np.zeros(channels) if bias is None else bias
            norm.set_weights([np.ones(channels), beta, np.zeros(channels), np.full(channels, 1 - norm.epsilon)])
    return len(pairs)


def _fill_plain(layer: Any, kernel: np.ndarray, bias: np.ndarray | None, norm: Any) -> None:
    """Give a convolution without normalization a kernel and a bias, and the normalization that the other one has."""
    if norm is not None:
        factor = np.array(norm.gamma) / np.sqrt(np.array(norm.moving_variance) + norm.epsilon)
        kernel = kernel * (factor[:, None] if isinstance(layer, L.DepthwiseConv2D) else factor)
        bias = np.array(norm.beta) + factor * ((0 if bias is None else bias) - np.array(norm.moving_mean))
    if bias is not None and not layer.use_bias and np.any(bias):
        raise MismatchError(f"{layer.name} has no bias for the other network's; set use_bias: true")
    layer.set_weights([kernel, *_bias(layer, bias)])


def _bias(layer: Any, bias: np.ndarray | None) -> Iterator[np.ndarray]:
    if layer.use_bias:
        yield np.zeros(layer.bias.shape) if bias is None else bias


def _norm_after(layer: Any) -> Any:
    """The batch normalization that alone reads a layer; None if there is none."""
    readers = [node.operation for node in layer._outbound_nodes]
    return readers[0] if len(readers) == 1 and isinstance(readers[0], L.BatchNormalization) else None
