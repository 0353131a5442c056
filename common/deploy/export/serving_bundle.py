"""Serving bundle: an exported network with the files that DeepStream or Triton serves it by.

Neither server was run with them: what they hold is held to the servers' documentation and to the network. Servers know
no key, so the network in a bundle is open.
"""

import json
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bodyposenet.common.deploy.export.interface import require_float_input
from bodyposenet.common.deploy.export.peak_search import with_peaks
from bodyposenet.common.deploy.onnx_file import INPUT, card_of_model, read_model, write_model, write_whole
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.spec.inference import InferenceSpec, fill_from_card
from bodyposenet.common.storage.together import Together

if TYPE_CHECKING:
    from onnx import ModelProto

INT8, FP16 = 1, 2  # nvinfer's network-mode
MODES = {INT8: "int8", FP16: "fp16"}
RAW = 100  # nvinfer's network-type of networks that it does not read itself
NCHW = (0, 3, 1, 2)
NHWC = (0, 2, 3, 1)
NAME = "bodyposenet"
DECODING = ("heatmap_threshold", "paf_threshold", "min_parts", "min_score", "max_people")
CPP, JAVASCRIPT = "pose_decoder.hpp", "pose_decoder.mjs"  # read the maps where there is no Python
VERSION = "1"  # the folder of a model's version in a Triton repository


def deepstream_bundle(
    model: Path, folder: Path, size: tuple[int, int] | None = None, *, batch_size: int = 1, peaks: int = 0
) -> list[Path]:
    """Write ``model.onnx``, ``config_infer.txt``, ``skeleton.json`` and the C++ decoder for DeepStream's nvinfer.

    The network's input has its channels first here: nvinfer looks for them there, whatever its configuration says.

    Args:
        model: An exported network: float, FP16, or the INT8 form for TensorRT.
        folder: Where to; files that are there are replaced.
        size: ``(height, width)`` of the input, in pixels; that of the training if None.
        batch_size: Frames of a batch.
        peaks: Also put out so many peaks of each joint, see :mod:`~bodyposenet.common.deploy.export.peak_search`; 0
            does not.

    Returns:
        What was written.

    Raises:
        UserError: The network is the form for ONNX Runtime, or is normalised as nvinfer cannot.
    """
    network = read_model(model)
    card = card_of_model(network, model)
    _refuse_unsigned(network, model)
    require_float_input(network, str(model))
    height, width = _fitting(size or card.input_size, card.stride)
    network = _add_search(network, card, peaks)
    mode = network_mode(network)
    config = {
        "gpu-id": 0,
        "gie-unique-id": 1,
        "process-mode": 1,
        **_nvinfer_normalisation(card, model),
        "model-color-format": 0,
        "onnx-file": "model.onnx",
        "model-engine-file": f"model.onnx_b{batch_size}_gpu0_{MODES[mode]}.engine",
        "infer-dims": f"3;{height};{width}",
        "network-input-order": 0,
        "batch-size": batch_size,
        "network-mode": mode,
        "network-type": RAW,
        "output-blob-names": ";".join(value.name for value in network.graph.output),
        "output-tensor-meta": 1,
        "maintain-aspect-ratio": 1,
        "symmetric-padding": 1,
    }
    lines = ["[property]", *(f"{key}={value}" for key, value in config.items()), ""]
    names = ("model.onnx", "config_infer.txt", "skeleton.json", CPP)
    with Together(folder / names[0]) as files:
        write_model(channels_first(network), files.folder / names[0], openly=True)
        write_whole(files.folder / names[1], "\n".join(lines).encode())
        write_whole(files.folder / names[2], _json(skeleton_sheet(card)))
        write_whole(files.folder / CPP, _read_decoder(CPP))
        files.publish()
    return [folder / name for name in names]


def triton_bundle(model: Path, folder: Path, name: str = NAME, *, batch_size: int = 8, peaks: int = 0) -> list[Path]:
    """Write a Triton model repository of one model: its ``config.pbtxt``, ``1/model.onnx``, its skeleton, decoders.

    Args:
        model: An exported network.
        folder: The repository; files that are there are replaced.
        name: Of the model.
        batch_size: Most pictures of a batch; those of one size are put together.
        peaks: As for :func:`deepstream_bundle`.

    Returns:
        What was written.

    Raises:
        UserError: The name is none that a folder can have.
    """
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name):
        raise UserError(f"the name {name!r} is none for a model", fix="use letters, digits, _ and -")
    network = read_model(model)
    card = card_of_model(network, model)
    network = _add_search(network, card, peaks)
    paths = ("config.pbtxt", f"{VERSION}/model.onnx", "skeleton.json", CPP, JAVASCRIPT)
    names = [f"{name}/{path}" for path in paths]
    with Together(folder / name) as files:
        write_whole(files.folder / names[0], _triton_config(network, card, name, batch_size).encode())
        write_model(network, files.folder / names[1], openly=True)
        write_whole(files.folder / names[2], _json(skeleton_sheet(card)))
        for decoder in (CPP, JAVASCRIPT):
            write_whole(files.folder / name / decoder, _read_decoder(decoder))
        files.publish()
    return [folder / path for path in names]


