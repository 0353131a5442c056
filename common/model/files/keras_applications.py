"""Keras Applications: VGG19, trained on ImageNet, as the start of the VGG backbone.

Its first ten convolutions are the backbone's, without batch normalization, with biases, and for pictures in another
colour order and scale. Biases and scale are folded so that each convolution and its normalization compute at inference
what VGG19's convolution does. Where VGG19 pools, the backbone strides: the features are akin, not the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bodyposenet.common.model.files.hdf5 import Arrays
from bodyposenet.common.model.files.weights_file import Stored

UNITS = {
    "block1_conv1": "block_1a", "block1_conv2": "block_1b",
    "block2_conv1": "block_2a", "block2_conv2": "block_2b",
    "block3_conv1": "block_3a", "block3_conv2": "block_3b", "block3_conv3": "block_3c", "block3_conv4": "block_3d",
    "block4_conv1": "block_4a", "block4_conv2": "block_4b",
}  # fmt: skip
FIRST = "block1_conv1"
RGB_MEAN = (123.68, 116.779, 103.939)  # what keras.applications.vgg19.preprocess_input takes off, there as BGR


def is_vgg19(stored: Stored) -> bool:
    """Whether a file holds the convolutions of Keras Applications' VGG19."""
    return all(len(stored.layers.get(name, ())) == 2 for name in UNITS)


def as_backbone(stored: Stored, network: Any, *, scale: Sequence[float], offset: Sequence[float]) -> Stored:
    """VGG19's weights under the names, and with the folds, of this network's backbone.

    Args:
        stored: VGG19's weights.
        network: The ``keras.Model`` to fill.
        scale: Per channel: network input = RGB / scale - offset.
        offset: Per channel, see ``scale``.

    Returns:
        The weights of the backbone's convolutions and normalizations; VGG19's other layers stay as they are.
    """
    layers = {layer.name: layer for layer in network.layers}
    made: dict[str, Arrays] = {name: arrays for name, arrays in stored.layers.items() if name not in UNITS}
    exact = True
    for theirs, ours in UNITS.items():
        kernel, bias = stored.layers[theirs]
        if theirs == FIRST:
            kernel, bias, exact = for_input(kernel, bias, scale, offset)
        made |= _unit(layers, ours, kernel, bias, theirs)
    note = "VGG19 pools where this backbone strides: its features are akin, not equal"
    border = "block_1a: equal but for the outermost pixels, where VGG19 pads with ImageNet's mean colour"
    return replace(stored, kind="Keras Applications VGG19", layers=made, notes=(note,) if exact else (note, border))


def for_input(
    kernel: np.ndarray, bias: np.ndarray, scale: Sequence[float], offset: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The first convolution, for RGB / scale - offset in place of BGR - mean.

    Args:
        kernel: ``(3, 3, 3, F)``, input channels blue, green, red.
        bias: ``(F,)``.
        scale: Per channel, red first.
        offset: Per channel, red first.

    Returns:
        Kernel and bias, equal wherever the kernel sees no padding; and whether they are equal there, too.
    """
    rgb = kernel[:, :, ::-1].astype(np.float64)
    shift = np.multiply(scale, offset) - RGB_MEAN  # what an input of zero is to VGG19
    constant = np.einsum("hwcf,c->f", rgb, shift)
    scaled = rgb * np.asarray(scale, np.float64)[:, None]
    return scaled.astype(np.float32), (bias + constant).astype(np.float32), not shift.any()


def _unit(layers: dict[str, Any], unit: str, kernel: np.ndarray, bias: np.ndarray, theirs: str) -> dict[str, Arrays]:
    """A backbone unit's convolution and normalization that compute ``kernel`` and ``bias`` at inference.

    The bias of a convolution that has none goes to the moving mean, not to beta: while training, the batch's own mean
    is taken off instead, bias and all, and scale and shift should start at one and zero.
    """
    conv, norm = layers.get(f"{unit}_conv_1"), layers.get(f"{unit}_bn_1")
    if conv is None or (norm is None and not conv.use_bias):
        return {theirs: (kernel, bias)}
    made: dict[str, Arrays] = {conv.name: (kernel, bias) if conv.use_bias else (kernel,)}
    if norm is not None:
        one, zero = np.ones_like(bias), np.zeros_like(bias)
        made[norm.name] = (one, zero, zero if conv.use_bias else -bias, one - np.float32(norm.epsilon))
    return made
