"""Conventions: how the open pose networks that people have are fed and read.

Facts from the networks' own publications: Intel's model page (Open Model Zoo, human-pose-estimation-0001); NVIDIA's
model card and DeepStream configuration of BodyPoseNet; Osokin, "Real-time 2D Multi-Person Pose Estimation on CPU:
Lightweight OpenPose" (arXiv:1811.12004) and the interface of its ONNX export; Cao et al. (CVPR 2017) and the COCO model
of OpenPose. All of them have OpenPose's 18 joints and 19 limbs, in the order that is TAO's, too.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from bodyposenet.common.adopt.graph import Graph, Node, UnknownError, by_channel
from bodyposenet.common.errors import MALFORMED, UserError

log = logging.getLogger(__name__)

Colours = Literal["rgb", "bgr"]
Family = Literal["lightweight-openpose", "tao-bodyposenet", "openpose"]


@dataclass(frozen=True)
class Convention:
    """How a network takes pictures: per channel, value / scale - offset.

    Attributes:
        family: What it is.
        colours: Order of the channels.
        scale: Of pixels from 0 to 255.
        offset: What is taken from the quotient.
        size: ``(height, width)`` that its authors use.
        corners: Whether it was trained with fields that were drawn from the corners of their cells.
    """

    family: Family
    colours: Colours
    scale: float
    offset: float
    size: tuple[int, int]
    corners: bool = False


INTEL = Convention("lightweight-openpose", "bgr", 1.0, 0.0, (256, 456))
LIGHTWEIGHT = Convention("lightweight-openpose", "bgr", 256.0, 0.5, (256, 456))
TAO = Convention("tao-bodyposenet", "rgb", 256.0, 0.5, (288, 384), corners=True)
OPENPOSE = Convention("openpose", "bgr", 256.0, 0.5, (368, 368))
FAMILIES: dict[Family, Convention] = {each.family: each for each in (LIGHTWEIGHT, TAO, OPENPOSE)}
BY_NAME = (  # the beginning of an output's name, and what writes it
    ("Mconv7_stage2_", INTEL),
    ("stage_1_output_", LIGHTWEIGHT),
    ("heatmap_out", TAO),
    ("conv2d_transpose_1", TAO),
    ("paf_out", TAO),
    ("Mconv7_stage6_", OPENPOSE),
    ("net_output", OPENPOSE),
)


def find_convention(graph: Graph, family: Family | None, *, where: str) -> Convention:
    """Find how a network is fed: by what its outputs are called, if the family is not named.

    Raises:
        UserError: Neither tells.
    """
    named = [known for name in graph.outputs for begin, known in BY_NAME if _plain(name).startswith(begin)]
    if family is None and not named:
        raise UserError(
            f"nothing tells whose network it is: its outputs are {', '.join(graph.outputs)}", where=where,
            fix=f"say so: --as {' | '.join(FAMILIES)}",
        )  # fmt: skip
    if family is None or (named and named[0].family == family):
        return named[0]
    return FAMILIES[family]


def _plain(name: str) -> str:
    return name.rsplit("/", 1)[-1] if name.startswith("StatefulPartitionedCall") else name


def change_convention(
    known: Convention, *, colours: Colours | None, scale: float | None, offset: float | None
) -> Convention:
    """Replace what is said otherwise."""
    said = {"colours": colours, "scale": scale, "offset": offset}
    return replace(known, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]


# What the network itself does to the picture


@dataclass(frozen=True)
class Feeding:
    """Per channel in the network's own order: value * factor + shift is what its first convolution reads."""

    factor: np.ndarray
    shift: np.ndarray


def take_feeding(graph: Graph) -> tuple[Graph, Feeding]:
    """Take out what a network does to the picture's numbers before its first convolution, and say what that was."""
    factor, shift, layout = np.ones(3), np.zeros(3), graph.layout
    while True:
        readers = [node for node in graph.nodes if graph.input in node.inputs]
        if len(readers) != 1 or readers[0].kind not in ("Add", "Sub", "Mul", "Div", "Transpose"):
            return graph, Feeding(factor, shift)
        (node,) = readers
        try:
            if node.kind == "Transpose":
                layout = _permute(layout, node.attributes.get("perm", ()))
            else:
                factor, shift = _apply(node, graph, factor, shift)
        except (UnknownError, *MALFORMED):
            return graph, Feeding(factor, shift)
        nodes = tuple(each for each in graph.nodes if each is not node)
        graph = replace(graph, input=node.output, layout=layout, nodes=nodes)


def _permute(layout: str, perm: Sequence[int]) -> str:
    if sorted(perm) != list(range(len(layout))):
        raise UnknownError(f"{list(perm)} is no order of {layout}")
    return "".join(layout[axis] for axis in perm)


