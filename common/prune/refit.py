"""Refit: what is left of a pruned network learns, layer by layer, to draw what the whole one drew.

After He, Zhang and Sun, "Channel Pruning for Accelerating Very Deep Neural Networks" (ICCV 2017, section 3.1, equation
1 with the filters given): each layer's weights are those whose outputs are nearest, in the least squares, to those that
its filters had in the whole network, computed from what the layers before it, refitted already, hand it. It takes no
labels and no gradient steps.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
        if type(layer) is keras.layers.Conv2D and layer.groups == 1 and len(layer._inbound_nodes) == 1:
            whole = model.get_layer(layer.name)
            kept = filters.get(layer.name, np.arange(whole.filters))
            errors[layer.name] = _fit(_Sight(model, whole), _Sight(smaller, layer), kept, batches)
    return errors


class _Sight:
    """What a layer of a network is handed, and what it makes of that."""

    def __init__(self, model: Any, layer: Any) -> None:
        self.layer = layer
        self._look = tf.function(keras.Model(model.inputs, layer.input), autograph=False)

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


def _read_pairs(
    whole: _Sight, part: _Sight, kept: Indices, batches: Iterable[Pictures]
) -> Iterator[tuple[Floats, Floats]]:
    """Read, picture by picture, what the layer has at some places, and what it is to make of it."""
    rng = np.random.default_rng(0)
    for pictures in batches:
        for ours, theirs in zip(part.see(pictures), whole.see(pictures), strict=True):
            inputs, wanted = part.patches(ours[None]), whole.draw(theirs[None])
            places = rng.permutation(len(inputs))[:PLACES]
            yield inputs[places], wanted[places][:, kept]


def _fit(whole: _Sight, part: _Sight, kept: Indices, batches: Iterable[Pictures]) -> float:
    """Fit one layer; the share of what it is to draw that is left over."""
    layer = part.layer
    kernel = np.asarray(layer.kernel)
    weights = kernel.reshape(-1, kernel.shape[-1]).astype(np.float64)
    if layer.bias is not None:
        weights = np.r_[weights, np.asarray(layer.bias, np.float64)[None]]
    products, targets = np.zeros((len(weights), len(weights))), np.zeros(weights.shape)
    left = spread = 0.0
    for inputs, wanted in _read_pairs(whole, part, kept, batches):
        if layer.bias is not None:
            inputs = np.c_[inputs, np.ones(len(inputs), np.float32)]
        missing = wanted - inputs @ weights.astype(np.float32)
        products += inputs.T @ inputs
        targets += inputs.T @ missing
        left, spread = left + np.square(missing).sum(), spread + np.square(wanted - wanted.mean(axis=0)).sum()
    ridge = TOWARDS * np.trace(products) / len(products) or 1.0  # of inputs that are silent everywhere nothing changes
    change = np.linalg.solve(products + ridge * np.eye(len(products)), targets)
    left += (change * (products @ change - 2 * targets)).sum()
    weights += change
    layer.kernel.assign(weights[: len(weights) - (layer.bias is not None)].reshape(kernel.shape))
    if layer.bias is not None:
        layer.bias.assign(weights[-1])
    return float(max(left, 0.0) / max(spread, 1e-12))
