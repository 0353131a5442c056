"""Foreign ONNX files, read as a graph."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.adopt.graph import Graph, Node
from bodyposenet.common.deploy.onnx_file import read_model
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.storage.locking import scratch_folder

if TYPE_CHECKING:
    from onnx import ModelProto

SIZE = (256, 256)  # pixels, of the picture for which what a file computes of its shapes is settled

ONNX_S = ("", "ai.onnx", "com.microsoft")  # domains whose operations mean what they are called


def read_onnx(path: Path) -> Graph:
    """Read an ONNX file.

    Raises:
        UserError: There is no such file, it is no ONNX model, or its input is no picture of three channels.
    """
    model = read_model(path, fix="name an ONNX network, or OpenVINO's .xml", checked=False)
    try:
        return _take_graph(model, path)
    except UserError:
        raise
    except (*MALFORMED, RuntimeError) as error:  # of tensors and attributes that are not what they say
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"is no sound ONNX network: {reason}", where=str(path), fix="fetch it again") from None


def _take_graph(model: "ModelProto", path: Path) -> Graph:
    from onnx import numpy_helper

    picture = _find_picture(model, path)
    layout = find_layout(_dims(picture), path)
    size = find_size(_dims(picture), layout)
    if any(node.op_type == "Shape" for node in model.graph.node):
        model = _settle_shapes(model, picture, path)
    constants = {each.name: numpy_helper.to_array(each) for each in model.graph.initializer}
    nodes = []
    for number, node in enumerate(model.graph.node):
        attributes = {each.name: _attribute(each) for each in node.attribute}
        name = node.name or f"{node.op_type}_{number}"
        if node.op_type == "Constant":
            if len(attributes) != 1:
                raise ValueError(f"{name} is a constant of {len(attributes)} values")
            (constants[node.output[0]],) = map(np.asarray, attributes.values())
            continue
        kind = node.op_type if node.domain in ONNX_S else f"{node.domain}.{node.op_type}"
        nodes.append(Node(kind, name, tuple(node.input), tuple(node.output), attributes))
    outputs = tuple(each.name for each in model.graph.output)
    return Graph(picture.name, layout, outputs, tuple(nodes), constants, size)


def _find_picture(model: "ModelProto", path: Path) -> Any:
    """The input that is no constant; older files list those, too."""
    known = {each.name for each in model.graph.initializer}
    pictures = [each for each in model.graph.input if each.name not in known]
    if len(pictures) != 1:
        raise UserError(f"the network has {len(pictures)} inputs", where=str(path), fix="give one that takes a picture")
    return pictures[0]


def find_size(dims: list[int | None], layout: str) -> tuple[int, int] | None:
    """Height and width of the pictures, where the file takes no others."""
    height, width = dims[layout.index("H")], dims[layout.index("W")]
    return (height, width) if height and width else None


def find_layout(dims: list[int | None], path: Path) -> str:
    """Find the layout of a picture by the axis that has three channels.

    Raises:
        UserError: Neither the second axis nor the last one has them.
    """
    if len(dims) == 4 and dims[1] == 3:
        return "NCHW"
    if len(dims) == 4 and dims[3] == 3:
        return "NHWC"
    shape = " x ".join("?" if each is None else str(each) for each in dims)
    raise UserError(
        f"the input is no picture of three channels: {shape}", where=str(path), fix="give a network that takes one"
    )


def _dims(value: Any) -> list[int | None]:
    return [each.dim_value or None for each in value.type.tensor_type.shape.dim]


def _attribute(attribute: Any) -> Any:
    from onnx import helper, numpy_helper

    value = helper.get_attribute_value(attribute)
    if attribute.type == attribute.TENSOR:
        return numpy_helper.to_array(value)
    return value.decode() if isinstance(value, bytes) else value


def _settle_shapes(model: "ModelProto", picture: Any, path: Path) -> "ModelProto":
    """Compute what the network computes of its shapes, for pictures of one size, and leave that out."""
    import onnx
    import onnxruntime

    sizes = iter((1, *SIZE))
    for dim in picture.type.tensor_type.shape.dim:
        if dim.dim_value != 3:
            dim.dim_value = dim.dim_value or next(sizes)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    with scratch_folder() as folder:
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        options.optimized_model_filepath = f"{folder}/settled.onnx"
        options.log_severity_level = 3
        try:
            onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime has a class for each reason, and no common one
            reason = str(error).strip().splitlines()[0]
            fix = "export it with a fixed size of picture"
            raise UserError(f"its shapes cannot be computed: {reason}", where=str(path), fix=fix) from None
        return onnx.load(options.optimized_model_filepath)
