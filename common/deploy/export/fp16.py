"""FP16: a float model in half precision, whose inputs and outputs stay float.

TensorRT 11 has no flag for FP16 and TensorRT-RTX never had one: a network computes in the types that it is written in.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bodyposenet.common.deploy.export.keras_to_onnx import largest_difference
from bodyposenet.common.deploy.onnx_file import card_of_model, forget_parity, read_model, write_model
from bodyposenet.common.deploy.runner import running
from bodyposenet.common.errors import UserError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

LARGEST = float(np.finfo(np.float16).max)
FLOAT_INPUTS = {"Resize": {1, 2}, "Upsample": {1}}  # by place: operations take these in 32 bits only
KERNEL, PACKED = 4, 256  # dimensions; and weights: fewer take less room than the cast that widens them
TOLERANCE = 0.05  # of a map's largest value: beyond that something has left the range of half precision


@dataclass(frozen=True)
class Half:
    """What was written.

    Attributes:
        path: The FP16-typed model.
        bytes: Its size.
        max_relative_error: Largest difference from the float model, as a fraction of the largest value of the map.
    """

    path: Path
    bytes: int
    max_relative_error: float


def export_half(onnx: Path, output: Path) -> Half:
    """Write a float model in half precision, and hold it against the float one.

    Args:
        onnx: What :func:`export_onnx` wrote.
        output: Where to; a file that is there is replaced.

    Raises:
        UserError: A weight or a map leaves the range of half precision, or the network takes inputs of one size.
    """
    model = read_model(onnx)
    with running(str(onnx)):
        if any(side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim[:3]):
            fix = "halve what bpnet export writes without -d, and give that its size"
            raise UserError("takes inputs of one size, which are not compared here", where=str(onnx), fix=fix)
        halved = half(model, where=str(onnx))
        error = largest_difference(
            model.SerializeToString(), halved.SerializeToString(), card_of_model(model, onnx).stride
        )
        if not error <= TOLERANCE:
            fix = "keep it in 32 bits, or quantize it"
            raise UserError(
                f"in half precision it differs by {error:.1e} of the largest value", where=str(onnx), fix=fix
            )
        write_model(halved, output)
    return Half(output, output.stat().st_size, error)


def half(model: "ModelProto", *, where: str = "the model") -> "ModelProto":
    """A copy of a float model that computes in half precision between casts at its inputs and outputs.

    Args:
        model: Float ONNX model.
        where: What messages call it.

    Raises:
        UserError: A weight is too large.
    """
    from onnx import TensorProto

    halved: ModelProto = type(model).FromString(model.SerializeToString())
    forget_parity(halved)
    graph = halved.graph
    inner = {value.name: f"{value.name}/half" for value in [*graph.input, *graph.output]}
    kept = _find_floats(graph)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and tensor.name not in kept:
            tensor.CopyFrom(_to_half(tensor, where))
    for node in graph.node:
        _halve(node, inner, where)
    casts = [_cast(value.name, inner[value.name], TensorProto.FLOAT16) for value in graph.input]
    casts_back = [_cast(inner[value.name], value.name, TensorProto.FLOAT) for value in graph.output]
    nodes = [*casts, *graph.node, *casts_back]
    del graph.node[:], graph.value_info[:]
    graph.node.extend(nodes)
    return halved


def pack_weights(model: "ModelProto") -> "ModelProto":
    """A copy of a model that keeps the kernels in 32 bits in 16 and computes as before: a float one takes half.

    Runtimes widen them once, when they load it. Weights that half precision holds exactly, as those of the networks
    that are shipped, change no bit of the maps; others are rounded.

    Args:
        model: ONNX model, of which some convolutions may be in 8 bits: these stay as they are.
    """
    from onnx import TensorProto

    packed: ModelProto = type(model).FromString(model.SerializeToString())
    casts = []
    for tensor in packed.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and len(tensor.dims) == KERNEL and math.prod(tensor.dims) >= PACKED:
            name = tensor.name
            tensor.CopyFrom(_to_half(tensor, "the model"))
            tensor.name = f"{name}/half"
            casts.append(_cast(tensor.name, name, TensorProto.FLOAT))
    nodes = [*casts, *packed.graph.node]
    del packed.graph.node[:]
    packed.graph.node.extend(nodes)
    return packed


def _find_floats(graph: "GraphProto") -> set[str]:
    """The constants that an operation takes in 32 bits only."""
    return {
        name
        for node in graph.node
        for place, name in enumerate(node.input)
        if place in FLOAT_INPUTS.get(node.op_type, ())
    }


def _halve(node: "NodeProto", inner: dict[str, str], where: str) -> None:
    """Let a node read and write the inner tensors; what makes floats makes halves."""
    from onnx import TensorProto

    node.input[:] = [inner.get(name, name) for name in node.input]
    node.output[:] = [inner.get(name, name) for name in node.output]
    node.name = inner.get(node.name, node.name)
    for attribute in node.attribute:
        if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT:
            attribute.i = TensorProto.FLOAT16
        elif attribute.HasField("t") and attribute.t.data_type == TensorProto.FLOAT:
            attribute.t.CopyFrom(_to_half(attribute.t, where))


def _to_half(tensor: "TensorProto", where: str) -> "TensorProto":
    from onnx import numpy_helper

    values = numpy_helper.to_array(tensor)
    if np.abs(values).max(initial=0) > LARGEST:
        problem = f"{tensor.name} holds {np.abs(values).max():.3g}; half precision ends at {LARGEST:.0f}"
        raise UserError(problem, where=where, fix="keep it in 32 bits, or train with weight decay")
    found: TensorProto = numpy_helper.from_array(values.astype(np.float16), tensor.name)
    return found


def _cast(source: str, target: str, kind: int) -> "NodeProto":
    from onnx import helper

    return helper.make_node("Cast", [source], [target], name=target, to=kind)
