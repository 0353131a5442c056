"""Layers: the few convolution blocks that every network here is made of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from bodyposenet.common.spec.train import ModelSpec

CHANNEL_STEP = 8  # channel counts stay multiples of this at every width: what vector units and Tensor Cores like
HEAD_STDDEV = 0.01  # of the output convolutions' start weights, as in TAO
# Start weights of a 3x3 filter that reads and makes one channel; Keras would count all channels, and begin near zero.
DEPTHWISE_GLOROT = (6 / (9 + 9)) ** 0.5
DEPTHWISE_HE = (2 / 9) ** 0.5


@dataclass(frozen=True)
class Style:
    """How convolutions are built: the parts of the model spec that every layer shares.

    Attributes:
        width: Share of the usual filters.
        use_bias: Biases in the convolutions after the backbone.
        backbone_bias: Biases in the backbone's.
        normalized: Batch normalization in the backbone.
        initializer: Of start weights, the spec's word for it.
        bn_momentum: Share of its past that batch normalization keeps at a step.
        regularizer: Makes a penalty of a factor.
        kernel_factor: Of the penalty on kernels; 0 is none.
        bias_factor: Of the penalty on biases; 0 is none.
        activation: Of units, Keras' name of it.
    """

    width: float
    use_bias: bool
    backbone_bias: bool
    normalized: bool
    initializer: str
    bn_momentum: float
    regularizer: Callable[[float], Any]
    kernel_factor: float
    bias_factor: float
    activation: str = "relu"

    @classmethod
    def read(cls, spec: ModelSpec) -> "Style":
        """The style that a model spec asks for."""
        backbone = spec.backbone_attributes
        return cls(
            width=backbone.width_multiplier or 1.0,
            use_bias=spec.use_bias,
            backbone_bias=backbone.use_bias,
            normalized=backbone.use_batch_norm is not False,
            initializer=spec.kernel_initializer,
            bn_momentum=0.99 if backbone.bn_momentum is None else backbone.bn_momentum,
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


def unit(
    x: Any, full: int, *, name: str, style: Style, kernel: int = 3, stride: int = 1, dilation: int = 1, part: str = "1",
    relu: str | None = "relu", padding: str = "same",
) -> Any:  # fmt: skip
    """A backbone unit: convolution, batch normalization, ReLU; layers ``NAME_conv_PART``, ``NAME_bn_PART``.

    Args:
        x: ``(B, H, W, C)``.
        full: Filters at width 1.
        name: Of the block it belongs to.
        style: How convolutions are built.
        kernel: Rows and columns of the kernel.
        stride: Between the places where the kernel is laid.
        dilation: Between the cells that the kernel sees.
        part: Of the block.
        relu: Ends the name of the activation; None leaves it out.
        padding: ``valid`` where the borders are there already, see :func:`surround`.
    """
    x = keras.layers.Conv2D(
        style.channels(full), kernel, strides=stride, dilation_rate=dilation, padding=padding,
        name=f"{name}_conv_{part}", **style.weights(backbone_initializer(style), style.backbone_bias),
    )(x)  # fmt: skip
    return normalize(x, name=name, style=style, part=part, relu=relu)


def depthwise_unit(
    x: Any, *, name: str, style: Style, stride: int = 1, dilation: int = 1, relu: str = "depthwise_relu",
    padding: str = "same",
) -> Any:  # fmt: skip
    """A 3x3 convolution of each channel by itself, batch normalization, and the activation, by default ReLU."""
    initializer = keras.initializers.RandomUniform(-DEPTHWISE_GLOROT, DEPTHWISE_GLOROT)
    if style.initializer == "he_normal":
        initializer = keras.initializers.RandomNormal(stddev=DEPTHWISE_HE)
    weights = style.weights(initializer, style.backbone_bias)
    own = {key.replace("kernel_", "depthwise_"): value for key, value in weights.items()}
    x = keras.layers.DepthwiseConv2D(
        3, strides=stride, dilation_rate=dilation, padding=padding, name=f"{name}_depthwise", **own
    )(x)
    return normalize(x, name=name, style=style, part="depthwise", relu=relu)


def surround(x: Any, name: str) -> Any:
    """Zeros on all four sides of rows and columns, for a 3x3 convolution that halves the grid."""
    return keras.layers.ZeroPadding2D(1, name=f"{name}_border")(x)


def normalize(x: Any, *, name: str, style: Style, part: str, relu: str | None) -> Any:
    """What follows a backbone's convolution: batch normalization, where the spec wants it, and ReLU."""
    if style.normalized:
        x = keras.layers.BatchNormalization(momentum=style.bn_momentum, name=f"{name}_bn_{part}")(x)
    return keras.layers.Activation(style.activation, name=f"{name}_{relu}")(x) if relu else x


def backbone_initializer(style: Style) -> str:
    """Start weights of the backbone: Glorot's, as Keras has them, or He's."""
    return "he_normal" if style.initializer == "he_normal" else "glorot_uniform"


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
