"""Layers: the few convolution blocks that every network here is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from bodyposenet.common.spec.train import ModelSpec

CHANNEL_STEP = 8  # channel counts stay multiples of this at every width: what vector units and Tensor Cores like
HEAD_STDDEV = 0.01  # of the output convolutions' start weights (reference 5.1)


@dataclass(frozen=True)
class Style:
    """How convolutions are built: the parts of the model spec that every layer shares."""

    width: float
    use_bias: bool
    backbone_bias: bool
    initializer: str
    bn_momentum: float
    regularizer: Callable[[float], Any]
    kernel_factor: float
    bias_factor: float

    @classmethod
    def of(cls, spec: ModelSpec) -> "Style":
        """The style that a model spec asks for."""
        backbone = spec.backbone_attributes
        return cls(
            width=backbone.width_multiplier or 1.0,
            use_bias=spec.use_bias,
            backbone_bias=backbone.use_bias,
            initializer=spec.kernel_initializer,
            bn_momentum=backbone.bn_momentum or 0.99,
            regularizer=REGULARIZERS[spec.regularization_type],
            kernel_factor=spec.kernel_regularization_factor,
            bias_factor=spec.bias_regularization_factor,
        )

    def channels(self, full: int) -> int:
        """Channels of a layer that has ``full`` of them at width 1."""
        return max(CHANNEL_STEP, CHANNEL_STEP * round(full * self.width / CHANNEL_STEP))

    def weights(self, initializer: Any, bias: bool) -> dict[str, Any]:
        """Keyword arguments of a ``Conv2D`` that concern its weights."""
        return {
            "use_bias": bias,
            "kernel_initializer": initializer,
            "kernel_regularizer": self.regularizer(self.kernel_factor) if self.kernel_factor else None,
            "bias_regularizer": self.regularizer(self.bias_factor) if self.bias_factor and bias else None,
        }


REGULARIZERS: dict[str, Callable[[float], Any]] = {
    "l1": lambda factor: keras.regularizers.L1(factor),
    "l2": lambda factor: keras.regularizers.L2(factor),
    "l1_l2": lambda factor: keras.regularizers.L1L2(l1=factor, l2=factor),
}


def head_initializer(style: Style) -> Any:
    """Start weights of the convolutions after the backbone: TAO's N(0, .01), Glorot's or He's."""
    if style.initializer == "xavier":
        return "glorot_uniform"
    if style.initializer == "he_normal":
        return "he_normal"
    return keras.initializers.RandomNormal(stddev=HEAD_STDDEV)


def unit(x: Any, full: int, *, stride: int, name: str, style: Style) -> Any:
    """A backbone unit: 3x3 convolution, batch normalization, ReLU."""
    initializer = "he_normal" if style.initializer == "he_normal" else "glorot_uniform"
    x = keras.layers.Conv2D(
        style.channels(full), 3, strides=stride, padding="same", name=f"{name}_conv_1",
        **style.weights(initializer, style.backbone_bias),
    )(x)  # fmt: skip
    x = keras.layers.BatchNormalization(momentum=style.bn_momentum, name=f"{name}_bn_1")(x)
    return keras.layers.Activation("relu", name=f"{name}_relu")(x)


def conv(x: Any, full: int, kernel: int, *, name: str, style: Style, activation: str = "relu") -> Any:
    """A convolution of the stages and its activation, as two layers."""
    x = keras.layers.Conv2D(
        style.channels(full),
        kernel,
        padding="same",
        name=name,
        **style.weights(head_initializer(style), style.use_bias),
    )(x)
    return keras.layers.Activation(activation, name=f"{name}_{activation}")(x)


def output(x: Any, channels: int, *, name: str, style: Style) -> Any:
    """A linear 1x1 convolution that draws maps; computed in float32 whatever the policy."""
    initializer = keras.initializers.RandomNormal(stddev=HEAD_STDDEV)
    if style.initializer == "xavier":
        initializer = "glorot_uniform"
    return keras.layers.Conv2D(
        channels, 1, padding="same", name=name, dtype="float32", **style.weights(initializer, style.use_bias)
    )(x)
