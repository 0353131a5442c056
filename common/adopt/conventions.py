"""Conventions: how the open pose networks that people have are fed and read.

Facts from the networks' own publications: Intel's model page (Open Model Zoo, human-pose-estimation-0001); NVIDIA's
model card and DeepStream configuration of BodyPoseNet; Osokin, "Real-time 2D Multi-Person Pose Estimation on CPU:
Lightweight OpenPose" (arXiv:1811.12004) and the interface of its ONNX export; Cao et al. (CVPR 2017) and the COCO model
of OpenPose; tf-pose-estimation, whose estimator gives its graphs the pixels as they are. All of them have OpenPose's 18
joints and 19 limbs, in the order that is TAO's, too.
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
TF_POSE = Convention("openpose", "bgr", 1.0, 0.0, (368, 432))
FAMILIES: dict[Family, Convention] = {each.family: each for each in (LIGHTWEIGHT, TAO, OPENPOSE)}
BY_NAME = (  # the beginning of an output's name, and what writes it
    ("Mconv7_stage2_", INTEL),
    ("stage_1_output_", LIGHTWEIGHT),
    ("heatmap_out", TAO),
    ("conv2d_transpose_1", TAO),
    ("paf_out", TAO),
    ("Mconv7_stage6_", OPENPOSE),
    ("net_output", OPENPOSE),
    ("Openpose/concat_stage7", TF_POSE),
)
SCOPES = ("StatefulPartitionedCall", "TfPoseEstimator")  # of TensorFlow, before the names that a network gave
PIXELS = 16.0  # what is taken off or divided by, if it is more than this, is of pixels from 0 to 255
LACKS_BACKGROUND = "adopt a network that draws the background, too"


def find_convention(graph: Graph, family: Family | None, *, where: str) -> Convention:
    """Find how a network is fed: by what its outputs are called, if the family is not named.

    Raises:
        UserError: Neither tells, or the names are those of a form that has no background.
    """
    tails = [tail for name in graph.outputs for tail in _take_tails(name)]
    named = [known for tail in tails for begin, known in BY_NAME if tail.startswith(begin)]
    if family is None and not named:
        if any(tail.startswith("cmap") for tail in tails):
            problem = "has trt_pose's form, whose heatmaps lack the background's"
            raise UserError(problem, where=where, fix=LACKS_BACKGROUND)
        raise UserError(
            f"nothing tells whose network it is: its outputs are {', '.join(graph.outputs)}", where=where,
            fix=f"say so: --as {' | '.join(FAMILIES)}",
        )  # fmt: skip
    if family is None or (named and named[0].family == family):
        return named[0]
    return FAMILIES[family]


def _take_tails(name: str) -> list[str]:
    """A name, and what is left of it without one scope after the other, where TensorFlow put a network into one."""
    parts = name.split("/")
    return ["/".join(parts[place:]) for place in range(len(parts) if parts[0] in SCOPES else 1)]


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
                layout = _permute(layout, _read_order(node, graph))
            else:
                factor, shift = _apply(node, graph, factor, shift)
        except (UnknownError, *MALFORMED):
            return graph, Feeding(factor, shift)
        nodes = tuple(each for each in graph.nodes if each is not node)
        graph = replace(graph, input=node.output, layout=layout, nodes=nodes)


def keep_pixels(convention: Convention, graph: Graph, *, where: str) -> Convention:
    """Leave pixels from 0 to 255 as they are for a network that scales them itself: they would be scaled twice.

    It does so if it divides by numbers of their size, or takes such off: of what was scaled, nobody would. OpenVINO's
    converter and graphs of TensorFlow put that before the first convolution, or part of it into the kernel.
    """
    _, feeding = take_feeding(graph)
    factor = np.abs(feeding.factor)
    large = (factor * PIXELS < 1) | (np.abs(feeding.shift) > factor * PIXELS)
    if convention.scale <= PIXELS or not large.any():
        return convention
    log.warning(
        "%s: it scales pixels itself, so it is given them from 0 to 255; if it is not, give --scale %g --offset %g",
        where, convention.scale, convention.offset,
    )  # fmt: skip
    return replace(convention, scale=1.0, offset=0.0)


def _permute(layout: str, perm: Sequence[int]) -> str:
    if sorted(perm) != list(range(len(layout))):
        raise UnknownError(f"{list(perm)} is no order of {layout}")
    return "".join(layout[axis] for axis in perm)


def _read_order(node: Node, graph: Graph) -> Sequence[int]:
    """The order of axes that a transposition gives: ONNX's attribute, or OpenVINO's second input."""
    if "perm" in node.attributes or len(node.inputs) < 2:
        return tuple(node.attributes.get("perm", ()))
    return [int(axis) for axis in graph.constants[node.inputs[1]]]


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
        lacks = joints in channels
        told = ", the last of them the background's," if lacks else ""
        fix = LACKS_BACKGROUND if lacks else "adopt a network of this form, or name its skeleton with --pose_config"
        raise UserError(
            f"its outputs are not pairs of {joints + 1} heatmaps{told} and {2 * limbs} fields: {found} channels",
            where=where, fix=fix,
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
