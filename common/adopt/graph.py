"""Graph: a foreign network as a list of operations in ONNX's words, whatever file it comes from.

Two passes make one graph of what different tools write: :func:`drop_quantization` takes quantization out, weights in
floats by their scales, and :func:`merge_biases` puts a constant that is added to a convolution into it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bodyposenet.common.bounds import FOLDED_FROM, FOLDED_NUMBERS
from bodyposenet.common.errors import UserError


class GrowthError(ArithmeticError):
    """Constants that would be computed to more than weights have; the text says how many."""


class UnknownError(Exception):
    """An operation that no layer does; the text says which and why."""


STAYING = ("Add", "Mul", "Div", "Clip", "Concat", "MaxPool", "AveragePool", "Transpose", "Resize", "Upsample")
COMPUTED_IN_8_BITS = ("ConvInteger", "QLinearConv", "MatMulInteger", "QLinearMatMul", "QGemm")
PASSED = ("QuantizeLinear", "DequantizeLinear", "FakeQuantize", "Identity", "Cast", "Dropout")


@dataclass(frozen=True)
class Node:
    """An operation.

    Attributes:
        kind: ONNX's name of the operation, or ``FakeQuantize``, OpenVINO's.
        name: What the file calls it.
        inputs: Names of tensors; an input that is left out is ``""``.
        outputs: Names of tensors.
        attributes: ONNX's, by name.
    """

    kind: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The first of the outputs, which most operations have alone."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        input: Name of the picture's tensor.
        layout: Of the picture: ``NHWC`` or ``NCHW``.
        outputs: Names of the tensors that the network draws.
        nodes: Operations, each after those that it reads.
        constants: Tensors that are there from the start, by name.
        size: ``(height, width)`` of the pictures where the file takes no others.
    """

    input: str
    layout: str
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray]
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Refuse an operation that makes nothing or what another does, or that reads what is made after it.

        Raises:
            ValueError: There is one.
        """
        known = {"", self.input, *self.constants}
        for node in self.nodes:
            if not node.outputs or not known.issuperset(node.inputs):
                raise ValueError(f"{node.name} makes nothing, or reads what nothing before it makes")
            known |= {*node.outputs}
        made = [name for node in self.nodes for name in node.outputs if name]
        if len({*made}) < len(made):
            raise ValueError("two operations make the same")

    def readers(self) -> Counter[str]:
        """Count how often each tensor is read; the network's outputs are read once more."""
        return Counter([name for node in self.nodes for name in node.inputs] + list(self.outputs))

    def maker(self, tensor: str) -> Node | None:
        """Return the operation that makes a tensor; None of constants and of the picture."""
        return next((node for node in self.nodes if tensor in node.outputs), None)


def refuse_integers(graph: Graph, *, where: str) -> None:
    """Refuse a network whose convolutions themselves compute in 8 bits, so that no float ones are left in it.

    Raises:
        UserError: One does.
    """
    for node in graph.nodes:
        if node.kind.rsplit(".", 1)[-1] in COMPUTED_IN_8_BITS:
            raise UserError(
                f"{node.name}: {node.kind} computes in 8 bits",
                where=where,
                fix="adopt the float network, or one quantized with QuantizeLinear and DequantizeLinear (QDQ)",
            )


def drop_quantization(graph: Graph) -> Graph:
    """Take out what rounds to 8 bits and back, and whatever changes nothing in a float network.

    Weights that are kept in 8 bits are computed by their scales, as their quantization says; what rounds the maps
    between the layers is left out, so that the network draws what it drew before it was quantized, or nearly. What cuts
    them at 0 as well, where nothing before it did, stays as the activation that it is.

    Raises:
        UserError: An operation on constants alone cannot be computed.
    """
    constants, nodes, instead = dict(graph.constants), list[Node](), dict[str, str]()
    positive, made = {graph.input}, 0
    for node in graph.nodes:
        inputs = tuple(instead.get(name, name) for name in node.inputs)
        given = [constants[name] for name in inputs if name in constants]
        if node.kind in FOLDED and len(given) == len([name for name in inputs if name]):
            try:
                made += _count_small(node, given, made)
                constants[node.output] = FOLDED[node.kind](node, *given)
            except (ValueError, TypeError, LookupError, ArithmeticError, AttributeError) as error:
                raise UserError(
                    f"cannot be computed: {error}", where=node.name, fix="fold its constants first"
                ) from None
            continue
        cut = _find_cut(node, inputs, constants) if node.kind == "QuantizeLinear" else None
        if cut is not None and inputs[0] not in positive:
            nodes.append(cut)
            positive.add(cut.output)
        elif node.kind in PASSED and node.attributes.get("to") not in INTEGERS:
            instead[node.output] = inputs[0]
        else:
            nodes.append(replace(node, inputs=inputs))
            positive |= {*node.outputs} if _is_positive(node, inputs, constants, positive) else set()
    outputs = tuple(instead.get(name, name) for name in graph.outputs)
    return replace(graph, outputs=outputs, nodes=tuple(nodes), constants=constants)


