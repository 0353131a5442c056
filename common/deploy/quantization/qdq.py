"""Q/DQ: where a float graph is rounded to 8 bits, written as QuantizeLinear/DequantizeLinear pairs.

Rounded are the tensors that convolutions and concatenations read, after their activation: ``Conv > Relu > Q > DQ >
Conv``. What the last convolutions compute stays float. Both runtimes read Q/DQ pairs, but fuse different forms of them:
TensorRT takes signed numbers with zero point 0 and float biases; ONNX Runtime's CPU kernels take unsigned ones, any
zero point, and 32-bit biases on the scale of the products.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.deploy.onnx_file import CONVOLUTIONS, forget_parity

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

QUANTIZED = {*CONVOLUTIONS, "Concat"}
BIAS_LIMIT = 2.0**30  # half of what a 32-bit bias can hold: the other half is the products'
DEAD = 1e-20  # scale of a kernel whose weights are all but zero: they become zero
TINY = 1e-6  # range of a tensor that was zero in every image


@dataclass(frozen=True)
class Grid:
    """The numbers that a quantized tensor can take: ``scale * (q - zero_point)``.

    Attributes:
        scale: Distance of neighbours.
        zero_point: Its type, int8 or uint8, is that of ``q``.
    """

    scale: float
    zero_point: np.int8 | np.uint8

    @classmethod
    def make_signed(cls, amax: float) -> "Grid":
        """-127 to 127 over ``[-amax, amax]``."""
        return cls(max(amax, TINY) / 127, np.int8(0))

    @classmethod
    def make_unsigned(cls, low: float, high: float) -> "Grid":
        """0 to 255 over ``[low, high]``, widened to hold 0, which is met exactly."""
        low, high = min(low, 0.0), max(high, 0.0)
        scale = max(high - low, TINY) / 255
        return cls(scale, np.uint8(round(-low / scale)))


def convolutions(graph: "GraphProto") -> list[str]:
    """The names of what can compute in 8 bits, in the graph's order."""
    return [node.name for node in graph.node if node.op_type in CONVOLUTIONS]


def list_rounded(graph: "GraphProto", keep: Collection[str] = ()) -> list[str]:
    """The tensors to round, in the graph's order: all that convolutions and concatenations read.

    Args:
        graph: A float graph.
        keep: Convolutions that stay float.
    """
    wanted = {
        name for node in graph.node if node.op_type in CONVOLUTIONS and node.name not in keep for name in node.input[:1]
    }
    for node in reversed(graph.node):  # a concatenation that no convolution reads stays float
        if node.op_type == "Concat" and node.output[0] in wanted:
            wanted.update(node.input)
    made = [value.name for value in graph.input] + [name for node in graph.node for name in node.output]
    return [name for name in made if name in wanted]


def concatenations(graph: "GraphProto") -> list[tuple[str, list[str]]]:
    """Each rounded concatenation: its output and its inputs."""
    rounded = set(list_rounded(graph))
    return [
        (node.output[0], list(node.input))
        for node in graph.node
        if node.op_type == "Concat" and node.output[0] in rounded
    ]


def insert_qdq(
    model: "ModelProto", grids: Mapping[str, Grid], *, round_biases: bool, keep: Collection[str] = ()
) -> "ModelProto":
    """A copy of the model with Q/DQ pairs on the tensors to round and with 8-bit kernels.

    Args:
        model: Float ONNX model.
        grids: Where each tensor is rounded to.
        round_biases: Store biases as 32-bit integers too, on the scale of input times kernel.
        keep: Convolutions that stay float; tensors that only they read are not rounded.
    """
    grids = {name: grids[name] for name in list_rounded(model.graph, keep) if name in grids}
    quantized: ModelProto = type(model).FromString(model.SerializeToString())
    forget_parity(quantized)
    graph = quantized.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    del graph.initializer[:], graph.node[:]
    writer = _Writer(graph, constants, keep)
    for name in (value.name for value in graph.input if value.name in grids):
        writer.pair(name, grids[name])
    for node in model.graph.node:
        writer.node(node, grids, round_biases=round_biases)
        for name in (name for name in node.output if name in grids):
            writer.pair(name, grids[name])
    writer.keep_float_constants()
    return quantized


