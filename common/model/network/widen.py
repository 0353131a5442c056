"""Widen: a trained network's weights in a wider network of the same layers, without changing what it draws.

After Chen et al., "Net2Net: Accelerating Learning via Knowledge Transfer" (ICLR 2016): a narrow network is cheap to
train, and a wide one that starts from it keeps what was learned. Here new filters begin small and random, and nothing
reads them yet; training decides what becomes of them.
"""

from typing import Any

import keras
import numpy as np

from bodyposenet.common.errors import UserError

NEWBORN = 0.1  # norm of a new filter, as a share of the greatest of its layer


def widen(narrow: Any, wide: Any, seed: int = 0) -> None:
    """Fill ``wide`` with the weights of ``narrow``: the old filters first, in their order, then new ones.

    Args:
        narrow: A trained ``keras.Model``, functional, channels last.
        wide: A network with the same layers, none of them narrower; its weights are replaced.
        seed: Of the new filters.

    Raises:
        UserError: A layer of one network is not in the other, or is narrower.
    """
    rng = np.random.default_rng(seed)
    old_layers = {layer.name: layer for layer in narrow.layers}
    for layer in wide.layers:
        if not layer.weights:
            continue
        if layer.name not in old_layers:
            raise UserError(
                "the narrow network has no such layer", where=layer.name, fix="widen the same kind of network"
            )
        old = old_layers[layer.name]
        if isinstance(layer, keras.layers.Conv2D):
            layer.set_weights(_convolution(old, layer, rng))
        else:
            layer.set_weights([_longer(a, b) for a, b in zip(old.get_weights(), layer.get_weights(), strict=True)])


def _convolution(old: Any, layer: Any, rng: np.random.Generator) -> list[np.ndarray]:
    """Kernel and bias of the wider layer: old filters read old channels only, new filters read everything."""
    kernel, *bias = old.get_weights()
    wide_kernel, *wide_bias = layer.get_weights()
    places = _places(old.input, layer.input)
    filters = kernel.shape[-1]
    if filters > wide_kernel.shape[-1]:
        raise UserError(
            f"{wide_kernel.shape[-1]} filters do not hold {filters}", where=layer.name, fix="take a wider one"
        )
    made = np.zeros_like(wide_kernel)
    made[:, :, places, :filters] = kernel
    fresh = rng.standard_normal((*wide_kernel.shape[:3], wide_kernel.shape[3] - filters))
    greatest = np.sqrt(np.square(kernel).sum(axis=(0, 1, 2))).max()
    made[..., filters:] = fresh * (NEWBORN * greatest / np.sqrt(np.square(fresh).sum(axis=(0, 1, 2))))
    return [made, *(_longer(a, np.zeros_like(b)) for a, b in zip(bias, wide_bias, strict=True))]


def _places(old: Any, new: Any) -> np.ndarray:
    """Which channels of the wider tensor are those of the narrow one; a concatenation's parts widen one by one."""
    starts, total = [], 0
    for a, b in zip(_parts(old), _parts(new), strict=True):
        starts.append(total + np.arange(a))
        total += b
    return np.concatenate(starts)


def _parts(tensor: Any) -> list[int]:
    """Channels of each input of the concatenation that made a tensor, or of the tensor itself."""
    made_by = tensor._keras_history.operation
    if isinstance(made_by, keras.layers.Concatenate):
        return [part.shape[-1] for part in made_by.input]
    return [tensor.shape[-1]]


def _longer(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """``new`` with its first values, along every axis, replaced by ``old``."""
    made = new.copy()
    made[tuple(slice(size) for size in old.shape)] = old
    return made
