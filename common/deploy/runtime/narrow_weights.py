"""Narrow weights: kernels rescaled in memory so that no pair of 8-bit products leaves 16 bits.

An x86 processor without VNNI multiplies unsigned activations with signed weights and adds neighbouring products in 16
bits, where they are cut at 32,767. Which products are neighbours is up to the library's layout, so all pairs of one
output channel are minded. Only channels that could overflow are touched, and only as far as they must: at worst their
weights keep 7 bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bodyposenet.common.deploy.onnx_file import CONVOLUTIONS

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

LARGEST = 32767 // 255  # of the sum of two weights' magnitudes: 128


@dataclass(frozen=True)
class Narrowed:
    """A network whose fast 8-bit kernels are exact on every processor.

    Attributes:
        model: The network.
        channels: Output channels of its 8-bit convolutions.
        touched: Those of them that were rescaled.
    """

    model: "ModelProto"
    channels: int
    touched: int


def narrow_weights(model: "ModelProto") -> Narrowed:
    """Return a copy of a network with kernels whose products fit 16 bits in pairs.

    Args:
        model: What calibration wrote, the form for processors.
    """
    done: ModelProto = type(model).FromString(model.SerializeToString())
    constants = {tensor.name: tensor for tensor in done.graph.initializer}
    makers = {node.output[0]: node for node in done.graph.node}
    channels = touched = 0
    for node in (node for node in done.graph.node if node.op_type in CONVOLUTIONS):
        parts = [makers.get(name) for name in node.input[1:]]
        if parts[0] is None or parts[0].input[0] not in constants:
            continue
        factors = _narrow_kernel(parts[0], CONVOLUTIONS[node.op_type], constants)
        channels, touched = channels + factors.size, touched + int((factors > 1).sum())
        for bias in (part for part in parts[1:] if part is not None):
            _rescale(bias, factors, 0, constants)
    return Narrowed(done, channels, touched)


def find_factors(weights: np.ndarray, axis: int) -> np.ndarray:
    """Return by how much each channel's scale must grow so that no two products overflow 16 bits together.

    Products of opposite sign cannot: the two largest weights of one sign decide.

    Args:
        weights: int8 kernel.
        axis: Its output channels' axis.

    Returns:
        ``(C,)`` float64, 1 where nothing needs to be done.
    """
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.int32)
    worst = np.maximum(_add_two_largest(rows), _add_two_largest(-rows))
    # The sum of two weights can be one more than their scaled sum, as each may be rounded up by a half.
    factors: np.ndarray = np.where(worst > LARGEST, worst / (LARGEST - 1), 1.0)
    return factors


def _add_two_largest(rows: np.ndarray) -> np.ndarray:
    largest = np.maximum(rows, 0)
    if rows.shape[1] > 2:
        largest = np.partition(largest, -2, axis=1)[:, -2:]
    total: np.ndarray = largest.sum(axis=1)
    return total


def _narrow_kernel(node: "NodeProto", axis: int, constants: Mapping[str, "TensorProto"]) -> np.ndarray:
    from onnx import numpy_helper

    weights = numpy_helper.to_array(constants[node.input[0]])
    factors = find_factors(weights, axis)
    _rescale(node, factors, axis, constants)
    return factors


def _rescale(node: "NodeProto", factors: np.ndarray, axis: int, constants: Mapping[str, "TensorProto"]) -> None:
    """Divide an integer constant by its channels' factors and multiply its scales with them."""
    from onnx import numpy_helper

    values, scale = (numpy_helper.to_array(constants[name]) for name in node.input[:2])
    shape = [-1 if dim == axis else 1 for dim in range(values.ndim)]
    rounded = np.rint(values / factors.reshape(shape)).astype(values.dtype)
    for name, array in ((node.input[0], rounded), (node.input[1], (scale * factors).astype(np.float32))):
        constants[name].CopyFrom(numpy_helper.from_array(array, name))
