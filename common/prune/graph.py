"""Graph: where every channel of a Keras network was born, and which layers must drop theirs together."""

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import keras

from bodyposenet.common.errors import UserError

L = keras.layers
PRODUCERS = (L.Conv2D, L.Dense)  # their filters can be dropped
SCALERS = (L.BatchNormalization, L.PReLU)  # weights for each channel, no channel is made or mixed
ELEMENTWISE = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
PASSING = (
    L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.Identity, L.ActivityRegularization,
    L.Dropout, L.SpatialDropout2D, L.GaussianDropout, L.GaussianNoise,
    L.MaxPooling2D, L.AveragePooling2D, L.GlobalMaxPooling2D, L.GlobalAveragePooling2D,
    L.ZeroPadding2D, L.Cropping2D, L.UpSampling2D,
)  # fmt: skip


@dataclass(frozen=True)
class Run:
    """Neighbouring channels of a tensor that are all the channels of one layer.

    Attributes:
        source: Name of the layer they were born in.
        width: How many they are.
    """

    source: str
    width: int


Layout = tuple[Run, ...]  # the channels of a tensor, in order


def width(layout: Layout) -> int:
    """Number of channels of a layout."""
    return sum(run.width for run in layout)


@dataclass
class ChannelGraph:
    """What pruning must know of a network.

    Attributes:
        producers: Layers whose filters may be dropped, by name.
        depthwise: Depthwise convolutions by name; they have a say in the channels they read.
        reads: For each layer with weights along its input channels, the layout of these.
        pinned: Sources that keep every channel.
        bonds: For each source, all sources that must keep the same channels as it.
    """

    producers: dict[str, Any] = field(default_factory=dict)
    depthwise: dict[str, Any] = field(default_factory=dict)
    reads: dict[str, Layout] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    bonds: dict[str, set[str]] = field(default_factory=dict)

    def groups(self) -> Iterator[tuple[list[str], bool]]:
        """The producers that keep the same channels, and whether they may lose any."""
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
        """The layout of channels that nothing drops."""
        layout = (Run(name, channels),)
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

    def read(self, layer: Any, layout: Layout) -> None:
        """Note what a layer with weights reads; in every call of it the same channels."""
        self.reads[layer.name] = self.tie([self.reads.get(layer.name, layout), layout])


def flat(model: Any) -> Any:
    """The functional graph of a model.

    Raises:
        UserError: The model is a subclass without one, or was never built.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        raise UserError(
            f"model {model.name!r} has no graph of layers", fix="build it with keras.Model(inputs, outputs)"
        )
    return graph


def read_graph(model: Any, *, whole: Collection[str] = ()) -> ChannelGraph:
    """Follow the channels of a network from its inputs to its outputs.

    Args:
        model: A functional or sequential ``keras.Model``, channels last.
        whole: Names of layers that keep every channel. What the model puts out always does.

    Raises:
        UserError: A layer is of a type whose channels cannot be followed, or ``whole`` names none of the model's.
    """
    function = flat(model)
    _check_names(whole, [operation.name for operation in function.operations])
    graph = ChannelGraph()
    layouts: dict[int, Layout] = {}
    for node in _calls(function):
        operation, given = node.operation, [layouts[id(tensor)] for tensor in node.input_tensors]
        follow = _rule(operation, len(node.outputs[0].shape) - 1, operation.name in whole)
        for tensor in node.outputs:
            layouts[id(tensor)] = layout = follow(graph, operation, given, tensor)
            if operation.name in whole:
                graph.pin(layout)
    for tensor in function.outputs:
        graph.pin(layouts[id(tensor)])
    return graph


def _check_names(names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise UserError(
                f"the model has no layer {name!r}",
                where="excluded_layers",
                fix=f"did you mean {close[0]!r}?" if close else "print model.summary() for the names",
            )


def _calls(function: Any) -> Iterator[Any]:
    """Every call of a layer (a Keras ``Node``), none before those it depends on."""
    for depth in sorted(function._nodes_by_depth, reverse=True):
        yield from function._nodes_by_depth[depth]


Rule = Callable[[ChannelGraph, Any, list[Layout], Any], Layout]


def _rule(layer: Any, last: int, whole: bool) -> Rule:
    """How channels go through a layer.

    Args:
        layer: The layer.
        last: Number of the last axis of what it makes.
        whole: Whether it keeps every channel anyway.

    Raises:
        UserError: They cannot be followed, and the layer is not one that is kept whole.
    """
    rule = next((rule for types, rule in RULES if isinstance(layer, types)), None)
    problem = _unfit(layer, last) if rule else _strange(layer)
    if problem is None and rule is not None:
        return rule
    if whole:
        return _opaque
    raise UserError(
        f"layer {layer.name!r} ({type(layer).__name__}) {problem}",
        fix=f"exclude it with `-el {layer.name}`: then it and what it reads keep every channel",
    )


def _strange(layer: Any) -> str:
    if isinstance(layer, keras.Model):
        return "is a model inside the model"
    return "is of a type that pruning does not know"


def _unfit(layer: Any, last: int) -> str | None:
    """Why a layer of a known type cannot be followed all the same."""
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "has its channels first"
    if isinstance(layer, L.Concatenate | L.BatchNormalization) and layer.axis not in (-1, last):
        return f"works along axis {layer.axis}, which is not the channels'"
    if getattr(layer, "groups", 1) != 1:
        return f"splits its channels in {layer.groups} groups"
    if getattr(layer, "depth_multiplier", 1) != 1:
        return f"has a depth multiplier of {layer.depth_multiplier}, not 1"
    return None


def _produce(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    graph.read(layer, given[0])
    graph.producers[layer.name] = layer
    return (Run(layer.name, made.shape[-1]),)


def _transpose(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    graph.read(layer, given[0])
    return graph.fixed(layer.name, made.shape[-1])


def _depthwise(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    graph.depthwise[layer.name] = layer
    return _scale(graph, layer, given, made)


def _scale(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    graph.read(layer, given[0])
    return given[0]


def _meet(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    return graph.tie(given)


def _join(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    return sum(given, ())


def _flatten(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    return given[0] * int(made.shape[-1] // width(given[0]))


def _pass(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    return given[0]


def _opaque(graph: ChannelGraph, layer: Any, given: list[Layout], made: Any) -> Layout:
    for layout in given:
        graph.pin(layout)
    return graph.fixed(layer.name, made.shape[-1])


RULES: tuple[tuple[Any, Rule], ...] = (
    (L.InputLayer, _opaque),
    (PRODUCERS, _produce),
    (L.Conv2DTranspose, _transpose),
    (L.DepthwiseConv2D, _depthwise),
    (SCALERS, _scale),
    (ELEMENTWISE, _meet),
    (L.Concatenate, _join),
    (L.Flatten, _flatten),
    (PASSING, _pass),
)