def _apply(node: Node, graph: Graph, factor: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    constants = [graph.constants[name] for name in node.inputs if name in graph.constants]
    if len(constants) != 1 or (node.kind in ("Sub", "Div") and node.inputs[0] != graph.input):
        raise UnknownError("it is no constant that changes the picture")
    numbers = by_channel(constants[0], graph.layout, 3)
    if node.kind in ("Mul", "Div"):
        times = numbers if node.kind == "Mul" else 1 / numbers
        return factor * times, shift * times
    return factor, shift + (numbers if node.kind == "Add" else -numbers)


def change_kernels(graph: Graph, order: Sequence[int], factor: np.ndarray, *, where: str) -> Graph:
    """Let the convolutions that see the picture take its channels in another order, each times a factor.

    Args:
        graph: Whose picture nothing but convolutions reads, with zeros around it or without.
        order: Channel ``k`` of the new picture is channel ``order[k]`` of the old one.
        factor: ``(3,)``, of the new channels.
        where: What messages call the file.

    Raises:
        UserError: Something else reads it.
    """
    constants = dict(graph.constants)
    seen = {graph.input}
    for node in graph.nodes:
        if node.kind == "Pad" and node.inputs[0] in seen:  # of zeros, which a factor leaves
            seen.add(node.output)
        elif seen & {*node.inputs}:
            if node.kind != "Conv" or node.inputs[1] not in constants:
                raise UserError(
                    f"{node.name}: {node.kind} reads the picture, in whose place only a convolution is known",
                    where=where, fix="adopt a network whose picture is read by a convolution",
                )  # fmt: skip
            kernel = constants[node.inputs[1]]
            if kernel.ndim != 4 or kernel.shape[1] != len(factor):
                raise UserError(
                    f"{node.name} reads the picture with a kernel of shape {kernel.shape}",
                    where=where,
                    fix="adopt another",
                )
            constants[node.inputs[1]] = kernel[:, list(order)] * factor.astype(np.float32)[:, None, None]
    return replace(graph, constants=constants)


# Outputs


def pick_maps(graph: Graph, joints: int, limbs: int, *, where: str) -> tuple[Graph, list[str]]:
    """Put a network's outputs in this project's order: heatmaps of each stage, then the fields.

    An output that is heatmaps and fields side by side is taken apart, and NVIDIA's, whose fields are repeated for its
    parser, get those back that are repeated. A stage is before another if it is computed before, however the file lists
    them; what is neither heatmaps nor fields is left out, which is told.

    Returns:
        The graph, and the names of the layers of its outputs.

    Raises:
        UserError: The outputs are not maps of these joints and limbs.
    """
    try:
        tensors = [part for name in graph.outputs for part in _take_apart(graph, name)]
        tensors = [_before_repeating(graph, name) for name in tensors]
        channels = [_count_channels(graph, name) for name in tensors]
    except MALFORMED as error:
        fix = "adopt a network whose outputs are drawn by convolutions"
        raise UserError(f"its outputs are no maps ({type(error).__name__}: {error})", where=where, fix=fix) from None
    made = {name: place for place, node in enumerate(graph.nodes) for name in node.outputs}
    counted = sorted(zip(tensors, channels, strict=True), key=lambda pair: made.get(pair[0], -1))
    heatmaps = [name for name, count in counted if count == joints + 1]
    fields = [name for name, count in counted if count == 2 * limbs]
    if not heatmaps or len(heatmaps) != len(fields) or len({*heatmaps, *fields}) < 2 * len(heatmaps):
        found = ", ".join(f"{name} with {count}" for name, count in counted)
        lacks = ", the last of them the background's," if joints in channels else ""
        raise UserError(
            f"its outputs are not pairs of {joints + 1} heatmaps{lacks} and {2 * limbs} fields: {found} channels",
            where=where, fix="adopt a network of this form, or name its skeleton with --pose_config",
        )  # fmt: skip
    for name, count in counted:
        if name not in (*heatmaps, *fields):
            log.warning("%s: %s is left out: its %s channels are neither heatmaps nor fields", where, name, count)
    return replace(graph, outputs=(*heatmaps, *fields)), name_outputs(len(heatmaps))


def name_outputs(stages: int) -> list[str]:
    """Name the layers that draw the maps, as networks that are built here have them."""
    names = [f"stage{stage}_{{}}_branch_out" for stage in range(1, stages)]
    return [*(name.format("heat") for name in names), "heatmap_out", *(name.format("paf") for name in names), "paf_out"]


ON_THE_WAY = ("Transpose", "Slice", "Pad", "Add")


def _take_apart(graph: Graph, tensor: str) -> Sequence[str]:
    made = _back(graph, tensor, ("Transpose",))
    return made.inputs if made is not None and made.kind == "Concat" else (tensor,)


def _before_repeating(graph: Graph, tensor: str) -> str:
    """What a transposed convolution that only repeats cells reads; anything else as it is."""
    made = _back(graph, tensor, ON_THE_WAY)
    if made is None or made.kind != "ConvTranspose":
        return tensor
    kernel = graph.constants[made.inputs[1]]
    one = np.eye(*kernel.shape[:2])[:, :, None, None]
    whole = [
        length == step for length, step in zip(kernel.shape[2:], made.attributes.get("strides", (1, 1)), strict=True)
    ]
    return made.inputs[0] if all(whole) and np.array_equal(kernel, np.broadcast_to(one, kernel.shape)) else tensor


def _back(graph: Graph, tensor: str, through: Sequence[str]) -> Node | None:
    """The operation that makes a tensor, seen through some others."""
    made = graph.maker(tensor)
    while made is not None and made.kind in through:
        if made.kind == "Add" and any(np.any(graph.constants[name]) for name in made.inputs if name in graph.constants):
            return made
        made = graph.maker(made.inputs[0])
    return made


def _count_channels(graph: Graph, tensor: str) -> int | None:
    made = _back(graph, tensor, ON_THE_WAY)
    while made is not None and made.kind not in ("Conv", "ConvTranspose", "BatchNormalization"):
        made = _back(graph, made.inputs[0], ON_THE_WAY) if made.inputs else None
    if made is None:
        return None
    kernel = graph.constants[made.inputs[1]]
    if kernel.ndim == 1:
        return len(kernel)
    return int(kernel.shape[0] if made.kind == "Conv" else kernel.shape[1] * made.attributes.get("group", 1))
