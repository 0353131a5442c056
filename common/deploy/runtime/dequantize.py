"""Dequantize: an 8-bit network as the float network that it stands for, in memory.

The weights keep the values that 8 bits left them; what flows between the layers is no longer rounded.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

ROUNDING, BACK = "QuantizeLinear", "DequantizeLinear"


def is_quantized(model: "ModelProto") -> bool:
    """Whether a network computes with rounded numbers."""
    return any(node.op_type == BACK for node in model.graph.node)


def dequantize(model: "ModelProto") -> "ModelProto":
    """Return a copy of a network without its pairs of QuantizeLinear and DequantizeLinear.

    Args:
        model: What calibration wrote, of either form; a float network comes back as it is.
    """
    from onnx import numpy_helper

    done: ModelProto = type(model).FromString(model.SerializeToString())
    graph = done.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    folded = {
        node.output[0]: unround(node, constants)
        for node in graph.node
        if node.op_type == BACK and node.input[0] in constants
    }
    sources = _find_sources(graph)
    nodes = [node for node in graph.node if node.op_type not in (ROUNDING, BACK)]
    for node in nodes:
        node.input[:] = [sources.get(name, name) for name in node.input]
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in constants.values() if tensor.name in read]
    kept += [numpy_helper.from_array(array, name) for name, array in folded.items() if name in read]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    return done


def _find_sources(graph: "GraphProto") -> dict[str, str]:
    """What stood before each pair, by the name of what comes out of it."""
    rounded = {node.output[0]: node.input[0] for node in graph.node if node.op_type == ROUNDING}
    sources: dict[str, str] = {}
    for node in graph.node:
        if node.op_type == BACK and node.input[0] in rounded:
            source = rounded[node.input[0]]
            sources[node.output[0]] = sources.get(source, source)
    return sources


def unround(node: "NodeProto", constants: Mapping[str, "TensorProto"]) -> np.ndarray:
    """Return the float values of a constant that a DequantizeLinear reads.

    Args:
        node: The DequantizeLinear, with one scale or one per channel.
        constants: The graph's, by name.
    """
    from onnx import numpy_helper

    values, scale, *zero = (numpy_helper.to_array(constants[name]) for name in node.input)
    axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
    shape = [-1 if dim == axis and scale.ndim else 1 for dim in range(values.ndim)]
    shift = zero[0].astype(np.float64).reshape(shape) if zero else 0.0
    found: np.ndarray = ((values - shift) * scale.astype(np.float64).reshape(shape)).astype(np.float32)
    return found
