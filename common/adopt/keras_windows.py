"""Keras layers of foreign operations that move a window over the cells: convolutions, poolings, borders, enlarging."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from bodyposenet.common.adopt.graph import UnknownError
from bodyposenet.common.adopt.layer_inputs import Given, Value
from bodyposenet.common.bounds import ARRAY_BYTES, LARGEST_STRIDE

L = keras.layers

# Convolutions


def convolve(given: Given) -> Value:
    """Build a convolution, of any groups and dilations."""
    kernel = given.values[1]
    _require_axes(given)
    if not isinstance(kernel, np.ndarray):
        raise UnknownError("its kernel is no constant")
    groups = given.node.attributes.get("group", 1)
    if kernel.ndim == 5:  # OpenVINO's, by groups
        groups, kernel = kernel.shape[0], kernel.reshape(-1, *kernel.shape[2:])
    if kernel.ndim != 4:
        raise UnknownError(f"its kernel has {kernel.ndim} axes, not 4")
    filters, read, *size = kernel.shape
    bias = [each for each in given.values[2:3] if each is not None]
    padded, padding = _pad(given, size, _read_pads(given, size))
    about: dict[str, Any] = {
        "strides": _strides(given),
        "dilation_rate": tuple(given.node.attributes.get("dilations", (1, 1))),
        "padding": padding,
        "use_bias": bool(bias),
        "name": given.name,
    }
    if groups > 1 and read == 1:
        layer = L.DepthwiseConv2D(size, depth_multiplier=filters // groups, **about)
        weights = kernel.reshape(groups, filters // groups, *size).transpose(2, 3, 0, 1)
    else:
        layer = L.Conv2D(filters, size, groups=groups, **about)
        weights = kernel.transpose(2, 3, 1, 0)
    return padded.draw(layer, weights, *bias)


def transpose(given: Given) -> Value:
    """Build a transposed convolution that enlarges the cells by its strides, whatever it cuts off on either side.

    Keras cuts off as much above as below, or one cell less. Where the file does not, zeros around the kernel, which
    add nothing to what is drawn, make it so.
    """
    kernel, attributes = given.values[1], given.node.attributes
    _require_axes(given)
    if not isinstance(kernel, np.ndarray) or kernel.ndim != 4:
        raise UnknownError("its kernel is no constant of four axes")
    if any(attributes.get("output_shape", ())) or max(attributes.get("dilations", (1,))) > 1:
        raise UnknownError("it is transposed to a given size, or with dilations")
    kernel = _join_groups(kernel, attributes.get("group", 1))
    strides, cut = _strides(given), _read_cuts(given, kernel.shape[2:])
    over = [wide - step for wide, step in zip(kernel.shape[2:], strides, strict=True)]
    if over == [sum(ends) for ends in cut]:
        padding = "same"
        more = [(max(0, after - before - 1), max(0, before - after)) for before, after in cut]
        if any(sum(ends) > step for ends, step in zip(more, strides, strict=True)):
            raise UnknownError(f"what it cuts off {cut} is no pose network's")
        kernel = np.pad(kernel, ((0, 0), (0, 0), *more))
    elif not np.any(cut) and min(over) >= 0:
        padding = "valid"
    else:
        raise UnknownError(f"it does not enlarge by its strides {list(strides)}: it cuts {cut} cells off")
    bias = [each for each in given.values[2:3] if each is not None]
    about: dict[str, Any] = {"strides": strides, "padding": padding, "use_bias": bool(bias), "name": given.name}
    layer = L.Conv2DTranspose(kernel.shape[1], kernel.shape[2:], **about)
    return given.draw(layer, kernel.transpose(2, 3, 1, 0), *bias)


def _join_groups(kernel: np.ndarray, groups: int) -> np.ndarray:
    """The kernel of all channels, zero between those of different groups, which Keras has none of here."""
    if groups == 1:
        return kernel
    read, filters, *size = kernel.shape
    if read % groups or 4 * kernel.size * groups > ARRAY_BYTES:
        raise UnknownError(f"its kernel of shape {kernel.shape} has {groups} groups")
    whole = np.zeros((groups, read // groups, groups, filters, *size), np.float32)
    for group, part in enumerate(kernel.reshape(groups, -1, filters, *size)):
        whole[group, :, group] = part
    return whole.reshape(read, groups * filters, *size)


def _read_cuts(given: Given, size: Sequence[int]) -> list[tuple[int, int]]:
    """Cells that a transposed convolution cuts off before and after, down and across; fewer than none are added."""
    attributes, strides = given.node.attributes, _strides(given)
    automatic = attributes.get("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        over = [max(0, wide - step) for wide, step in zip(size, strides, strict=True)]
        halves = [(each // 2, each - each // 2) for each in over]
        return [(after, before) for before, after in halves] if automatic == "SAME_LOWER" else halves
    top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0)) if automatic == "NOTSET" else (0, 0, 0, 0)
    below, beside = attributes.get("output_padding") or (0, 0)
    if min(top, left, bottom, right, below, beside) < 0:
        raise UnknownError("its padding is below 0")
    return [(top, bottom - below), (left, right - beside)]


def _strides(given: Given) -> tuple[int, int]:
    down, across = given.node.attributes.get("strides", (1, 1))
    return down, across


# Borders


def _read_pads(given: Given, size: Sequence[int]) -> tuple[int, ...]:
    """Cells around what a convolution or a pooling reads: above, to the left, below, to the right."""
    attributes = given.node.attributes
    automatic = attributes.get("auto_pad", "NOTSET")
    if automatic.startswith("SAME"):
        pads = _same_pads(given, size)
        return pads if automatic == "SAME_UPPER" else (*pads[2:], *pads[:2])
    pads = tuple(attributes.get("pads", (0, 0, 0, 0))) if automatic == "NOTSET" else (0, 0, 0, 0)
    if min(pads) < 0:
        raise UnknownError(f"its padding {list(pads)} is below 0")
    return pads


def _same_pads(given: Given, size: Sequence[int]) -> tuple[int, ...]:
    """Keras' own way, of sizes that the stride divides, as all sizes of a pose network's pictures and maps are."""
    around = [rate * (n - 1) for rate, n in zip(given.node.attributes.get("dilations", (1, 1)), size, strict=True)]
    total = [max(0, each - (step - 1)) for each, step in zip(around, _strides(given), strict=True)]
    return (*(each // 2 for each in total), *(each - each // 2 for each in total))


def _pad(given: Given, size: Sequence[int], pads: Sequence[int]) -> tuple[Given, str]:
    """What a convolution or a pooling reads, padded where Keras' own two ways are not the file's; and Keras' way."""
    if not any(pads):
        return given, "valid"
    return (given, "same") if tuple(pads) == _same_pads(given, size) else (_pad_zeros(given, pads), "valid")