def _find_cut(node: Node, inputs: Sequence[str], constants: Mapping[str, np.ndarray]) -> Node | None:
    """The activation that a quantization also is whose levels begin at 0: quantizers leave the one before it out."""
    zero = constants.get(inputs[2]) if len(inputs) > 2 and inputs[2] else np.uint8(0)
    scale = constants.get(inputs[1])
    if scale is None or scale.size != 1 or zero is None or zero.size != 1 or zero.dtype.kind not in "iu":
        return None
    ends = np.iinfo(zero.dtype)
    if zero.item() != ends.min:
        return None
    most = scale.item() * (ends.max - ends.min)
    return Node("Clip", node.name, (inputs[0],), node.outputs, {"min": 0.0, "max": most})


def _is_positive(node: Node, inputs: Sequence[str], constants: Mapping[str, np.ndarray], positive: set[str]) -> bool:
    """Tell whether nothing that an operation makes is below 0."""
    if node.kind in ("Relu", "Sigmoid", "HardSigmoid"):
        return True
    given = [name for name in inputs if name]
    return node.kind in STAYING and all(
        name in positive or (name in constants and bool(np.all(constants[name] >= 0))) for name in given
    )


def _count_small(node: Node, given: Sequence[np.ndarray], made: int) -> int:
    """Count the numbers that are made of constants, beside so many; those that grow as no weights do are refused."""
    most = max((each.size for each in given), default=0)
    if node.kind in ("Add", "Sub", "Mul", "Div", "FakeQuantize"):
        cells = math.prod(np.broadcast_shapes(*(each.shape for each in given)))
        if cells > max(most, FOLDED_FROM):
            raise GrowthError(f"it makes {cells:,} numbers of {most:,}")
        most = max(most, cells)
    if made + most > FOLDED_NUMBERS:
        raise GrowthError(f"its constants make more than {FOLDED_NUMBERS:,} numbers")
    return most


def merge_biases(graph: Graph) -> Graph:
    """Give a convolution the constant that is added to what it makes, if nothing else reads that.

    The convolution's kernel must count its filters first, as ONNX has it; a bias that it has already stays alone.
    """
    readers, constants = graph.readers(), dict(graph.constants)
    makers = {node.output: node for node in graph.nodes}
    merged: dict[str, Node] = {}
    gone: set[str] = set()
    for node in graph.nodes:
        if node.kind != "Add":
            continue
        conv, bias = _pick_bias(node, makers, constants)
        if conv is None or bias is None or readers[conv.output] != 1 or conv.output in gone:
            continue
        constants[f"{node.output}/bias"] = bias
        gone.add(conv.output)
        inputs = (*conv.inputs[:2], f"{node.output}/bias")
        merged[node.output] = replace(conv, inputs=inputs, outputs=(node.output,))
    kept = [merged.get(node.output, node) for node in graph.nodes if node.output not in gone]
    return replace(graph, nodes=tuple(kept), constants=constants)


