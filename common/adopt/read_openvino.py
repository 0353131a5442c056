"""OpenVINO's files (an ``.xml`` and a ``.bin`` beside it), read as a graph through the openvino package."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.adopt.graph import Graph, Node
from bodyposenet.common.adopt.read_onnx import find_layout, find_size
from bodyposenet.common.bounds import GRAPH_BYTES, WEIGHTS_BYTES
from bodyposenet.common.deploy.runtime.openvino_session import import_openvino
from bodyposenet.common.errors import MALFORMED, UserError

KINDS = {  # OpenVINO's names of operations -> ONNX's, where they differ
    "Convolution": "Conv",
    "GroupConvolution": "Conv",
    "ConvolutionBackpropData": "ConvTranspose",
    "Multiply": "Mul",
    "Subtract": "Sub",
    "Divide": "Div",
    "ReLU": "Relu",
    "PReLU": "PRelu",
    "AvgPool": "AveragePool",
    "Convert": "Cast",
    "BatchNormInference": "BatchNormalization",
}
START = 4096  # bytes of an .xml that hold the beginning of its <net>
OLDEST = 10  # version of OpenVINO's files that it still reads; older ones are from before 2020


def read_openvino(path: Path) -> Graph:
    """Read an OpenVINO network.

    Args:
        path: The ``.xml``.

    Raises:
        UserError: There is no such file, it cannot be read, or the package is not there.
    """
    model = _open(path)
    try:
        return _take_graph(model, path)
    except UserError:
        raise
    except (*MALFORMED, RuntimeError) as error:  # of shapes and constants that are not what they say
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        raise UserError(f"is no sound network: {reason}", where=str(path), fix="fetch both files again") from None


def _take_graph(model: Any, path: Path) -> Graph:
    constants: dict[str, np.ndarray] = {}
    nodes, pictures, outputs = [], [], []
    for op in model.get_ordered_ops():
        kind = op.get_type_name()
        inputs = tuple(_name(each.get_source_output()) for each in op.inputs())
        if kind == "Constant":
            constants[_name(op.output(0))] = np.array(op.data)
        elif kind == "Parameter":
            pictures.append(op.output(0))
        elif kind == "Result":
            outputs.append(inputs[0])
        else:
            names = tuple(_name(each) for each in op.outputs())
            nodes.append(_translate(Node(kind, op.get_friendly_name(), inputs, names, dict(op.get_attributes()))))
    if len(pictures) != 1:
        raise UserError(f"the network has {len(pictures)} inputs", where=str(path), fix="give one that takes a picture")
    dims = [each.get_length() if each.is_static else None for each in pictures[0].get_partial_shape()]
    layout = find_layout(dims, path)
    return Graph(_name(pictures[0]), layout, tuple(outputs), tuple(nodes), constants, find_size(dims, layout))


def _open(path: Path) -> Any:
    """Read the files with OpenVINO itself."""
    if not path.is_file():
        raise UserError("no such file", where=str(path))
    weights = path.with_suffix(".bin")
    if not weights.is_file():
        raise UserError("its weights are not there", where=str(weights), fix="put them beside the .xml")
    for file, most in ((path, GRAPH_BYTES), (weights, WEIGHTS_BYTES)):  # which OpenVINO reads to its end
        if file.stat().st_size > most:
            raise UserError(f"has more than {most:,} bytes, so it is no network of poses", where=str(file))
    _require_start(path)
    try:
        openvino = import_openvino()
    except ImportError:
        fix = "pip install 'bodyposenet[openvino]'"
        raise UserError("OpenVINO's files need the openvino package", where=str(path), fix=fix) from None
    try:
        return openvino.Core().read_model(str(path))
    except (RuntimeError, ValueError) as error:  # a message may quote what is no text
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
        raise UserError(f"no network of OpenVINO: {reason}", where=str(path), fix="fetch both files again") from None


def _require_start(path: Path) -> None:
    """Refuse by how a file begins what OpenVINO would say little of."""
    with path.open("rb") as file:
        start = file.read(START)
    net = re.search(rb"<net\b[^>]*", start)
    if net is None:
        fix = "fetch the file itself, not a page or a pointer of Git LFS"
        raise UserError("no network of OpenVINO: no <net> begins it", where=str(path), fix=fix)
    version = re.search(rb"version=.(\d{1,3})\b", net.group())
    if version and int(version.group(1)) < OLDEST:
        fix = "fetch it as a newer release has it"
        told = f"has version {int(version.group(1))} of OpenVINO's files, of which {OLDEST} is the oldest that is read"
        raise UserError(told, where=str(path), fix=fix)


def _name(output: Any) -> str:
    node = output.get_node()
    return node.get_friendly_name() if output.get_index() == 0 else f"{node.get_friendly_name()}:{output.get_index()}"


def _translate(node: Node) -> Node:
    """Tell an operation in ONNX's words."""
    given = node.attributes
    said: dict[str, Any] = {}
    if "strides" in given:
        said["strides"] = list(given["strides"])
    if "pads_begin" in given and given.get("auto_pad", "explicit") == "explicit":
        said["pads"] = [*given["pads_begin"], *given["pads_end"]]
    if given.get("auto_pad") in ("same_upper", "same_lower", "valid"):
        said["auto_pad"] = given["auto_pad"].upper()
    if "dilations" in given:
        said["dilations"] = list(given["dilations"])
    if "kernel" in given:
        said["kernel_shape"] = list(given["kernel"])
    for name in ("axis", "alpha", "levels", "min", "max"):
        if name in given:
            said[name] = given[name]
    return Node(KINDS.get(node.kind, node.kind), node.name, node.inputs, node.outputs, said)
