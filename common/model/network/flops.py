"""FLOPs: what one picture costs, counted from shapes without running the network."""

import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from bodyposenet.common.model.files.model_file import load_model


def flops(model: Any, size: tuple[int, int]) -> float:
    """Floating-point operations of one forward pass over one picture: two for each multiply-add.

    Counts ``Conv2D``, ``DepthwiseConv2D``, ``Conv2DTranspose`` and ``Dense``, every call of shared ones, inside nested
    models too. Biases, normalizations, activations and resizing are left out, as is usual.

    Args:
        model: A functional or sequential ``keras.Model``, channels last.
        size: ``(height, width)`` of the picture, in pixels; a network that takes one size only is counted at that.
    """
    return 2.0 * sum(layer_multiply_adds(model, size).values())


def layer_multiply_adds(model: Any, size: tuple[int, int]) -> dict[int, int]:
    """Multiply-adds of each layer, in all its calls, by its ``id``; see :func:`flops`."""
    macs: dict[int, int] = defaultdict(int)

    def count(operation: Any) -> Callable[..., Any]:
        def shapes(*args: Any, **kwargs: Any) -> Any:
            inner = _graph(operation)
            if inner is not None:
                return inner._run_through_graph(args[0], operation_fn=count)
            made = operation.compute_output_spec(*args, **kwargs)
            macs[id(operation)] += multiply_adds(operation, args[0], made)
            return made

        return shapes

    pictures = [_picture(tensor, size) for tensor in model.inputs]
    _graph(model)._run_through_graph(pictures, operation_fn=count)
    return macs


def multiply_adds(layer: Any, given: Any, made: Any) -> int:
    """Multiply-adds of one call of a layer; 0 for layers that have no kernel.

    Every position of the output grid (of a transposed convolution: the input grid) uses each weight once.

    Args:
        layer: Any Keras layer or operation.
        given: Symbolic tensor it reads, ``(1, ..., C)`` with known sizes.
        made: Symbolic tensor it makes, ``(1, ..., F)``.
    """
    layers = keras.layers
    if isinstance(layer, layers.Conv2DTranspose):
        grid = given.shape[1:-1]
    elif isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        grid = made.shape[1:-1]
    else:
        return 0
    return int(math.prod(grid) * math.prod(layer.kernel.shape))


def _graph(model: Any) -> Any:
    """The functional graph of a model, or None for a layer."""
    inner = getattr(model, "_functional", None) or model
    return inner if hasattr(inner, "_run_through_graph") else None


def _picture(tensor: Any, size: tuple[int, int]) -> Any:
    """A symbolic input of one picture: what the network leaves open of its height and width is that of ``size``."""
    known = tensor.shape[1:]
    if len(known) == 3:
        known = (known[0] or size[0], known[1] or size[1], known[2])
    return keras.KerasTensor((1, *known), dtype=tensor.dtype)


def network_facts(path: Path) -> dict[str, Any]:
    """Parameters, GFLOPs of one picture at the size of training, skeleton and sizes of a network.

    Args:
        path: A model file.
    """
    model, card = load_model(path)
    height, width = card.input_size
    return {
        "params": model.count_params(),
        "gflops": flops(model, card.input_size) / 1e9,
        "skeleton": card.skeleton.name,
        "joints": card.skeleton.num_joints,
        "stride": card.stride,
        "input_size": f"{height}x{width}",
    }