class _Writer:
    """Appends nodes and constants to a graph.

    Args:
        graph: The graph to fill.
        constants: The float model's constants, by name.
        keep: Convolutions that stay float.
    """

    def __init__(self, graph: "GraphProto", constants: Mapping[str, "TensorProto"], keep: Collection[str] = ()) -> None:
        self.graph, self.constants, self.keep = graph, constants, keep

    def pair(self, name: str, grid: Grid) -> None:
        """Round tensor ``name``; the result is ``name/dequantized``."""
        scale, zero = f"{name}/scale", f"{name}/zero_point"
        self.constant(scale, np.float32(grid.scale))
        self.constant(zero, np.asarray(grid.zero_point))
        self.add("QuantizeLinear", [name, scale, zero], f"{name}/quantized")
        self.add("DequantizeLinear", [f"{name}/quantized", scale, zero], name_dequantized(name))

    def node(self, node: "NodeProto", grids: Mapping[str, Grid], *, round_biases: bool) -> None:
        """Copy a node; one that computes in 8 bits reads rounded tensors."""
        copy = type(node).FromString(node.SerializeToString())
        rounded = node.op_type in QUANTIZED and node.name not in self.keep
        if rounded and all(name in grids for name in _activations(node)):
            copy.input[: len(_activations(node))] = [name_dequantized(name) for name in _activations(node)]
            if node.op_type in CONVOLUTIONS:
                copy.input[1:] = self.parameters(node, grids[node.input[0]], round_biases)
        self.graph.node.append(copy)

    def parameters(self, node: "NodeProto", grid: Grid, round_biases: bool) -> Iterator[str]:
        """Write a convolution's kernel, and bias, with a scale per output channel; yields what to read instead."""
        kernel, bias = self.array(node.input[1]), self.array(node.input[2]) if len(node.input) > 2 else None
        axis = CONVOLUTIONS[node.op_type]
        scale = kernel_scales(kernel, axis, bias if round_biases else None, grid.scale)
        shape = [-1 if dim == axis else 1 for dim in range(kernel.ndim)]
        yield self.parameter(node.input[1], np.rint(kernel / scale.reshape(shape)).astype(np.int8), scale, axis)
        if bias is None:
            return
        if round_biases:
            product = (np.float32(grid.scale) * scale).astype(np.float32)
            yield self.parameter(node.input[2], np.rint(bias / product.astype(np.float64)).astype(np.int32), product, 0)
        else:
            yield node.input[2]

    def parameter(self, name: str, values: np.ndarray, scale: np.ndarray, axis: int) -> str:
        """Write an integer constant and the node that makes floats of it."""
        zero = np.zeros(len(scale), values.dtype)
        for suffix, array in (("quantized", values), ("scale", scale), ("zero_point", zero)):
            self.constant(f"{name}/{suffix}", array)
        inputs = [f"{name}/quantized", f"{name}/scale", f"{name}/zero_point"]
        self.add("DequantizeLinear", inputs, name_dequantized(name), axis=axis)
        return name_dequantized(name)

    def add(self, op: str, inputs: list[str], output: str, **attributes: Any) -> None:
        from onnx import helper

        self.graph.node.append(helper.make_node(op, inputs, [output], name=output, **attributes))

    def constant(self, name: str, array: np.ndarray | np.generic) -> None:
        from onnx import numpy_helper

        self.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))

    def array(self, name: str) -> np.ndarray:
        from onnx import numpy_helper

        return numpy_helper.to_array(self.constants[name])

    def keep_float_constants(self) -> None:
        """Copy the constants that are still read."""
        read = dict.fromkeys(name for node in self.graph.node for name in node.input)
        self.graph.initializer.extend(self.constants[name] for name in read if name in self.constants)


def kernel_scales(kernel: np.ndarray, axis: int, bias: np.ndarray | None, input_scale: float) -> np.ndarray:
    """A kernel's scales, one per output channel.

    A channel whose weights have all but died would give its bias more steps than 32 bits hold: its scale is raised.

    Args:
        kernel: Weights.
        axis: The output channels' axis.
        bias: ``(C,)`` to be rounded on the same scale, or None.
        input_scale: Scale of the convolution's input.

    Returns:
        ``(C,)`` float32.
    """
    others = tuple(dim for dim in range(kernel.ndim) if dim != axis)
    scale = np.abs(kernel).max(axis=others).astype(np.float64) / 127
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (input_scale * BIAS_LIMIT))
    return np.where(scale > DEAD, scale, 1.0).astype(np.float32)


def name_dequantized(name: str) -> str:
    """What the rounded form of a tensor is called."""
    return f"{name}/dequantized"


def _activations(node: "NodeProto") -> list[str]:
    return list(node.input) if node.op_type == "Concat" else [node.input[0]]
