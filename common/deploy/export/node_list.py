"""Node list: what the nodes and constants of a graph are written to, and the layers that they are written for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from bodyposenet.common.deploy.export.canonical import free_name

FIRST = (0, 2, 3, 1)  # where each axis of a tensor with channels last is among those with channels first
NOTHING: Mapping[str, Any] = MappingProxyType({})


class UnknownLayerError(Exception):
    """A layer that is not written here."""


@dataclass(frozen=True)
class LayerCall:
    """A layer where it is applied.

    Attributes:
        layer: The layer.
        tensor: What it draws, Keras' symbol of it.
        sources: What it reads.
        norm: Batch normalization that a convolution takes in, or None.
        border: Zeros above, to the left, below, to the right that a convolution takes in.
        divided: Whether its strides divide the rows and columns of what it reads, whatever the picture's size.
    """

    layer: Any
    tensor: Any
    sources: tuple[Any, ...]
    norm: Any = None
    border: tuple[int, int, int, int] = (0, 0, 0, 0)
    divided: bool = False


class NodeList:
    """Nodes and constants of a graph that is being written; everything is named after its layer.

    Args:
        taken: Names that no node gets.
    """

    def __init__(self, taken: Sequence[str]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._taken = set(taken)

    def add(
        self, op: str, stem: str, sources: Sequence[str], constants: Mapping[str, Any] = NOTHING, **attributes: Any
    ) -> str:
        """Append a node, which reads the constants after the sources; returns the name of the node and its output."""
        name = free_name(stem, op.lower(), self._taken)
        self._taken.add(name)
        return self.finish(op, name, sources, constants, **attributes)

    def finish(
        self, op: str, name: str, sources: Sequence[str], constants: Mapping[str, Any] = NOTHING, **attributes: Any
    ) -> str:
        """The same under a name that was kept for it."""
        from onnx import helper, numpy_helper

        made = {f"{name}/{label}": np.asarray(value) for label, value in constants.items()}
        self.constants += [numpy_helper.from_array(value, key) for key, value in made.items()]
        self.nodes.append(helper.make_node(op, [*sources, *made], [name], name=name, **attributes))
        return name


def unknown(layer: Any) -> UnknownLayerError:
    """The error that tells of a layer."""
    return UnknownLayerError(f"{layer.name} ({type(layer).__name__})")
