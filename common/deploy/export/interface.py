"""Interface: what an ONNX network takes and gives, changed for those that use it; its numbers stay what they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.deploy.onnx_file import (
    INPUT,
    OUTPUTS,
    SDK_INPUT,
    SDK_OUTPUTS,
    card_of_model,
    read_model,
    write_model,
)
from bodyposenet.common.deploy.runner import running
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.card import Card

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

SDK_AXES = ("fine_rows", "fine_cols")  # of the PAFs, which have more cells than the heatmaps


@dataclass(frozen=True)
class Interface:
    """What those that use a network want of its inputs and outputs.

    Attributes:
        pixels: It takes RGB pixels and normalises them itself.
        batch: It takes so many pictures at once; 0 leaves that and their size open.
        size: ``(height, width)`` of those pictures, in pixels.
        sdk_ratio: How often a cell of the PAFs is repeated for NVIDIA's parser; 0 leaves the outputs as they are.
    """

    pixels: bool = False
    batch: int = 0
    size: tuple[int, int] = (256, 256)
    sdk_ratio: int = 0


def change_interface(path: Path, wanted: Interface) -> None:
    """Rewrite an ONNX file as its users want it; the form for ONNX Runtime, ``X.cpu.onnx``, keeps its outputs."""
    before = model = read_model(path)
    with running(str(path)):
        card = card_of_model(model, path)
        if wanted.pixels:
            model = taking_pixels(model, card)
        if wanted.batch:
            model = of_one_size(model, wanted.batch, wanted.size, card.stride)
        if wanted.sdk_ratio and not path.name.endswith(".cpu.onnx"):
            model = for_nvidia_sdk(model, wanted.sdk_ratio, card.skeleton.num_limbs)
        if model is not before:
            write_model(model, path)


def taking_pixels(model: "ModelProto", card: Card) -> "ModelProto":
    """A copy that takes RGB uint8 pixels and normalises them itself: ``pixel / scale - offset``."""
    from onnx import TensorProto, helper

    changed = _copy(model)
    graph = changed.graph
    inside = f"{INPUT}/normalised"
    _read_instead(graph, INPUT, inside)
    scale, offset = (np.array(values, np.float32) for values in (card.image_scale, card.image_offset))
    nodes = [
        helper.make_node("Cast", [INPUT], [f"{INPUT}/float"], name=f"{INPUT}/float", to=TensorProto.FLOAT),
        _with_constant(graph, "Div", f"{INPUT}/float", f"{INPUT}/scaled", scale),
        _with_constant(graph, "Sub", f"{INPUT}/scaled", inside, offset),
    ]
    _put_first(graph, nodes)
    graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8
    return changed


def of_one_size(model: "ModelProto", batch: int, size: tuple[int, int], stride: int) -> "ModelProto":
    """A copy whose inputs all have one shape.

    Args:
        model: A network with open axes.
        batch: Pictures at once.
        size: ``(height, width)`` in pixels, multiples of the stride.
        stride: Input pixels per cell.
    """
    changed = _copy(model)
    cells = tuple(side // stride for side in size)
    for values, sides in ((changed.graph.input, size), (changed.graph.output, cells)):
        for value in values:
            for axis, length in zip(value.type.tensor_type.shape.dim, (batch, *sides), strict=False):
                axis.dim_value = length
    return changed


def for_nvidia_sdk(model: "ModelProto", ratio: int, limbs: int) -> "ModelProto":
    """A copy as NVIDIA's DeepStream parser of this network reads it, and TAO exports it.

    One layer more, on the PAF branch: a transposed convolution whose kernel is ones on the diagonal of the channels,
    which repeats every cell ``ratio`` times along both axes. The PAFs come first, tensors have TAO's names.

    Args:
        model: A float, FP16 or signed INT8 network.
        ratio: How often a cell is repeated.
        limbs: L; the PAFs have twice as many channels.
    """
    from onnx import helper

    changed = _copy(model)
    graph, channels = changed.graph, 2 * limbs
    heatmaps, pafs = OUTPUTS
    names = {INPUT: SDK_INPUT, heatmaps: SDK_OUTPUTS[1]}
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    kernel = np.zeros((channels, channels, ratio, ratio), np.float32)
    kernel[np.arange(channels), np.arange(channels)] = 1
    first = helper.make_node("Transpose", [pafs], [f"{pafs}/planes"], name=f"{pafs}/planes", perm=[0, 3, 1, 2])
    repeat = helper.make_node(
        "ConvTranspose",
        [f"{pafs}/planes", _constant(graph, f"{pafs}/ones", kernel)],
        [f"{pafs}/repeated"],
        name=f"{pafs}/repeated",
        strides=[ratio, ratio],
    )
    last = helper.make_node("Transpose", [f"{pafs}/repeated"], [SDK_OUTPUTS[0]], name=SDK_OUTPUTS[0], perm=[0, 2, 3, 1])
    graph.node.extend([first, repeat, last])
    graph.input[0].name = SDK_INPUT
    values = {value.name: value for value in graph.output}
    values[heatmaps].name, values[pafs].name = SDK_OUTPUTS[1], SDK_OUTPUTS[0]
    for axis, name in zip(values[pafs].type.tensor_type.shape.dim[1:3], SDK_AXES, strict=True):
        if axis.dim_value:
            axis.dim_value *= ratio
        else:
            axis.dim_param = name
    ordered = [_copy_message(values[name]) for name in (pafs, heatmaps)]
    del graph.output[:]
    graph.output.extend(ordered)
    return changed


def require_float_input(model: "ModelProto", where: str) -> None:
    """Refuse a network that takes pixels, where normalised pictures are given.

    Raises:
        UserError: It does.
    """
    from onnx import TensorProto

    if model.graph.input[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        fix = "give the one that was exported without --uint8-input"
        raise UserError("the network takes pixels, not normalised pictures", where=where, fix=fix)


def _copy(model: "ModelProto") -> "ModelProto":
    copy: ModelProto = type(model).FromString(model.SerializeToString())
    return copy


def _copy_message(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString())


def _read_instead(graph: Any, name: str, other: str) -> None:
    for node in graph.node:
        node.input[:] = [other if read == name else read for read in node.input]


def _put_first(graph: Any, nodes: "list[NodeProto]") -> None:
    rest = [_copy_message(node) for node in graph.node]
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _with_constant(graph: Any, op: str, source: str, target: str, array: np.ndarray) -> "NodeProto":
    from onnx import helper

    return helper.make_node(op, [source, _constant(graph, f"{target}/constant", array)], [target], name=target)


def _constant(graph: Any, name: str, array: np.ndarray) -> str:
    from onnx import numpy_helper

    graph.initializer.append(numpy_helper.from_array(array, name))
    return name
