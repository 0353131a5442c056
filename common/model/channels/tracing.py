"""Tracing: the channels of a network from its inputs to its outputs, through every kind of layer, nested models too."""

import difflib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import keras

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.channel_graph import ChannelGraph, ChannelRun, Layout, width

L = keras.layers
PRODUCERS = (L.Conv2D, L.Dense)  # their filters can be dropped
ELEMENTWISE = (L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum, L.Minimum)
PASSING = (
    L.Activation, L.ReLU, L.LeakyReLU, L.ELU, L.Identity, L.ActivityRegularization,
    L.Dropout, L.SpatialDropout2D, L.GaussianDropout, L.GaussianNoise,
    L.MaxPooling2D, L.AveragePooling2D, L.GlobalMaxPooling2D, L.GlobalAveragePooling2D,
    L.ZeroPadding2D, L.Cropping2D, L.UpSampling2D,
)  # fmt: skip
MIXING = (keras.activations.softmax, keras.activations.log_softmax)  # look at all channels: then none of them can go


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        path: Of the layer.
        layer: The layer itself.
        given: Layouts of the tensors it reads.
        shape: Of the tensor it makes, channels last.
    """

    path: str
    layer: Any
    given: list[Layout]
    shape: tuple[int | None, ...]

    @property
    def channels(self) -> int:
        """Of the tensor it makes."""
        return int(self.shape[-1] or 0)


def read_graph(model: Any, *, whole: Collection[str] = ()) -> ChannelGraph:
    """Follow the channels of a network from its inputs to its outputs.

    Args:
        model: A functional or sequential ``keras.Model``, channels last; it may hold others.
        whole: Names, paths or patterns (``stage1_*``) of layers that keep every channel. What the model puts out always
            does. Where there is no such layer, ``/`` stands for ``_``, as in TAO's names.

    Raises:
        UserError: A layer is of a type whose channels cannot be followed, or ``whole`` names none of the model's.
    """
    function = flat(model)
    graph = ChannelGraph(paths=dict(_paths(function)))
    kept = {path for name in whole for path in _find_named(name, list(graph.paths.values()))}
    pictures = [graph.fixed(tensor.name, tensor.shape[-1]) for tensor in function.inputs]
    graph.outputs = _follow(graph, function, pictures, kept)
    for layout in graph.outputs:
        graph.pin(layout)
    return graph


def flat(model: Any) -> Any:
    """Return the functional graph of a model.

    Raises:
        UserError: The model is a subclass without one, or was never built.
    """
    graph = getattr(model, "_functional", None) or model
    if not hasattr(graph, "_nodes_by_depth"):
        raise UserError(
            f"model {model.name!r} has no graph of layers", fix="build it with keras.Model(inputs, outputs)"
        )
    return graph


def _paths(function: Any, prefix: str = "") -> Iterator[tuple[int, str]]:
    """List the ``id`` and the path of every layer; one that several models share goes by its last."""
    for operation in function.operations:
        path = prefix + operation.name
        yield id(operation), path
        if _has_graph(operation):
            yield from _paths(flat(operation), f"{path}/")


def _has_graph(operation: Any) -> bool:
    return isinstance(operation, keras.Model) and hasattr(
        getattr(operation, "_functional", None) or operation, "_nodes_by_depth"
    )


def _find_named(name: str, paths: Sequence[str]) -> list[str]:
    """Find the layers that a name, a path or a pattern of them means."""
    for spelling in (name, name.replace("/", "_")):
        found = [path for path in paths if fnmatchcase(path, spelling) or fnmatchcase(path.split("/")[-1], spelling)]
        if found:
            return found
    close = difflib.get_close_matches(name, paths, n=1)
    raise UserError(
        f"the model has no layer {name!r}",
        where="excluded_layers",
        fix=f"did you mean {close[0]!r}?" if close else "print model.summary() for the names",
    )


def _follow(graph: ChannelGraph, function: Any, given: Sequence[Layout], whole: Collection[str]) -> list[Layout]:
    """Follow the layouts of a model's inputs to those of its outputs."""
    layouts = {id(tensor): layout for tensor, layout in zip(function.inputs, given, strict=True)}
    depths = sorted(function._nodes_by_depth, reverse=True)  # from the inputs on: no call before those it depends on
    for node in (node for depth in depths for node in function._nodes_by_depth[depth] if not node.is_input):
        made = _trace_outputs(graph, node, [layouts[id(tensor)] for tensor in node.input_tensors], whole)
        layouts.update({id(tensor): layout for tensor, layout in zip(node.outputs, made, strict=True)})
    return [layouts[id(tensor)] for tensor in function.outputs]


