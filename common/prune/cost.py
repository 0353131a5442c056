"""Cost: what a network would cost with fewer channels, counted without building it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bodyposenet.common.model.channels.channel_graph import ChannelGraph, width
from bodyposenet.common.model.channels.criteria import Indices
from bodyposenet.common.model.channels.layer_axes import find_axes
from bodyposenet.common.model.network.flops import layer_multiply_adds

Kept = Mapping[str, Indices]  # for each prunable layer, by path, the indices of its filters that stay


@dataclass(frozen=True)
class NetworkCost:
    """Parameters and multiply-adds of a network, and of what pruning would leave of it.

    Attributes:
        graph: The network's channels.
        params: Parameters of the whole, BN statistics included.
        macs: Multiply-adds of each layer for one picture, by path; also of those that pruning leaves alone.
    """

    graph: ChannelGraph
    params: int
    macs: dict[str, int]

    @classmethod
    def count(cls, model: Any, graph: ChannelGraph, size: tuple[int, int]) -> "NetworkCost":
        """Count those of a network for pictures of ``size``, ``(height, width)`` in pixels."""
        macs = {graph.paths[key]: count for key, count in layer_multiply_adds(model, size).items() if count}
        return cls(graph, model.count_params(), macs)

    @property
    def flops(self) -> float:
        """Floating-point operations of the whole for one picture: two for each multiply-add."""
        return 2.0 * sum(self.macs.values())

    def count_params(self, kept: Kept) -> int:
        """Count the parameters if only the filters of ``kept`` stay."""
        gone = 0
        for path, layer in self.graph.layers.items():
            for variable in layer.weights:
                gone += math.prod(variable.shape) - math.prod(self._shape(path, layer, variable, kept))
        return self.params - gone

    def count_flops(self, kept: Kept) -> float:
        """Count the floating-point operations if only the filters of ``kept`` stay."""
        macs = dict(self.macs)
        for path in macs.keys() & self.graph.layers.keys():
            layer = self.graph.layers[path]
            smaller = math.prod(self._shape(path, layer, layer.kernel, kept))
            macs[path] = macs[path] // math.prod(layer.kernel.shape) * smaller
        return 2.0 * sum(macs.values())

    def _shape(self, path: str, layer: Any, variable: Any, kept: Kept) -> list[int]:
        """Return the shape of a weight with the channels that stay."""
        shape, read = list(variable.shape), self.graph.reads.get(path, ())
        for axis, which in find_axes(layer, variable).items():
            if which == "made" and path in kept:
                shape[axis] = len(kept[path])
            if which == "read" and shape[axis] == width(read):
                shape[axis] = sum(len(kept[run.source]) if run.source in kept else run.width for run in read)
        return shape
