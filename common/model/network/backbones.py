"""Backbones: from the picture to features at stride 8.

Where a network would go on to a coarser grid, it stays on this one and its kernels are dilated, so that they see what
they would have seen (Yu and Koltun, "Multi-Scale Context Aggregation by Dilated Convolutions", ICLR 2016): weights
trained at the usual strides, such as ImageNet's, keep their meaning. A helnet does as its ``mtype`` says.
"""

from collections.abc import Callable, Mapping
from string import ascii_lowercase
from types import MappingProxyType
from typing import Any

import keras

from bodyposenet.common.model.network.layers import Style, depthwise_unit, surround, unit
from bodyposenet.common.spec.train import BackboneAttributes

# Name, channels and stride of VGG-19's convolutions up to block 4b, and of one more to narrow it, as in TAO's
# ``models/templates/vgg.py``.
VGG_UNITS = (
    ("block_1a", 64, 1), ("block_1b", 64, 1),
    ("block_2a", 128, 2), ("block_2b", 128, 1),
    ("block_3a", 256, 2), ("block_3b", 256, 1), ("block_3c", 256, 1), ("block_3d", 256, 1),
    ("block_4a", 512, 2), ("block_4b", 512, 1),
    ("block_6a", 256, 1),
)  # fmt: skip

# Convolutions in each of a helnet's blocks, by its number of layers, and the channels of the blocks.
HELNET_DEPTHS = MappingProxyType({6: 1, 10: 2, 18: 4})
HELNET_BLOCKS = (64, 128, 256)
# Stride and dilation of a helnet's first layer, and of its third block.
HELNET_TYPES = MappingProxyType(
    {
        "s8_3rdblock": ((2, 1), (1, 1)),
        "s8_3rdblock_wdilation": ((2, 1), (1, 2)),
        "s8_1stlayer": ((1, 1), (2, 1)),
        "s8_1stlayer_wdilation": ((1, 2), (2, 1)),
    }
)

# Blocks in each group of a ResNet, by its number of layers; channels, stride and dilation of the groups.
RESNET_DEPTHS = MappingProxyType({18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)})
RESNET_GROUPS = ((64, 1, 1), (128, 2, 1), (256, 1, 2), (512, 1, 4))

# Groups of a MobileNetV2 up to its 96 channels: expansion, channels, blocks, stride, dilation.
MOBILENET_GROUPS = ((1, 16, 1, 1, 1), (6, 24, 2, 2, 1), (6, 32, 3, 2, 1), (6, 64, 4, 1, 2), (6, 96, 3, 1, 2))


# Blocks of a MobileNet's groups: channels, stride, dilation.
SEPARABLE_GROUPS = (
    ((64, 1, 1),),
    ((128, 2, 1), (128, 1, 1)),
    ((256, 2, 1), (256, 1, 1)),
    ((512, 1, 1), (512, 1, 2), (512, 1, 1), (512, 1, 1), (512, 1, 1), (512, 1, 1)),
)