def _trace_outputs(graph: ChannelGraph, node: Any, given: list[Layout], whole: Collection[str]) -> list[Layout]:
    """Find the layouts of what a call makes."""
    layer, path = node.operation, graph.paths[id(node.operation)]
    if _has_graph(layer) and path not in whole:
        graph.inputs[path] = [graph.tie(pair) for pair in zip(graph.inputs.get(path, given), given, strict=True)]
        return _follow(graph, flat(layer), graph.inputs[path], whole)
    calls = [Call(path, layer, given, tensor.shape) for tensor in node.outputs]
    rule = _rule(calls[0], whole=path in whole)
    if rule is not _opaque and layer.weights:
        graph.layers[path] = layer
    made = [rule(graph, call) for call in calls]
    mixes = getattr(layer, "activation", None) in MIXING
    for layout in made if path in whole or mixes else ():
        graph.pin(layout)
    return made


Rule = Callable[[ChannelGraph, Call], Layout]


def _rule(call: Call, *, whole: bool) -> Rule:
    """Find how channels go through a layer.

    Args:
        call: Of the layer.
        whole: Whether it keeps every channel anyway.

    Raises:
        UserError: They cannot be followed, and the layer is not one that is kept whole.
    """
    rule = next((rule for types, rule in RULES if isinstance(call.layer, types)), None)
    problem = _unfit(call) if rule else "is of a type that pruning does not know"
    if problem is None and rule is not None:
        return rule
    if whole:
        return _opaque
    raise UserError(
        f"layer {call.path!r} ({type(call.layer).__name__}) {problem}",
        fix=f"exclude it with `-el {call.path}`: then it and what it reads keep every channel",
    )


def _unfit(call: Call) -> str | None:
    """Tell why a layer of a known type cannot be followed all the same."""
    layer = call.layer
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "has its channels first"
    if isinstance(layer, L.Concatenate | L.BatchNormalization) and layer.axis not in (-1, len(call.shape) - 1):
        return f"works along axis {layer.axis}, which is not the channels'"
    if getattr(layer, "groups", 1) != 1:
        return f"splits its channels in {layer.groups} groups"
    if getattr(layer, "depth_multiplier", 1) != 1:
        return f"has a depth multiplier of {layer.depth_multiplier}, not 1"
    if isinstance(layer, L.Reshape) and call.channels % width(call.given[0]):
        return f"mixes its channels: it makes {call.channels} of {width(call.given[0])}"
    if isinstance(layer, L.Rescaling) and any(hasattr(part, "__len__") for part in (layer.scale, layer.offset)):
        return "scales each channel by a number of its own"
    return None


def _produce(graph: ChannelGraph, call: Call) -> Layout:
    graph.read(call.path, call.given[0])
    graph.producers[call.path] = call.layer
    return (ChannelRun(call.path, call.channels),)


def _transpose(graph: ChannelGraph, call: Call) -> Layout:
    graph.read(call.path, call.given[0])
    return graph.fixed(call.path, call.channels)


def _depthwise(graph: ChannelGraph, call: Call) -> Layout:
    graph.depthwise[call.path] = call.layer
    return _weigh(graph, call)


def _normalize(graph: ChannelGraph, call: Call) -> Layout:
    graph.scales[call.path] = call.layer
    return _weigh(graph, call)


def _weigh(graph: ChannelGraph, call: Call) -> Layout:
    graph.read(call.path, call.given[0])
    return call.given[0]


def _meet(graph: ChannelGraph, call: Call) -> Layout:
    return graph.tie(call.given)


def _join(graph: ChannelGraph, call: Call) -> Layout:
    return sum(call.given, ())


def _flatten(graph: ChannelGraph, call: Call) -> Layout:
    """Put rows, columns and channels in one axis, or in others: the channels come again and again."""
    layout = call.given[0] * (call.channels // width(call.given[0]))
    if isinstance(call.layer, L.Reshape):
        graph.shapes[call.path] = layout
    return layout


def _pass(graph: ChannelGraph, call: Call) -> Layout:
    return call.given[0]


def _opaque(graph: ChannelGraph, call: Call) -> Layout:
    for layout in call.given:
        graph.pin(layout)
    return graph.fixed(call.path, call.channels)


RULES: tuple[tuple[Any, Rule], ...] = (
    (L.DepthwiseConv2D, _depthwise),
    (L.Conv2DTranspose, _transpose),
    (PRODUCERS, _produce),
    (L.BatchNormalization, _normalize),
    (L.PReLU, _weigh),
    (ELEMENTWISE, _meet),
    (L.Concatenate, _join),
    ((L.Flatten, L.Reshape), _flatten),
    ((L.Rescaling, *PASSING), _pass),
)
