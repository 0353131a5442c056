"""ONNX operations: a network in those that an ONNX graph has, before it is converted.

Keras deals the cells of a tensor out to a batch where it convolves with dilations, and gathers them after
(``SpaceToBatchND``), which has gradients on every device; an ONNX ``Conv`` has dilations itself. And the converter
folds batch normalization into convolutions, but not into depthwise ones.
"""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

L = keras.layers


class Dilated(keras.layers.Conv2D):
    """A ``Conv2D`` whose dilation TensorFlow's own operation does; channels last, only to be traced."""

    def call(self, inputs: Any) -> Any:
        """The convolution, its bias and its activation."""
        return finish(self, tf.nn.conv2d(inputs, self.kernel, 1, paddings(self), dilations=self.dilation_rate))


class DilatedDepthwise(keras.layers.DepthwiseConv2D):
    """The same of a ``DepthwiseConv2D``."""

    def call(self, inputs: Any) -> Any:
        """The convolution, its bias and its activation."""
        y = tf.raw_ops.DepthwiseConv2dNative(
            input=inputs, filter=tf.convert_to_tensor(self.kernel), strides=[1, 1, 1, 1], padding="EXPLICIT",
            explicit_paddings=[side for axis in paddings(self) for side in axis], dilations=[1, *self.dilation_rate, 1],
        )  # fmt: skip
        return finish(self, y)


class Passed(keras.layers.Layer):
    """What a batch normalization leaves behind where the convolution before it has taken it in."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        """The inputs."""
        return inputs


DILATED: dict[Any, Any] = {L.Conv2D: Dilated, L.DepthwiseConv2D: DilatedDepthwise}


def paddings(layer: Any) -> list[list[int]]:
    """Zeros before and after each axis, told in numbers: ONNX Runtime takes no dilations with its automatic ones."""
    if layer.padding == "valid":
        return [[0, 0]] * 4
    around = [rate * (size - 1) for rate, size in zip(layer.dilation_rate, layer.kernel_size, strict=True)]
    return [[0, 0], *([total // 2, total - total // 2] for total in around), [0, 0]]


def finish(layer: Any, y: Any) -> Any:
    """What follows a layer's convolution."""
    y = tf.nn.bias_add(y, layer.bias) if layer.use_bias else y
    return layer.activation(y)


def in_onnx_operations(model: Any) -> Any:
    """A copy of a network in which a dilated convolution is one operation, and a depthwise one its normalization too.

    Args:
        model: A functional ``keras.Model``, channels last; it is left as it is.
    """
    pairs = [(depthwise_before(layer), layer) for layer in model.layers]
    folded = {layer.name: norm for layer, norm in pairs if layer is not None}
    gone = {norm.name for norm in folded.values()}

    def remade(layer: Any) -> Any:
        if layer.name in gone:
            return Passed(name=layer.name)
        config = layer.get_config() | ({"use_bias": True} if layer.name in folded else {})
        kind: Any = type(layer)
        if max(getattr(layer, "dilation_rate", (1,))) > 1:
            kind = DILATED.get(kind, kind)
        return kind.from_config(config)

    copy = keras.models.clone_model(model, clone_function=remade)
    for layer in model.layers:
        weights = with_normalization(layer, folded[layer.name]) if layer.name in folded else layer.get_weights()
        if weights and layer.name not in gone:
            copy.get_layer(layer.name).set_weights(weights)
    return copy


def depthwise_before(norm: Any) -> Any:
    """The depthwise convolution that a batch normalization follows and nothing else reads; None for other layers."""
    if not isinstance(norm, L.BatchNormalization):
        return None
    layer = norm.input._keras_history.operation
    alone = type(layer) is L.DepthwiseConv2D and len(layer._outbound_nodes) == 1
    return layer if alone and layer.depth_multiplier == 1 and layer.activation is keras.activations.linear else None


def with_normalization(layer: Any, norm: Any) -> list[np.ndarray]:
    """Kernel ``(kh, kw, C, 1)`` and bias ``(C,)`` of a depthwise convolution and its normalization in one."""
    kernel, *bias = (weight.astype(np.float64) for weight in layer.get_weights())
    values = {weight.name: np.asarray(weight, np.float64) for weight in norm.weights}
    factor = values.get("gamma", 1.0) / np.sqrt(values["moving_variance"] + norm.epsilon)
    offset = values.get("beta", 0.0) + factor * (sum(bias) - values["moving_mean"])
    return [kernel * factor[:, None], offset]