def _pad_zeros(given: Given, pads: Sequence[int]) -> Given:
    top, left, bottom, right = pads
    padded = L.ZeroPadding2D(((top, bottom), (left, right)), name=f"{given.name}_pad")(given.first.tensor)
    return Given(given.node, (Value(padded, given.first.axes), *given.values[1:]), given.name)


def add_border(given: Given) -> Value:
    """Zeros around the rows and columns."""
    pads = given.node.attributes.get("pads")
    if pads is None:
        pads = [int(each) for each in given.values[1]]
    value = next((each for each in given.values[2:3] if each is not None), given.node.attributes.get("value", 0))
    chosen = [int(axis) for axis in given.values[3]] if given.values[3:] and given.values[3] is not None else range(4)
    axes, count = [given.first.axes[axis] for axis in chosen], len(chosen)
    none = dict.fromkeys("NCHW", 0)
    begin, end = (none | dict(zip(axes, half, strict=True)) for half in (pads[:count], pads[count:]))
    if not all(0 <= each <= LARGEST_STRIDE for each in pads):
        raise UnknownError(f"its border {list(pads)} is no pose network's")
    if given.node.attributes.get("mode", "constant") != "constant" or np.any(value) or begin["C"] or end["C"]:
        raise UnknownError("it pads with something else than zeros, or the channels")
    border = ((begin["H"], end["H"]), (begin["W"], end["W"]))
    return given.first if not np.any(border) else given.draw(L.ZeroPadding2D(border, name=given.name))


def _require_axes(given: Given) -> None:
    if given.first.axes != "NCHW":
        raise UnknownError(f"it reads axes in the order {given.first.axes}, which no convolution of ONNX does")


# Pooling


