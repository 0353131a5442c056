"""Layer inputs: what a foreign operation reads, as Keras has it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from bodyposenet.common.adopt.graph import Node


@dataclass(frozen=True)
class Value:
    """A tensor as Keras has it, ``(N, H, W, C)``, and the order of its axes in the file."""

    tensor: Any
    axes: str


@dataclass(frozen=True)
class Given:
    """What an operation reads.

    Attributes:
        node: The operation.
        values: Of its inputs: a :class:`Value`, an array if constant, None if left out.
        name: Of the layer to make.
    """

    node: Node
    values: tuple[Any, ...]
    name: str

    @property
    def first(self) -> Value:
        """The first input, which is no constant."""
        return next(each for each in self.values if isinstance(each, Value))

    def draw(self, layer: Any, *weights: np.ndarray) -> Value:
        """Apply a layer with these weights to the first input."""
        drawn = Value(layer(self.first.tensor), self.first.axes)
        if weights:
            layer.set_weights([np.asarray(each, np.float32) for each in weights])
        return drawn
