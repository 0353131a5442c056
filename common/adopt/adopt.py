"""Adopt: make a model of this project of an open network that somebody else trained."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.adopt.conventions import (
    TAO,
    Colours,
    Convention,
    Family,
    Feeding,
    change_convention,
    change_kernels,
    find_convention,
    keep_pixels,
    pick_maps,
    take_feeding,
)
from bodyposenet.common.adopt.graph import Graph, drop_quantization, merge_biases, refuse_integers
from bodyposenet.common.adopt.joined_maps import is_turned, split_maps
from bodyposenet.common.adopt.read_tao import SUFFIX, read_tao
from bodyposenet.common.deploy.runner import running
from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, Skeleton

log = logging.getLogger(__name__)

SCALE, OFFSET = 256.0, 0.5  # how this project's networks are fed: RGB / 256 - .5


@dataclass(frozen=True)
class Adopted:
    """A network that was adopted.

    Attributes:
        model: The ``keras.Model``.
        card: How it is fed and read.
        convention: How it was fed before.
    """

    model: Any
    card: Card
    convention: Convention


def adopt(
    path: Path,
    family: Family | None = None,
    *,
    skeleton: Skeleton = BODYPOSENET_18,
    colours: Colours | None = None,
    scale: float | None = None,
    offset: float | None = None,
) -> Adopted:
    """Read an open network and build it anew in Keras, with its weights, in floats, and a card.

    Args:
        path: ONNX (``.onnx``), OpenVINO (``.xml``, its ``.bin`` beside it), or an open ``.hdf5`` of TAO.
        family: Whose form it has; found by the names of its outputs if None.
        skeleton: Joints and limbs in the order of its channels.
        colours: Order of the picture's channels, where it is not the family's.
        scale: What pixels from 0 to 255 are divided by.
        offset: What is taken from the quotient.

    Raises:
        UserError: The file cannot be read, or is none of these networks; ``scale`` is 0.
    """
    if path.suffix == SUFFIX:
        asked = {"--as": family != TAO.family and family, "--colours": colours, "--scale": scale, "--offset": offset}
        return _adopt_tao(path, skeleton, [flag for flag, value in asked.items() if value not in (None, False)])
    graph = read_graph(path)
    known = find_convention(graph, family, where=str(path))
    refuse_integers(graph, where=str(path))
    graph = merge_biases(drop_quantization(graph))
    if scale is None and offset is None:
        known = keep_pixels(known, graph, where=str(path))
    convention = change_convention(known, colours=colours, scale=scale, offset=offset)
    counts = (skeleton.num_joints + 1, 2 * skeleton.num_limbs)
    parts = split_maps(graph, counts)
    model, fed = _build(parts, convention, skeleton, str(path))
    if parts is not graph and is_turned(model):
        log.warning("%s: what one convolution draws is taken for fields and then heatmaps, by the background", path)
        model, fed = _build(split_maps(graph, counts, fields_first=True), convention, skeleton, str(path))
    card = make_card(model, convention, skeleton, path, *fed)
    card = replace(card, input_size=graph.size or card.input_size)
    _require_sound(card, where=str(path))
    return Adopted(model, card, convention)


def _build(
    graph: Graph, convention: Convention, skeleton: Skeleton, where: str
) -> tuple[Any, tuple[np.ndarray, np.ndarray]]:
    """Build the Keras network of a graph, and say how it is fed: per channel, scale and offset."""
    from bodyposenet.common.adopt.keras_network import build_network

    graph, names = pick_maps(graph, skeleton.num_joints, skeleton.num_limbs, where=where)
    graph, feeding = take_feeding(graph)
    order = (2, 1, 0) if convention.colours == "bgr" else (0, 1, 2)
    scale, offset = feed(convention, feeding, order)
    graph = change_kernels(graph, order, SCALE / scale if is_usual(scale, offset) else np.ones(3), where=where)
    return build_network(graph, names, where=where), (scale, offset)


def _require_sound(card: Card, *, where: str) -> None:
    """Refuse what no model file could say, as nobody could read it."""
    try:
        Card.from_dict(card.to_dict())
    except ValueError as error:
        fix = "give a --scale and an --offset of pixels, or adopt a network of pictures' sizes"
        raise UserError(str(error), where=where, fix=fix) from None


def _adopt_tao(path: Path, skeleton: Skeleton, flags: Sequence[str]) -> Adopted:
    """Give a Keras network of TAO, which is as it should be, its card."""
    if flags:
        fix = f"leave {' and '.join(flags)} out"
        raise UserError("is fed as TAO feeds its networks, RGB / 256 - 0.5", where=str(path), fix=fix)
    model = read_tao(path, skeleton)
    return Adopted(model, make_card(model, TAO, skeleton, path, np.full(3, TAO.scale), np.full(3, TAO.offset)), TAO)


def read_graph(path: Path) -> Graph:
    """Read a file of any of the kinds that can be adopted.

    Raises:
        UserError: It is none, or cannot be read.
    """
    if path.suffix == ".xml":
        from bodyposenet.common.adopt.read_openvino import read_openvino

        return read_openvino(path)
    if path.suffix in (".onnx", ".etlt"):
        from bodyposenet.common.adopt.read_onnx import read_onnx

        return read_onnx(path)
    raise UserError(
        "is no network that can be adopted", where=str(path), fix="give an .onnx, OpenVINO's .xml, or TAO's .hdf5"
    )


def feed(convention: Convention, feeding: Feeding, order: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Say in one what the convention and the network itself do to the picture, red first.

    Returns:
        ``(3,)`` scale and ``(3,)`` offset: the first convolution reads RGB / scale - offset.
    """
    # v / scale - offset, then * factor + shift
    scale = convention.scale / feeding.factor
    offset = convention.offset * feeding.factor - feeding.shift
    return scale[list(order)], offset[list(order)]


def is_usual(scale: np.ndarray, offset: np.ndarray) -> bool:
    """Tell whether pictures fed as this project's networks are differ by a factor alone, which a kernel can take."""
    return bool(np.all(np.abs(OFFSET * SCALE / scale - offset) < 1e-6))


def make_card(
    model: Any, convention: Convention, skeleton: Skeleton, path: Path, scale: np.ndarray, offset: np.ndarray
) -> Card:
    """Make the card of a network.

    Raises:
        UserError: Its maps are not equally large, of no whole number of pixels a cell, or no numbers.
    """
    side = 256
    with running(str(path)):
        drawn = [np.asarray(maps) for maps in model(np.ones((1, side, side, 3), np.float32))]
    shapes = {maps.shape[1:3] for maps in drawn}
    if len(shapes) != 1 or any(side % rows or rows != columns for rows, columns in shapes):
        told = ", ".join(f"{rows} x {columns}" for rows, columns in sorted(shapes))
        raise UserError(
            f"its maps of a picture of {side} x {side} pixels have {told} cells", where=str(path),
            fix="adopt a network whose maps are equally large",
        )  # fmt: skip
    if not all(np.isfinite(maps).all() for maps in drawn):
        raise UserError("its maps of a white picture are no numbers", where=str(path), fix="fetch it again")
    ((rows, _),) = shapes
    card = Card(skeleton, stride=side // rows, input_size=convention.size)
    if convention.corners:
        card = replace(card, paf_shift=(card.stride - 1) / 2)
    if is_usual(scale, offset):
        return card
    return replace(card, image_scale=tuple(map(float, scale)), image_offset=tuple(map(float, offset)))
