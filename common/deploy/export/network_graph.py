"""Network graphs: a Keras network as an ONNX model, written node by node, in no more memory than its weights take.

Batch normalizations and borders of zeros go into the convolutions beside them. A tensor is called after its layer, and
nodes follow each other as the outputs need them: the same network gives the same bytes in every process.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import keras

from bodyposenet.common.deploy.export.canonical import AXES
from bodyposenet.common.deploy.export.layer_nodes import WRITERS, border, write_call
from bodyposenet.common.deploy.export.node_list import LayerCall, NodeList, unknown
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS

if TYPE_CHECKING:
    from onnx import ModelProto

L = keras.layers
PRIME = 1009
PADDED = (L.Conv2D, L.DepthwiseConv2D)  # take in borders of zeros
NORMALIZED = (*PADDED, L.Conv2DTranspose)  # take in batch normalizations


def write_network(network: Any, opset: int, stride: int = 1) -> "ModelProto":
    """Write a two-output Keras network as an ONNX model.

    Args:
        network: A functional ``keras.Model`` in float32, channels last.
        opset: Of ONNX, from 13 on.
        stride: It divides height and width of all pictures.

    Raises:
        UnknownLayerError: There is a layer that is not written here.
    """
    from onnx import TensorProto, helper

    nodes = _write_nodes(network, stride)
    opsets = [helper.make_opsetid("", opset)]
    shapes = [(INPUT, network.inputs[0], AXES["input"])]
    shapes += [(name, tensor, AXES["output"]) for name, tensor in zip(OUTPUTS, network.outputs, strict=True)]
    picture, *maps = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [*axes, tensor.shape[-1]])
        for name, tensor, axes in shapes
    )
    graph = helper.make_graph(nodes.nodes, "bodyposenet", [picture], maps, nodes.constants)
    return helper.make_model(graph, opset_imports=opsets, ir_version=helper.find_min_ir_version_for(opsets))


def _write_nodes(network: Any, stride: int) -> NodeList:
    nodes = NodeList([INPUT, *OUTPUTS])
    picture = network.inputs[0]
    names = {id(picture): nodes.add("Transpose", f"{INPUT}/transpose", [INPUT], perm=[0, 3, 1, 2])}
    ends = [(id(tensor), name) for tensor, name in zip(network.outputs, OUTPUTS, strict=True)]
    calls = list(list_calls(network.outputs, picture))
    sides = find_sides(calls, picture, stride)
    for call in merge_calls(calls, network.outputs):
        steps = zip(sides[id(call.sources[0])], getattr(call.layer, "strides", (1, 1)), strict=True)
        call = replace(call, divided=all(side and side % step == 0 for side, step in steps))
        names[id(call.tensor)] = write_call(nodes, call, [names[id(source)] for source in call.sources])
        for output in (output for end, output in ends if end == id(call.tensor)):
            nodes.finish("Transpose", output, [names[id(call.tensor)]], perm=[0, 2, 3, 1])
    return nodes


def list_calls(outputs: Sequence[Any], picture: Any) -> Iterator[LayerCall]:
    """The layers that the outputs need, each after what it reads: depth first, outputs and inputs in their order.

    Args:
        outputs: Of a functional network.
        picture: Its input.

    Raises:
        UnknownLayerError: A layer is told to behave as in training, or reads something else than the picture.
    """
    done = {id(picture)}
    stack = [(tensor, False) for tensor in reversed(outputs)]
    while stack:
        tensor, ready = stack.pop()
        if id(tensor) in done:
            continue
        layer, index, _ = tensor._keras_history
        node = layer._inbound_nodes[index]
        if not node.input_tensors or node.arguments.kwargs.get("training"):
            raise unknown(layer)
        if ready:
            done.add(id(tensor))
            yield LayerCall(layer, tensor, tuple(node.input_tensors))
        else:
            stack.append((tensor, True))
            stack.extend((source, False) for source in reversed(node.input_tensors))


def find_sides(calls: Sequence[LayerCall], picture: Any, stride: int) -> dict[int, tuple[int, int]]:
    """What divides rows and columns of each tensor, by its ``id``; 0 where that depends on the picture's size.

    A picture of a prime number of strides shows it: what has that many times n rows has m times n rows of m strides, as
    no border and no kernel is nearly as large as the prime.

    Args:
        calls: All of a network.
        picture: Its input.
        stride: It divides height and width of all pictures.

    Raises:
        UnknownLayerError: There is a layer that is not written here.
    """
    shapes = {id(picture): (1, stride * PRIME, stride * PRIME, picture.shape[-1])}
    for call in calls:
        if type(call.layer) not in WRITERS:
            raise unknown(call.layer)
        given = [keras.KerasTensor(shapes[id(source)], source.dtype) for source in call.sources]
        try:
            drawn = call.layer.compute_output_spec(given if len(given) > 1 else given[0])
        except ValueError:  # pictures of some sizes do not fit the network: of none is it known what they come to
            return dict.fromkeys((id(picture), *(id(call.tensor) for call in calls)), (0, 0))
        shapes[id(call.tensor)] = tuple(drawn.shape)
    rows, columns = (
        [0 if shape[axis] % PRIME else shape[axis] // PRIME for shape in shapes.values()] for axis in (1, 2)
    )
    return dict(zip(shapes, zip(rows, columns, strict=True), strict=True))


def merge_calls(calls: Sequence[LayerCall], outputs: Sequence[Any]) -> list[LayerCall]:
    """Let convolutions take in the borders before and the normalizations after them that nothing else has to do with.

    Args:
        calls: In the order in which they are written.
        outputs: Tensors that stay.
    """
    readers = Counter(id(tensor) for call in calls for tensor in call.sources) + Counter(map(id, outputs))
    merged: dict[int, LayerCall] = {}  # by what they draw
    for call in calls:
        before = merged.get(id(call.sources[0]))
        if before is not None and readers[id(before.tensor)] == 1:
            taken = _take_in(before, call)
            if taken is not None:
                del merged[id(before.tensor)]
                call = taken
        merged[id(call.tensor)] = call
    return list(merged.values())


def _take_in(before: LayerCall, call: LayerCall) -> LayerCall | None:
    """One call in place of two, or None."""
    if type(before.layer) is L.ZeroPadding2D and type(call.layer) in PADDED and call.layer.padding == "valid":
        return replace(call, sources=before.sources, border=border(before.layer))
    linear = type(before.layer) in NORMALIZED and before.layer.activation is keras.activations.linear
    if linear and before.norm is None and type(call.layer) is L.BatchNormalization and call.layer.axis in (-1, 3):
        return replace(before, tensor=call.tensor, norm=call.layer)
    return None