def network_mode(network: "ModelProto") -> int:
    """Nvinfer's number of a network's precision; a float one is run in half precision, as nvinfer's users do."""
    return INT8 if any(node.op_type == "QuantizeLinear" for node in network.graph.node) else FP16


def channels_first(network: "ModelProto") -> "ModelProto":
    """A copy whose input is ``(batch, 3, height, width)``."""
    from onnx import helper

    turned: ModelProto = type(network).FromString(network.SerializeToString())
    graph = turned.graph
    inside = f"{INPUT}/channels_last"
    nodes = [type(node).FromString(node.SerializeToString()) for node in graph.node]
    for node in nodes:
        node.input[:] = [inside if name == INPUT else name for name in node.input]
    del graph.node[:]
    graph.node.extend([helper.make_node("Transpose", [INPUT], [inside], name=inside, perm=NHWC), *nodes])
    shape = graph.input[0].type.tensor_type.shape
    sides = [type(side).FromString(side.SerializeToString()) for side in shape.dim]
    del shape.dim[:]
    shape.dim.extend(sides[axis] for axis in NCHW)
    return turned


def skeleton_sheet(card: Card) -> dict[str, Any]:
    """What a reader of the maps must know."""
    skeleton = card.skeleton
    limbs = [[skeleton.joints[start], skeleton.joints[end]] for start, end in skeleton.limbs]
    tuned = fill_from_card(InferenceSpec(), card)
    return {
        "skeleton": skeleton.name,
        "joints": list(skeleton.joints),
        "heatmap_channels": [*skeleton.joints, "background"],
        "limbs": limbs,
        "paf_channels": [f"{start} to {end}, {axis}" for start, end in limbs for axis in "xy"],
        "stride": card.stride,
        "cell_centre": f"input pixel = cell * {card.stride} + {(card.stride - 1) / 2}",
        "sigma": card.sigma,
        "paf_shift": card.paf_shift,
        "prior": skeleton.prior and skeleton.prior.to_dict(),
        "input": "RGB / scale - offset",
        "scale": list(card.image_scale),
        "offset": list(card.image_offset),
        "decoding": {key: getattr(tuned, key) for key in DECODING},
    }


def _read_decoder(name: str) -> bytes:
    return resources.files(__package__).joinpath("decoders", name).read_bytes()


def _add_search(network: "ModelProto", card: Card, peaks: int) -> "ModelProto":
    return with_peaks(network, card.skeleton.num_joints, most=peaks) if peaks else network


def _fitting(size: tuple[int, int], stride: int) -> tuple[int, int]:
    if any(side % stride for side in size):
        fix = f"use multiples of {stride}"
        raise UserError(f"the stride {stride} does not divide {size[0]}x{size[1]}", where="input_dims", fix=fix)
    return size


def _nvinfer_normalisation(card: Card, where: Path) -> Mapping[str, object]:
    """Nvinfer computes ``net-scale-factor * (x - offsets)``: one factor for all channels."""
    scales = set(card.image_scale)
    if len(scales) > 1:
        problem = f"the channels are divided by {', '.join(f'{scale:g}' for scale in card.image_scale)}"
        raise UserError(f"{problem}; nvinfer has one factor", where=str(where), fix="train with one image_scale")
    (scale,) = scales
    offsets = ";".join(f"{offset * scale:g}" for offset in card.image_offset)
    return {"net-scale-factor": repr(1 / scale), "offsets": offsets}


def _refuse_unsigned(network: "ModelProto", where: Path) -> None:
    from onnx import TensorProto

    zeros = (tensor for tensor in network.graph.initializer if tensor.name.endswith("/zero_point"))
    if any(tensor.data_type == TensorProto.UINT8 for tensor in zeros):
        fix = "give the form for TensorRT, X.int8.onnx"
        raise UserError(
            "this is the 8-bit form for ONNX Runtime; TensorRT takes signed numbers", where=str(where), fix=fix
        )


def _triton_config(network: "ModelProto", card: Card, name: str, batch_size: int) -> str:
    """``config.pbtxt``; dimensions without the batch, -1 for those that are open."""
    from onnx import TensorProto

    kinds = {TensorProto.FLOAT: "TYPE_FP32", TensorProto.UINT8: "TYPE_UINT8", TensorProto.INT64: "TYPE_INT64"}

    def tensors(kind: str, values: Any) -> list[str]:
        lines = [f"{kind} ["]
        for place, value in enumerate(values):
            held = value.type.tensor_type
            if held.elem_type not in kinds:
                raise UserError(
                    f"{value.name} holds no numbers that Triton is told of", fix="give what bpnet export wrote"
                )
            dims = ", ".join(str(side.dim_value or -1) for side in held.shape.dim[1:])
            comma = "," if place + 1 < len(values) else ""
            lines.append(f'  {{ name: "{value.name}" data_type: {kinds[held.elem_type]} dims: [ {dims} ] }}{comma}')
        return [*lines, "]"]

    static = network.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    sheet = json.dumps(json.dumps(skeleton_sheet(card), sort_keys=True))
    lines = [
        f'name: "{name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {static or batch_size}",
        *tensors("input", network.graph.input),
        *tensors("output", network.graph.output),
        "dynamic_batching { }",
        f'parameters {{ key: "skeleton" value {{ string_value: {sheet} }} }}',
        "",
    ]
    return "\n".join(lines)


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()
