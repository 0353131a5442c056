"""Keras networks of foreign graphs: layer by layer, channels last, with the weights that the file has."""

import re
from collections.abc import Sequence
from typing import Any

import keras

from bodyposenet.common.adopt.graph import Graph, UnknownError
from bodyposenet.common.adopt.keras_layers import LAYERS
from bodyposenet.common.adopt.layer_inputs import Given, Value
from bodyposenet.common.bounds import LARGEST_STRIDE, MAP_NUMBERS
from bodyposenet.common.deploy.runner import running
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.model.files.graph_bounds import hold_maps

ODD = (*MALFORMED, RuntimeError, StopIteration)  # of attributes and shapes that nobody foresaw
STEPS = ("pads", "strides", "dilations", "kernel_shape")  # attributes that are numbers of cells
INPUT = "input_1"


def build_network(graph: Graph, names: Sequence[str], *, where: str) -> Any:
    """Build the Keras network of a graph.

    Args:
        graph: Without quantization.
        names: Of the layers that draw the graph's outputs, in their order.
        where: What messages call the file.

    Returns:
        A functional ``keras.Model``: input ``input_1``, ``(B, H, W, 3)``; the graph's outputs, channels last.

    Raises:
        UserError: An operation is none that a pose network needs.
    """
    picture = keras.Input((None, None, 3), name=INPUT)
    values: dict[str, Value] = {graph.input: Value(picture, graph.layout)}
    wanted = dict(zip(graph.outputs, names, strict=True))
    taken = {INPUT, *names}
    for node in graph.nodes:
        inputs = tuple(values.get(name, graph.constants.get(name)) for name in node.inputs)
        name = wanted.get(node.output) or _free_name(node.name, taken)
        try:
            values[node.output] = _build(Given(node, inputs, name))
        except (UnknownError, *ODD) as error:
            fix = "adopt a network of convolutions, or export it to be one"
            reason = (
                str(error) if isinstance(error, UnknownError) else f"{node.kind} cannot be built: {_shorten(error)}"
            )
            raise UserError(f"{node.name}: {reason}", where=where, fix=fix) from None
    missing = [tensor for tensor in wanted if tensor not in values]
    if missing:
        raise UserError(f"nothing draws {missing[0]}", where=where, fix="adopt another")
    outputs = [_end(values[tensor], name) for tensor, name in wanted.items()]
    model = keras.Model(picture, outputs, name="bpnet")
    with running(where):
        hold_maps(model, where, fix=f"adopt a network that makes at most {MAP_NUMBERS:,}")
    return model


def _shorten(error: BaseException) -> str:
    """The first line of a library's message, or what kind of error it is."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return first[:200].rstrip(" .")


def _free_name(name: str, taken: set[str]) -> str:
    """A name that Keras takes and no other layer has."""
    plain = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_.") or "layer"
    free = next(each for each in (plain, *(f"{plain}_{n}" for n in range(1, 10_000))) if each not in taken)
    taken.add(free)
    return free


def _build(given: Given) -> Value:
    make = LAYERS.get(given.node.kind)
    if make is None:
        raise UnknownError(f"{given.node.kind} is none of the operations that are read: {', '.join(sorted(LAYERS))}")
    if not any(isinstance(each, Value) for each in given.values):
        raise UnknownError(f"{given.node.kind} reads nothing that comes from the picture")
    for name in STEPS:
        if max(map(abs, given.node.attributes.get(name) or (0,))) > LARGEST_STRIDE:
            raise UnknownError(f"its {name} {list(given.node.attributes[name])} are no pose network's")
    return make(given)


def _end(value: Value, name: str) -> Any:
    """The tensor of an output, whose layer has the name that it must have."""
    layer = value.tensor._keras_history.operation
    return value.tensor if layer.name == name else keras.layers.Activation("linear", name=name)(value.tensor)
