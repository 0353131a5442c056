"""Refit: what is left of a pruned network learns, layer by layer, to draw what the whole one drew.

After He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks" (ICCV 2017, section 3.1, equation
1 with the filters given): each layer's weights are those whose outputs are nearest, in the least squares, to those that
its filters had in the whole network, computed from what the layers before it, refitted already, hand it. It takes no
labels and no gradient steps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from bodyposenet.common.model.channels.criteria import Indices

Floats = NDArray[np.float32]
Pictures = NDArray[np.float32]

PLACES = 1024  # of a picture that a layer is fitted to, at most
TOWARDS = 1e-3  # how much weights that make no difference are held to what they were, of the inputs' mean square


def refit(model: Any, smaller: Any, filters: Mapping[str, Indices], batches: Sequence[Pictures]) -> dict[str, float]:
    """Fit the convolutions of a pruned network to those of the whole one, in place.

    Depthwise convolutions, layers that are called twice and those of models in the model stay as they are.

    Args:
        model: The whole network.
        smaller: What pruning left of it, with the same names of layers.
        filters: For each layer that lost filters, those that stayed.
        batches: Pictures ``(B, H, W, 3)`` as the network takes them.

    Returns:
        For each layer the mean square error after fitting, over the variance of what it is to draw.
    """
    errors = {}
    for layer in smaller.layers:
        if is_plain(layer):
            whole = model.get_layer(layer.name)
            kept = filters.get(layer.name, np.arange(whole.filters))
            errors[layer.name] = _refit_layer(Sight(model, whole), Sight(smaller, layer), kept, batches)
    return errors


def is_plain(layer: Any) -> bool:
    """Whether it is a dense convolution that is called once."""
    return type(layer) is keras.layers.Conv2D and layer.groups == 1 and len(layer._inbound_nodes) == 1


class Sight:
    """What a layer of a network is handed, and what it makes of that."""

    def __init__(self, model: Any, layer: Any, *, given: Any = None) -> None:
        self.layer = layer
        given = layer.input if given is None else given  # a tensor of the network
        self._look = tf.function(keras.Model(model.inputs, given), autograph=False)

    def see(self, pictures: Pictures) -> Any:
        """``(B, H, W, C)`` float32."""
        return self._look(tf.constant(pictures))

    def draw(self, seen: Any) -> Floats:
        """Compute the layer before its activation, ``(B H W, F)``."""
        made = self.layer.convolution_op(seen, tf.convert_to_tensor(self.layer.kernel))
        if self.layer.bias is not None:
            made = made + self.layer.bias
        return np.asarray(made).reshape(-1, made.shape[-1])

    def patches(self, seen: Any) -> Floats:
        """Lay out what each place is computed from, ``(B H W, kh kw C)``, in the order of a kernel's weights."""
        layer = self.layer
        each = tf.image.extract_patches(
            seen, [1, *layer.kernel_size, 1], [1, *layer.strides, 1], [1, *layer.dilation_rate, 1],
            layer.padding.upper(),
        )  # fmt: skip
        return np.asarray(each).reshape(-1, each.shape[-1])


def read_pairs(
    whole: Sight, part: Sight, kept: Indices, batches: Iterable[Pictures]
) -> Iterator[tuple[Floats, Floats]]:
    """Read, picture by picture, what the layer has at some places, and what it is to make of it.

    Shape letters: P places, at most ``PLACES``; I inputs of a place; F filters that are left.

    Args:
        whole: Sight of the layer in the whole network.
        part: Sight of the layer that is left of it.
        kept: ``(F,)`` which filters of the whole layer are left.
        batches: Pictures.

    Yields:
        ``(P, I)`` what is there, and ``(P, F)`` what is wanted.
    """
    rng = np.random.default_rng(0)
    for pictures in batches:
        for ours, theirs in zip(part.see(pictures), whole.see(pictures), strict=True):
            inputs, wanted = part.patches(ours[None]), whole.draw(theirs[None])
            places = rng.permutation(len(inputs))[:PLACES]
            yield inputs[places], wanted[places][:, kept]


@dataclass(frozen=True)
class LeastSquares:
    """Weights that make what is wanted of what is there, as near as least squares get.

    Attributes:
        weights: ``(I, F)``; with a bias, that is the last row.
        products: ``(I, I)``, the mean over places of products of inputs; with a bias, 1 is the last input.
        error: Mean square error over the variance of what is wanted.
    """

    weights: NDArray[np.float64]
    products: NDArray[np.float64]
    error: float


def fit(weights: NDArray[np.float64], bias: bool, pairs: Iterable[tuple[Floats, Floats]]) -> LeastSquares:
    """Find the weights, near given ones where the inputs leave a choice.

    Args:
        weights: ``(I, F)`` to start from, the bias as last row if there is one.
        bias: Whether there is one.
        pairs: Inputs ``(N, I)``, without the 1 for the bias, and what is wanted, ``(N, F)``.
    """
    products, targets = np.zeros((len(weights), len(weights))), np.zeros(weights.shape)
    left = spread = 0.0
    count = 0
    for inputs, wanted in pairs:
        if bias:
            inputs = np.c_[inputs, np.ones(len(inputs), np.float32)]
        missing = wanted - inputs @ weights.astype(np.float32)
        products += inputs.T @ inputs
        targets += inputs.T @ missing
        left, spread = left + np.square(missing).sum(), spread + np.square(wanted - wanted.mean(axis=0)).sum()
        count += len(inputs)
    ridge = TOWARDS * np.trace(products) / len(products) or 1.0  # of inputs that are silent everywhere nothing changes
    change = np.linalg.solve(products + ridge * np.eye(len(products)), targets)
    left += (change * (products @ change - 2 * targets)).sum()
    return LeastSquares(weights + change, products / max(count, 1), float(max(left, 0.0) / max(spread, 1e-12)))


def _refit_layer(whole: Sight, part: Sight, kept: Indices, batches: Iterable[Pictures]) -> float:
    """Fit one layer; the share of what it is to draw that is left over."""
    layer, bias = part.layer, part.layer.bias is not None
    done = fit(flat_weights(layer), bias, read_pairs(whole, part, kept, batches))
    layer.kernel.assign(done.weights[: len(done.weights) - bias].reshape(layer.kernel.shape))
    if bias:
        layer.bias.assign(done.weights[-1])
    return done.error


def flat_weights(layer: Any) -> NDArray[np.float64]:
    """A convolution's kernel as ``(kh kw C, F)``, its bias, if it has one, as one row more."""
    kernel = np.asarray(layer.kernel, np.float64)
    weights = kernel.reshape(-1, kernel.shape[-1])
    return weights if layer.bias is None else np.r_[weights, np.asarray(layer.bias, np.float64)[None]]
