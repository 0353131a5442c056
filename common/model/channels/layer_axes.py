"""Layer axes: along which axes of a layer's weights its channels lie."""

from typing import Any, Literal

import keras

L = keras.layers
Which = Literal["read", "made"]  # the channels that the layer reads, or those that it makes
Axes = dict[str, dict[int, Which]]  # weight name -> axis -> which channels

# The first entry that fits a layer holds. Weights and axes that are not named are taken over whole.
AXES: tuple[tuple[Any, Axes], ...] = (
    (L.Conv2D, {"kernel": {2: "read", 3: "made"}, "bias": {0: "made"}}),
    (L.Dense, {"kernel": {0: "read", 1: "made"}, "bias": {0: "made"}}),
    (L.Conv2DTranspose, {"kernel": {2: "made", 3: "read"}, "bias": {0: "made"}}),
    (L.DepthwiseConv2D, {"kernel": {2: "read"}, "bias": {0: "read"}}),
    (L.BatchNormalization, {name: {0: "read"} for name in ("gamma", "beta", "moving_mean", "moving_variance")}),
    (L.PReLU, {"alpha": {-1: "read"}}),
)


def find_axes(layer: Any, variable: Any) -> dict[int, Which]:
    """Find which channels lie along which axes of one of a layer's weights."""
    axes: Axes = next((axes for types, axes in AXES if isinstance(layer, types)), {})
    return axes.get(variable.name, {})
