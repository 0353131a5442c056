"""ONNX bounds: how many numbers an ONNX network makes on the way, told by its shapes before it is run."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bodyposenet.common.bounds import MAP_HIDDEN, MAP_SIDE
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.graph_bounds import count_most

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, ValueInfoProto

FIX = "give a file that `bpnet export` wrote"
STANDARD = ("", "ai.onnx")  # domains of operations
SHAPE_NUMBERS = 1024  # of a constant that may tell a shape; of larger ones only the sizes count
AXES = 4  # of a batch of pictures
STEADY = ("Cast", "Clip", "Conv", "Relu", "Sigmoid", "Transpose")  # these may make what nobody knows the sizes of


def hold_onnx_maps(content: bytes, where: str) -> None:
    """Refuse an ONNX network of which an operation makes more numbers than memory is for, or hides how many.

    Where its input has any size, it is judged by a picture of 256 x 256 pixels.

    Args:
        content: The file's bytes; what is no network of pictures is left to those who read it.
        where: The file.

    Raises:
        UserError: It does, or has operations that are none of ONNX's own, or graphs within its graph.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.ModelProto.FromString(content)
        _require_flat(model, where)
        if most := _set_picture(model.graph):
            _forget_numbers(model.graph)
            _hold_nodes(onnx.shape_inference.infer_shapes(model, data_prop=True).graph, most, where)
    except DecodeError:
        return
    except UserError:
        raise
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, TypeError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"its shapes cannot be told: {reason}", where=where, fix=FIX) from None


def _hold_nodes(graph: "GraphProto", most: int, where: str) -> None:
    """Refuse an operation that makes more numbers, or nobody knows how many, where a graph has its shapes."""
    shapes = {each.name: _read_shape(each) for each in (*graph.value_info, *graph.output, *graph.input)}
    shapes |= {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    made = {name: None if shape is None else math.prod(shape) for name, shape in shapes.items()}
    for node in graph.node:
        hidden = _count_hidden(node, [shapes.get(name) or () for name in node.input])
        if hidden > MAP_HIDDEN * most:
            told = f"makes {hidden:,} numbers for itself, {MAP_HIDDEN * most:,} are taken at most"
            problem = f"{node.op_type} {node.output[0]} {told}"
            raise UserError(problem, where=where, fix=FIX)
        for name in filter(None, node.output):
            numbers = made.get(name)
            if numbers is None and node.op_type not in STEADY:
                raise UserError(f"nobody can tell how much {node.op_type} {name} makes", where=where, fix=FIX)
            if numbers is not None and numbers > most:
                problem = f"{node.op_type} {name} makes {numbers:,} numbers of a picture, {most:,} are taken at most"
                raise UserError(problem, where=where, fix=FIX)


def _require_flat(model: "ModelProto", where: str) -> None:
    """Refuse what hides shapes: graphs in operations, functions, and operations of others."""
    nodes = model.graph.node
    foreign = next((node for node in nodes if node.domain not in STANDARD), None)
    nested = next((node for node in nodes if any(each.HasField("g") or each.graphs for each in node.attribute)), None)
    if foreign or nested or model.functions:
        named = foreign or nested
        kind = f"operation {named.op_type}" if named else f"function {model.functions[0].name}"
        raise UserError(f"its {kind} is none of a pose network's", where=where, fix=FIX)


def _set_picture(graph: "GraphProto") -> int:
    """Give the input the sides that it leaves open; returns how many numbers an operation may make, 0 if unknown."""
    constants = {tensor.name for tensor in graph.initializer}
    given = next((each for each in graph.input if each.name not in constants), None)
    sides = given.type.tensor_type.shape.dim if given else ()
    if len(sides) != AXES:
        return 0
    for place, side in enumerate(sides):
        side.dim_value = side.dim_value or (MAP_SIDE if place else 1)
    channels = min(side.dim_value for side in sides[1:])
    return count_most(math.prod(side.dim_value for side in sides) // max(1, channels))


def _count_hidden(node: "NodeProto", given: Sequence[tuple[int, ...]]) -> int:
    """Count what an operation makes for itself, and gives to none; 0 where it does not, or the sizes are not known.

    Args:
        node: The operation.
        given: Sizes of what it is given.
    """
    first, second = (*given, (), ())[:2]
    if node.op_type == "ConvTranspose" and len(first) > 1 < len(second):  # a kernel's cells for each cell of the map
        return math.prod(first) // max(1, first[1]) * math.prod(second[1:])
    if node.op_type == "Attention" and len(first) == len(second) > 2:  # scores of every place for every other
        heads = next((each.i for each in node.attribute if each.name == "q_num_heads"), 1)
        return math.prod(first[:-1]) * second[-2] * max(1, heads)
    return 0


def _read_shape(made: "ValueInfoProto") -> tuple[int, ...] | None:
    """Read the sizes of what an operation makes; None where a side is not known."""
    shape = made.type.tensor_type.shape if made.type.tensor_type.HasField("shape") else None
    if shape is None or not all(side.HasField("dim_value") for side in shape.dim):
        return None
    return tuple(side.dim_value for side in shape.dim)


def _forget_numbers(graph: "GraphProto") -> None:
    """Take away what shapes do not need, and what the file says of them itself."""
    for tensor in graph.initializer:
        if math.prod(tensor.dims) > SHAPE_NUMBERS:
            kept = type(tensor)(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
            tensor.CopyFrom(kept)
    del graph.value_info[:]
    for output in graph.output:
        output.type.tensor_type.ClearField("shape")
