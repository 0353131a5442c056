"""Lightweight OpenPose: features in depthwise convolutions, and stages that refine the maps in residual blocks.

The layout is that of Intel's human-pose-estimation-0001 (Open Model Zoo), after Osokin, "Real-time 2D Multi-Person Pose
Estimation on CPU: Lightweight OpenPose" (arXiv:1811.12004, sections 3.2 to 3.4); the backbone is the spec's, there a
``mobilenet_v1``. As everywhere here, each stage draws heatmaps and part affinity fields, and the later ones see those
of the stage before.
"""

from dataclasses import replace
from typing import Any

import keras

from bodyposenet.common.model.network.layers import Style, conv, depthwise_unit, unit

ALIGNED = 128  # channels of the features that every stage sees
FIRST_HEAD = 512  # channels before the first stage's maps
SEPARABLE = 3  # depthwise convolutions that align the features
FIRST = 3  # convolutions of the first stage
BLOCKS = 5  # residual blocks of a later stage


def align(features: Any, style: Style) -> Any:
    """Narrow a backbone's features, and let them see their surroundings: ``(B, H, W, F)`` to ``(B, H, W, 128)``."""
    narrow = conv(features, ALIGNED, 1, name="align_conv", style=style, activation="elu")
    plain = replace(style, normalized=False, backbone_bias=True, activation="elu")
    x = conv(narrow, ALIGNED, 1, name="align_reduction_conv", style=style, activation="elu")
    for number in range(1, SEPARABLE + 1):
        name = f"align_{number}"
        x = depthwise_unit(x, name=name, style=plain, relu="depthwise_elu")
        x = unit(x, ALIGNED, kernel=1, name=name, part="2", style=plain, relu="elu")
    x = keras.layers.Add(name="align_add")([narrow, x])
    return conv(x, ALIGNED, 3, name="channel_reduction_conv", style=style)


def begin_stage(features: Any, style: Style) -> tuple[Any, Any]:
    """What the first stage makes of the features: features for the fields, and for the heatmaps."""
    x = features
    for number in range(1, FIRST + 1):
        x = conv(x, ALIGNED, 3, name=f"stage1_conv{number}", style=style)
    return _heads(x, 1, FIRST_HEAD, style)


def refine(features: Any, before: tuple[Any, Any], index: int, style: Style) -> tuple[Any, Any]:
    """The same of a later stage.

    Args:
        features: ``(B, H, W, 128)``.
        before: The maps of the stage before.
        index: Of the stage, from 2.
        style: How convolutions are built.
    """
    x = keras.layers.Concatenate(name=f"stage{index}_in")([features, *before])
    for number in range(1, BLOCKS + 1):
        name = f"stage{index}_block{number}"
        x = conv(x, ALIGNED, 1, name=f"{name}_conv", style=style)
        y = unit(x, ALIGNED, name=name, part="1", style=style, relu="relu_1")
        y = unit(y, ALIGNED, name=name, part="2", dilation=2, style=style, relu="relu_2")
        x = keras.layers.Add(name=f"{name}_add")([x, y])
    return _heads(x, index, ALIGNED, style)


def _heads(x: Any, index: int, channels: int, style: Style) -> tuple[Any, Any]:
    paf, heat = (
        conv(x, channels, 1, name=f"stage{index}_{kind}_conv{FIRST + 1}", style=style) for kind in ("paf", "cmap")
    )
    return paf, heat