def pool(kind: Any) -> Callable[[Given], Value]:
    """Return what builds a pooling of this kind.

    Zeros around stand for the border of a maximum where nothing is below 0, and for that of a mean that counts them.
    """

    def build(given: Given) -> Value:
        _require_axes(given)
        size, attributes = given.node.attributes["kernel_shape"], given.node.attributes
        if max(attributes.get("dilations", (1,))) > 1:
            raise UnknownError("it pools with dilations, as no layer of Keras does")
        pads = _read_pads(given, size)
        if attributes.get("ceil_mode"):
            pads = _reach_beyond(given, size, pads, kind)
        padded, padding = _pad(given, size, pads)
        counted = bool(attributes.get("count_include_pad"))
        if padding == "same" and counted:
            padded, padding = _pad_zeros(given, pads), "valid"
        zeros = padded is not given
        if zeros and kind is L.MaxPooling2D and not _is_positive(given.first.tensor):
            raise UnknownError(f"its border {list(pads)} is beside numbers below 0: pool after the activation")
        if zeros and kind is L.AveragePooling2D and not counted:
            raise UnknownError(f"its border {list(pads)} is not counted, as no pooling of Keras does")
        return padded.draw(kind(size, strides=_strides(given), padding=padding, name=given.name))

    return build


def _reach_beyond(given: Given, size: Sequence[int], pads: tuple[int, ...], kind: Any) -> tuple[int, ...]:
    """The border of windows that reach beyond the last cell, of sizes that the stride divides."""
    over = [wide - step for wide, step in zip(size, _strides(given), strict=True)]
    if not any(over):
        return pads
    if kind is not L.MaxPooling2D or any(pads) or not all(each in (0, 1) for each in over):
        raise UnknownError("it pools beyond the last cell, as no layer of Keras does")
    return (0, 0, *over)


def _is_positive(tensor: Any) -> bool:
    """Tell whether nothing in a tensor can be below 0, as an activation made it."""
    made = tensor._keras_history
    while isinstance(made.operation, L.MaxPooling2D | L.AveragePooling2D | L.ZeroPadding2D):
        (tensor,) = made.operation._inbound_nodes[made.node_index].input_tensors
        made = tensor._keras_history
    return (
        isinstance(made.operation, L.ReLU) or getattr(made.operation, "activation", None) is keras.activations.sigmoid
    )


# Enlarging


def enlarge(given: Given) -> Value:
    """Build a layer that repeats cells, or draws lines between them, a whole number of times as many."""
    attributes, axes = given.node.attributes, given.first.axes
    old = len(given.values) < 3  # Upsample, and Resize before opset 11
    scales = attributes.get("scales") if len(given.values) == 1 else given.values[1 if old else 2]
    if scales is None or not np.size(scales):
        raise UnknownError("it enlarges to a given size: export it with scales")
    named = [axes[axis] for axis in attributes.get("axes", range(len(axes)))]
    times = dict.fromkeys(axes, 1.0) | dict(zip(named, map(float, scales), strict=True))
    size = times["H"], times["W"]
    if times["N"] != 1 or times["C"] != 1 or not all(1 <= each <= LARGEST_STRIDE and each % 1 == 0 for each in size):
        raise UnknownError(f"it enlarges {[float(each) for each in scales]} times, which are no whole numbers of cells")
    way = attributes.get("coordinate_transformation_mode", "asymmetric" if old else "half_pixel")
    nearest = attributes.get("nearest_mode", "floor" if old else "round_prefer_floor")
    kind = _find_interpolation(attributes.get("mode", "nearest"), way, nearest, max(size))
    layer = L.UpSampling2D((int(size[0]), int(size[1])), interpolation=kind, name=given.name)
    return given.first if max(size) == 1 else given.draw(layer)


HALF = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")  # equal where whole numbers of cells are made


def _find_interpolation(mode: str, way: str, nearest: str, most: float) -> str:
    """Keras' word for how ONNX enlarges, at most so many times."""
    if mode == "linear" and way in HALF:
        return "bilinear"
    rounded = nearest.startswith("round") and (
        way in HALF or (way == "asymmetric" and nearest[-5:] == "floor" and most <= 2)
    )
    floored = nearest == "floor" and way in ("asymmetric", "tf_half_pixel_for_nn")
    if mode == "nearest" and (rounded or floored):
        return "nearest"
    raise UnknownError(f"it enlarges by {mode} ({way}, {nearest}), as no layer of Keras does")
