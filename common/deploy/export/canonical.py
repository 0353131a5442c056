"""Canonical ONNX graphs: tf2onnx' names and order replaced by ones that depend on the network alone.

tf2onnx numbers tensors with counters that run on from one conversion to the next and orders nodes by hash. Here a
tensor is called after its Keras layer, nodes follow each other as the outputs need them, and the same network gives
the same bytes in every process.
"""

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

AXES = {"input": ("batch", "height", "width"), "output": ("batch", "rows", "cols")}
PARAMETERS = {"Conv": {1: "kernel", 2: "bias"}, "ConvTranspose": {1: "kernel", 2: "bias"}}


def canonicalise(model: "ModelProto", layers: Collection[str], outputs: Collection[str]) -> None:
    """Order, name and label the graph in place.

    Args:
        model: What tf2onnx returned.
        layers: The Keras layers' names.
        outputs: The graph's outputs, in the order wanted.
    """
    graph = model.graph
    by_name = {value.name: value for value in graph.output}
    _replace(graph.output, [by_name[name] for name in outputs])
    _replace(graph.node, list(sort_nodes(graph)))
    _rename(graph, layers)
    _order_initializers(graph)
    for kind, values in (("input", graph.input), ("output", graph.output)):
        for value in values:
            _name_axes(value, AXES[kind])
    del graph.value_info[:]
    graph.name, graph.doc_string = "bodyposenet", ""
    used = {node.domain for node in graph.node}
    _replace(model.opset_import, [opset for opset in model.opset_import if opset.domain in used])


def sort_nodes(graph: "GraphProto") -> Iterator["NodeProto"]:
    """The nodes that the outputs need, each after what it reads: depth first, outputs and inputs in their order."""
    producer = {name: node for node in graph.node for name in node.output}
    done: set[str] = set()
    stack = [(value.name, False) for value in reversed(graph.output)]
    while stack:
        name, ready = stack.pop()
        node = producer.get(name)
        if node is None or node.output[0] in done:
            continue
        if ready:
            done.add(node.output[0])
            yield node
        else:
            stack.append((name, True))
            stack.extend((source, False) for source in reversed(node.input))


def find_layer(name: str, layers: Collection[str]) -> str | None:
    """The Keras layer in a TensorFlow name such as ``functional_1/block_1a_conv_1_2/convolution:0``, if any."""
    for part in name.split(":")[0].split("/"):
        for candidate in (part, re.sub(r"_\d+$", "", part)):
            if candidate in layers:
                return candidate
    return None


def free_name(stem: str, suffix: str, taken: Collection[str]) -> str:
    """``stem``, or ``stem/suffix``, ``stem/suffix2``… where that is taken."""
    if stem not in taken:
        return stem
    number, name = 1, f"{stem}/{suffix}"
    while name in taken:
        number, name = number + 1, f"{stem}/{suffix}{number + 1}"
    return name


def _rename(graph: "GraphProto", layers: Collection[str]) -> None:
    constants = {tensor.name for tensor in graph.initializer}
    fixed = {value.name for value in [*graph.input, *graph.output]}
    names = {name: name for name in fixed}
    for node in graph.node:
        stem = _stem(node, names, constants, layers)
        for name in node.output:
            names.setdefault(name, free_name(stem, node.op_type.lower(), set(names.values())))
        for index, name in enumerate(node.input):
            if name in constants and name not in names:
                label = PARAMETERS.get(node.op_type, {}).get(index, f"constant{index}")
                names[name] = free_name(f"{names[node.output[0]]}/{label}", "more", set(names.values()))
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        node.name, node.doc_string = node.output[0], ""
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)


def _stem(node: "NodeProto", names: dict[str, str], constants: Collection[str], layers: Collection[str]) -> str:
    """What to call a node's output: its layer; a folded BN's convolution is known by its kernel."""
    if node.op_type == "Transpose":
        return f"{names[node.input[0]]}/transpose"
    sources = [*(name for name in node.input if name in constants), node.name, *node.output]
    return next((layer for name in sources if (layer := find_layer(name, layers))), node.op_type.lower())


def _order_initializers(graph: "GraphProto") -> None:
    """Keep the constants that are read, in the order of reading."""
    by_name = {tensor.name: tensor for tensor in graph.initializer}
    read = dict.fromkeys(name for node in graph.node for name in node.input if name in by_name)
    _replace(graph.initializer, [by_name[name] for name in read])


def _name_axes(value: "ValueInfoProto", names: tuple[str, ...]) -> None:
    for axis, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
        axis.dim_param = name


def _replace(field: Any, items: list[Any]) -> None:
    copies = [type(item).FromString(item.SerializeToString()) for item in items]
    del field[:]
    field.extend(copies)