def vgg(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """VGG-19 with batch normalization and strides for pooling.

    Args:
        image: ``(B, H, W, 3)``.
        attributes: The backbone's part of the spec.
        style: How convolutions are built.

    Returns:
        ``(B, H/8, W/8, 256)`` at width 1.
    """
    x = image
    for name, channels, stride in VGG_UNITS:
        x = unit(x, channels, stride=stride, name=name, style=style)
    return x


def helnet(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """TAO's HelNet without its last block: a 7x7 convolution and three blocks of 3x3 ones, one after another.

    The reference gives the numbers of layers and of parameters, from which the layout follows. Where it says
    "dilation", the convolutions that lost their stride are dilated by two.

    Args:
        image: ``(B, H, W, 3)``.
        attributes: ``nlayers`` and ``mtype``.
        style: How convolutions are built.

    Returns:
        ``(B, H/8, W/8, 256)`` at width 1.
    """
    (stride, dilation), third = HELNET_TYPES[attributes.mtype]
    x = unit(image, 64, kernel=7, stride=stride, dilation=dilation, name="stem", style=style)
    for block, (channels, shape) in enumerate(zip(HELNET_BLOCKS, ((2, 1), (2, 1), third), strict=True), 1):
        for letter in ascii_lowercase[: HELNET_DEPTHS[attributes.nlayers or 0]]:
            stride, dilation = shape if letter == "a" else (1, shape[1])
            x = unit(x, channels, stride=stride, dilation=dilation, name=f"block_{block}{letter}", style=style)
    return x


def resnet(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """ResNet: He et al., "Deep Residual Learning for Image Recognition" (CVPR 2016, table 1, shortcuts B).

    The last two groups keep stride 8 and are dilated. A bottleneck has its stride at the 3x3 convolution, which sees
    every cell.

    Args:
        image: ``(B, H, W, 3)``.
        attributes: ``nlayers``.
        style: How convolutions are built.

    Returns:
        ``(B, H/8, W/8, 512)`` at width 1, of 50 layers 2048 channels.
    """
    x = unit(image, 64, kernel=7, stride=2, name="stem", style=style)
    x = keras.layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    layers, before, known = attributes.nlayers or 0, 64, 1
    for group, (channels, stride, dilation) in enumerate(RESNET_GROUPS, 1):
        made = channels * (4 if layers == 50 else 1)
        for letter in ascii_lowercase[: RESNET_DEPTHS[layers][group - 1]]:
            name, step = f"block_{group}{letter}", stride if letter == "a" else 1
            convolutions = bottleneck if layers == 50 else basic
            y = convolutions(x, channels, stride=step, dilations=(known, dilation), name=name, style=style)
            if step > 1:  # first, and no strided convolution: oneDNN's gradient of narrow ones writes past its memory
                x = keras.layers.MaxPooling2D(1, step, name=f"{name}_every_second")(x)  # uxlfoundation/oneDNN#6035
            if step > 1 or before != made:
                x = unit(x, made, kernel=1, part="shortcut", relu=None, name=name, style=style)
            x = keras.layers.Activation("relu", name=f"{name}_relu")(keras.layers.Add(name=f"{name}_add")([y, x]))
            before, known = made, dilation  # a group's first kernels see the grid of the group before
    return x


def basic(x: Any, channels: int, *, stride: int, dilations: tuple[int, int], name: str, style: Style) -> Any:
    """The two convolutions of a residual block of ResNet-18 and -34, each with its dilation."""
    first, second = dilations
    x = unit(x, channels, stride=stride, dilation=first, relu="conv_1_relu", name=name, style=style)
    return unit(x, channels, dilation=second, part="2", relu=None, name=name, style=style)


def bottleneck(x: Any, channels: int, *, stride: int, dilations: tuple[int, int], name: str, style: Style) -> Any:
    """The three convolutions of a residual block of ResNet-50, the last four times as wide; one is dilated."""
    x = unit(x, channels, kernel=1, relu="conv_1_relu", name=name, style=style)
    x = unit(x, channels, stride=stride, dilation=dilations[0], part="2", relu="conv_2_relu", name=name, style=style)
    return unit(x, 4 * channels, kernel=1, part="3", relu=None, name=name, style=style)


def mobilenet_v1(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """MobileNet up to its 512 channels: Howard et al., "MobileNets" (arXiv:1704.04861, table 1).

    From 512 channels on it keeps stride 8, and the convolution that loses its stride so is dilated, as in Osokin
    (arXiv:1811.12004, section 3.2). Where it halves the grid there are zeros on all four sides, as the published
    networks have them; Keras' own way puts them to the right and below, and moves what a cell sees by a pixel.

    Args:
        image: ``(B, H, W, 3)``.
        attributes: The backbone's part of the spec.
        style: How convolutions are built.

    Returns:
        ``(B, H/8, W/8, 512)`` at width 1.
    """
    x = unit(surround(image, "stem"), 32, stride=2, padding="valid", name="stem", style=style)
    for group, blocks in enumerate(SEPARABLE_GROUPS, 1):
        for letter, (channels, stride, dilation) in zip(ascii_lowercase, blocks, strict=False):
            name = f"block_{group}{letter}"
            padding = "same"
            if stride > 1:
                x, padding = surround(x, name), "valid"
            x = depthwise_unit(x, padding=padding, stride=stride, dilation=dilation, name=name, style=style)
            x = unit(x, channels, kernel=1, part="2", name=name, style=style)
    return x


def mobilenet_v2(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """MobileNetV2 up to its 96 channels: Sandler et al., "Inverted Residuals and Linear Bottlenecks" (CVPR 2018).

    From 64 channels on it keeps stride 8 and is dilated. The wider rest is left out, as the trunk has 128 channels;
    activations are ReLU, not ReLU6: integer ranges are measured here, not fixed.

    Args:
        image: ``(B, H, W, 3)``.
        attributes: The backbone's part of the spec.
        style: How convolutions are built.

    Returns:
        ``(B, H/8, W/8, 96)`` at width 1, linear.
    """
    x = unit(image, 32, stride=2, name="stem", style=style)
    before, known = 32, 1
    for group, (expansion, channels, blocks, stride, dilation) in enumerate(MOBILENET_GROUPS, 1):
        for letter in ascii_lowercase[:blocks]:
            name, step = f"block_{group}{letter}", stride if letter == "a" else 1
            y = x
            if expansion > 1:
                y = unit(y, expansion * before, kernel=1, relu="conv_1_relu", name=name, style=style)
            y = depthwise_unit(y, stride=step, dilation=known, name=name, style=style)
            y = unit(y, channels, kernel=1, part="2", relu=None, name=name, style=style)
            alike = step == 1 and before == channels
            x = keras.layers.Add(name=f"{name}_add")([y, x]) if alike else y
            before, known = channels, dilation
    return x


Backbone = Callable[[Any, BackboneAttributes, Style], Any]
BACKBONES: Mapping[str, Backbone] = MappingProxyType(
    {"vgg": vgg, "helnet": helnet, "resnet": resnet, "mobilenet_v1": mobilenet_v1, "mobilenet_v2": mobilenet_v2}
)


def backbone(image: Any, attributes: BackboneAttributes, style: Style) -> Any:
    """The backbone that the spec names: ``(B, H, W, 3)`` to ``(B, H/8, W/8, F)``."""
    return BACKBONES[attributes.architecture](image, attributes, style)
