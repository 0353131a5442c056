"""Channel graph: where every channel of a Keras network was born, and which layers must drop theirs together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ChannelRun:
    """Neighbouring channels of a tensor that are all the channels of one layer.

    Attributes:
        source: Path of the layer they were born in.
        width: How many they are.
    """

    source: str
    width: int


Layout = tuple[ChannelRun, ...]  # the channels of a tensor, in order


def width(layout: Layout) -> int:
    """Number of channels of a layout."""
    return sum(run.width for run in layout)


@dataclass
class ChannelGraph:
    """What pruning must know of a network.

    Layers go by their path: their name, behind those of the models that they are nested in (``backbone/conv_1``).

    Attributes:
        paths: Of every layer, by its ``id``.
        layers: Every layer with weights whose channels were followed, by path.
        producers: Layers whose filters may be dropped.
        depthwise: Depthwise convolutions; they have a say in the channels they read.
        scales: Batch normalizations; they may have a say, too.
        reads: For each layer with weights along its input channels, the layout of these.
        inputs: For each model inside the model that was followed, the layouts of what it reads.
        shapes: For each layer that is told the shape it makes, the layout of that.
        pinned: Sources that keep every channel.
        bonds: For each source, all sources that must keep the same channels as it.
        outputs: For each output of the model, its layout.
    """

    paths: dict[int, str] = field(default_factory=dict)
    layers: dict[str, Any] = field(default_factory=dict)
    producers: dict[str, Any] = field(default_factory=dict)
    depthwise: dict[str, Any] = field(default_factory=dict)
    scales: dict[str, Any] = field(default_factory=dict)
    reads: dict[str, Layout] = field(default_factory=dict)
    inputs: dict[str, list[Layout]] = field(default_factory=dict)
    shapes: dict[str, Layout] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    bonds: dict[str, set[str]] = field(default_factory=dict)
    outputs: list[Layout] = field(default_factory=list)

    def groups(self) -> Iterator[tuple[list[str], bool]]:
        """Group the producers that keep the same channels, and tell whether they may lose any."""
        seen: set[str] = set()
        for name in self.producers:
            bond = self.bonds.get(name, {name})
            if name not in seen:
                yield [other for other in self.producers if other in bond], not bond & self.pinned
            seen |= bond

    def pin(self, layout: Layout) -> None:
        """Keep every channel of ``layout``."""
        self.pinned.update(run.source for run in layout)

    def fixed(self, name: str, channels: int) -> Layout:
        """Make the layout of channels that nothing drops."""
        layout = (ChannelRun(name, channels),)
        self.pin(layout)
        return layout

    def tie(self, layouts: Sequence[Layout]) -> Layout:
        """Let tensors that meet channel by channel keep the same channels.

        Single channels are broadcast to all others and stay out of it. Where the runs of two tensors do not line up,
        all of them keep every channel.
        """
        wide = [layout for layout in layouts if width(layout) > 1] or list(layouts)
        if len({tuple(run.width for run in layout) for layout in wide}) > 1:
            for layout in wide:
                self.pin(layout)
            return wide[0]
        for runs in zip(*wide, strict=True):
            bond = set().union(*(self.bonds.get(run.source, {run.source}) for run in runs))
            self.bonds.update(dict.fromkeys(bond, bond))
        return wide[0]

    def read(self, path: str, layout: Layout) -> None:
        """Note what a layer with weights reads; in every call of it the same channels."""
        self.reads[path] = self.tie([self.reads.get(path, layout), layout])