def _pick_bias(
    add: Node, makers: Mapping[str, Node], constants: Mapping[str, np.ndarray]
) -> tuple[Node | None, np.ndarray | None]:
    """Pick the convolution without a bias and the numbers for its filters that are added; None where they are not."""
    for one, other in (add.inputs, add.inputs[::-1]):
        conv, bias = makers.get(one), constants.get(other)
        if conv is None or bias is None or conv.kind not in ("Conv", "ConvTranspose") or len(conv.inputs) > 2:
            continue
        kernel = constants.get(conv.inputs[1])
        if kernel is None:
            continue
        filters = kernel.shape[0] if conv.kind == "Conv" else kernel.shape[1] * conv.attributes.get("group", 1)
        if bias.size == filters and bias.ndim in (3, 4) and bias.shape[-3] == filters:
            return conv, bias.reshape(-1).astype(np.float32)
    return None, None


def by_channel(constant: np.ndarray, axes: str, channels: int) -> np.ndarray:
    """Return a constant's number for each channel, ``(C,)`` float64, if it is the same in all places.

    Raises:
        UnknownError: It is not.
    """
    whole = constant.reshape((1,) * (len(axes) - constant.ndim) + constant.shape)
    at = axes.index("C")
    if any(length != 1 for axis, length in enumerate(whole.shape) if axis != at):
        raise UnknownError(f"its constant has the shape {constant.shape}: other than one number for each channel")
    return np.broadcast_to(whole.reshape(-1).astype(np.float64), (channels,))


# What is computed once and for all where everything is constant


def _fake_quantize(node: Node, x: np.ndarray, low: np.ndarray, high: np.ndarray, *out: np.ndarray) -> np.ndarray:
    """OpenVINO's FakeQuantize-1: levels between two ends, drawn between two others."""
    steps = node.attributes["levels"] - 1
    x, low, high, out_low, out_high = (each.astype(np.float64) for each in (x, low, high, *out))
    level = np.round((np.clip(x, low, high) - low) / (high - low) * steps)
    return np.asarray(level / steps * (out_high - out_low) + out_low, np.float32)


def _along_axis(node: Node, x: np.ndarray, scale: np.ndarray) -> list[int]:
    """The shape in which scales are along the axis that they are of; one alone is of everything."""
    shape = [1] * x.ndim
    if scale.size > 1:
        shape[node.attributes.get("axis", 1)] = -1
    return shape


def _dequantize(node: Node, x: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None) -> np.ndarray:
    """ONNX's DequantizeLinear."""
    shape = _along_axis(node, x, scale)
    shift = 0 if zero is None else zero.astype(np.float32).reshape(shape)
    return np.asarray((x.astype(np.float32) - shift) * scale.reshape(shape), np.float32)


def _quantize(node: Node, x: np.ndarray, scale: np.ndarray, zero: np.ndarray | None = None) -> np.ndarray:
    """ONNX's QuantizeLinear."""
    kind = np.dtype(np.uint8) if zero is None else zero.dtype
    shape = _along_axis(node, x, scale)
    shift = 0 if zero is None else zero.astype(np.float32).reshape(shape)
    ends = np.iinfo(kind)
    return np.asarray(np.clip(np.round(x / scale.reshape(shape)) + shift, ends.min, ends.max), kind)


def _axes(node: Node, *given: np.ndarray) -> tuple[int, ...]:
    """Axes that an operation names, as an input or, in older files, as an attribute."""
    return tuple(int(axis) for axis in (given[0] if given else node.attributes.get("axes", ())))


# ONNX's numbers of the integer types that something may be cast to; whatever else becomes a 32-bit float
INTEGERS = {2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64}
FOLDED: dict[str, Any] = {
    "FakeQuantize": _fake_quantize,
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
    "Identity": lambda node, x: x,
    "Cast": lambda node, x: x.astype(INTEGERS.get(node.attributes.get("to"), np.float32)),
    "Add": lambda node, x, y: x + y,
    "Sub": lambda node, x, y: x - y,
    "Mul": lambda node, x, y: x * y,
    "Div": lambda node, x, y: x / y,
    "Neg": lambda node, x: -x,
    "Sqrt": lambda node, x: np.sqrt(x),
    "Reshape": lambda node, x, shape: x.reshape(shape.astype(int)),
    "Transpose": lambda node, x: x.transpose(node.attributes.get("perm", tuple(range(x.ndim))[::-1])),
    "Squeeze": lambda node, x, *axes: np.squeeze(x, _axes(node, *axes) or None),
    "Unsqueeze": lambda node, x, *axes: np.expand_dims(x, _axes(node, *axes)),
}
