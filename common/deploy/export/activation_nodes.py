"""Activation nodes: what activations come to in ONNX, those of other layers and those that are layers themselves."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from bodyposenet.common.deploy.export.node_list import NOTHING, LayerCall, NodeList, unknown


def activate(nodes: NodeList, layer: Any, source: str) -> str:
    """What a layer's activation makes of a tensor."""
    found = ACTIVATIONS.get(layer.activation)
    if found is None:
        raise unknown(layer)
    op, constants, attributes = found
    return nodes.add(op, layer.name, [source], constants, **attributes) if op else source


def _clip(most: float) -> dict[str, np.float32]:
    return {"least": np.float32(0), "most": np.float32(most)}


ACTIVATIONS: dict[Any, tuple[str, Mapping[str, Any], Mapping[str, Any]]] = {
    keras.activations.linear: ("", NOTHING, NOTHING),
    keras.activations.relu: ("Relu", NOTHING, NOTHING),
    keras.activations.relu6: ("Clip", _clip(6), NOTHING),
    keras.activations.leaky_relu: ("LeakyRelu", NOTHING, {"alpha": 0.2}),
    keras.activations.elu: ("Elu", NOTHING, {"alpha": 1.0}),
    keras.activations.selu: ("Selu", NOTHING, NOTHING),
    keras.activations.sigmoid: ("Sigmoid", NOTHING, NOTHING),
    keras.activations.tanh: ("Tanh", NOTHING, NOTHING),
    keras.activations.softplus: ("Softplus", NOTHING, NOTHING),
    keras.activations.softsign: ("Softsign", NOTHING, NOTHING),
}


def rectify(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Write a ``ReLU``, with a slope below zero or a bound above."""
    layer = call.layer
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        raise unknown(layer)
    if layer.negative_slope:
        return leak(nodes, call, sources)
    if layer.max_value is None:
        return nodes.add("Relu", layer.name, sources)
    return nodes.add("Clip", layer.name, sources, _clip(layer.max_value))


def leak(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Write a ``LeakyReLU``."""
    return nodes.add("LeakyRelu", call.layer.name, sources, alpha=float(call.layer.negative_slope))


def leak_by_channel(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Write a ``PReLU``, whose slopes are the same at every place."""
    slopes = np.asarray(call.layer.alpha)
    if slopes.shape[:2] != (1, 1):
        raise unknown(call.layer)
    return nodes.add("PRelu", call.layer.name, sources, {"slope": slopes.transpose(2, 0, 1)})


def elu(nodes: NodeList, call: LayerCall, sources: Sequence[str]) -> str:
    """Write an ``ELU``."""
    return nodes.add("Elu", call.layer.name, sources, alpha=float(call.layer.alpha))
