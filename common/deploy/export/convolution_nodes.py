"""Convolution nodes: convolutions in ONNX, with the normalizations and borders that they take in."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from bodyposenet.common.deploy.export.activation_nodes import activate
from bodyposenet.common.deploy.export.node_list import LayerCall, NodeList, unknown

L = keras.layers


def convolve(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Write a convolution, by groups or by channels, too, and its activation."""
    layer = call.layer
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    if isinstance(layer, L.DepthwiseConv2D):  # (rows, columns, C, M): filters c M + m read channel c
        kernel = np.asarray(layer.kernel).transpose(2, 3, 0, 1)
        kernel = kernel.reshape(-1, 1, *kernel.shape[2:])
        groups = layer.kernel.shape[2]
    else:
        groups = layer.groups
    name = nodes.add(
        "Conv", layer.name, sources, fold(call, kernel, 0), group=groups, dilations=list(layer.dilation_rate),
        kernel_shape=list(layer.kernel_size), strides=list(layer.strides), **surround(call, layer.kernel_size),
    )  # fmt: skip
    return activate(nodes, layer, name)


def transpose(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Write a transposed convolution and its activation."""
    layer = call.layer
    if max(layer.dilation_rate) > 1 or layer.output_padding is not None:
        raise unknown(layer)
    sizes = list(zip(layer.kernel_size, layer.strides, strict=True))
    cut = [max(size - stride, 0) if layer.padding == "same" else 0 for size, stride in sizes]
    kernel = np.asarray(layer.kernel).transpose(3, 2, 0, 1)
    name = nodes.add(
        "ConvTranspose", layer.name, sources, fold(call, kernel, 1), kernel_shape=list(layer.kernel_size),
        strides=list(layer.strides), pads=[*(each // 2 for each in cut), *(each - each // 2 for each in cut)],
        output_padding=[max(stride - size, 0) for size, stride in sizes],
    )  # fmt: skip
    return activate(nodes, layer, name)


def fold(call: LayerCall, kernel: np.ndarray, axis: int) -> dict[str, np.ndarray]:
    """A convolution's kernel and bias with its batch normalization in them.

    Args:
        call: The convolution.
        kernel: Its kernel as ONNX has it.
        axis: The axis of it that counts output channels.

    Returns:
        ``kernel`` and, unless there is none, ``bias`` ``(C,)``; float32.
    """
    bias = np.asarray(call.layer.bias) if call.layer.use_bias else None
    if call.norm is not None:
        gamma, beta, mean, variance = (np.asarray(each, np.float64) for each in read_norm(call.norm).values())
        factor = gamma / np.sqrt(variance + call.norm.epsilon)
        bias = beta + factor * ((0 if bias is None else bias) - mean)
        kernel = kernel * factor.reshape([-1 if dim == axis else 1 for dim in range(kernel.ndim)])
    weights = {"kernel": kernel} if bias is None else {"kernel": kernel, "bias": bias}
    return {name: value.astype(np.float32) for name, value in weights.items()}


def read_norm(norm: Any) -> dict[str, np.ndarray]:
    """A batch normalization's numbers ``(C,)``, in the order in which ONNX reads them."""
    mean = np.asarray(norm.moving_mean)
    return {
        "scale": np.asarray(norm.gamma) if norm.scale else np.ones_like(mean),
        "offset": np.asarray(norm.beta) if norm.center else np.zeros_like(mean),
        "mean": mean,
        "variance": np.asarray(norm.moving_variance),
    }


def surround(call: LayerCall, sizes: Sequence[int]) -> dict[str, Any]:
    """The borders of a convolution or a pooling; in numbers where the same do for all sizes.

    OpenCV 5.0 reads borders that the size decides as if they were larger to the left and above.
    """
    layer = call.layer
    if layer.padding == "valid":
        return {"pads": list(call.border)} if any(call.border) else {}
    around = [rate * (size - 1) for rate, size in zip(getattr(layer, "dilation_rate", (1, 1)), sizes, strict=True)]
    if not any(around):
        return {}
    if max(layer.strides) > 1 and not call.divided:
        return {"auto_pad": "SAME_UPPER"}
    totals = [max(each - (step - 1), 0) for each, step in zip(around, layer.strides, strict=True)]
    return {"pads": [*(total // 2 for total in totals), *(total - total // 2 for total in totals)]}
