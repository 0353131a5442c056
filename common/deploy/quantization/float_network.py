"""Float network: what is quantized, an exported network whose weights are all there in 32 bits."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bodyposenet.common.deploy.onnx_file import read_model
from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto


def read_float_network(path: Path) -> "ModelProto":
    """Read a network to be quantized; weights that are stored in 16 bits, to be widened at each start, are widened.

    Args:
        path: What :func:`export_onnx` wrote, or a network that ships.

    Raises:
        UserError: It is no ONNX model of this project, or it does not compute in 32 bits.
    """
    model = read_model(path)
    widen_weights(model.graph)
    floats = {weight.name for weight in model.graph.initializer if weight.data_type == weight.FLOAT}
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose") and node.input[1] not in floats:
            problem = f"{node.name or node.output[0]} has no weights in 32 bits; only float networks are quantized"
            raise UserError(problem, where=str(path), fix="give what bpnet export writes with --data_type fp32")
    return model


def widen_weights(graph: "GraphProto") -> None:
    """Take weights that a ``Cast`` widens as what it makes of them, in place."""
    from onnx import TensorProto, numpy_helper

    halves = {weight.name: weight for weight in graph.initializer if weight.data_type == TensorProto.FLOAT16}
    casts = [node for node in graph.node if node.op_type == "Cast" and node.input[0] in halves]
    for node in casts:
        wide = numpy_helper.to_array(halves[node.input[0]]).astype(np.float32)
        graph.initializer.append(numpy_helper.from_array(wide, node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for name, weight in halves.items():
        if name not in used:
            graph.initializer.remove(weight)
