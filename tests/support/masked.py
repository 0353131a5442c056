"""A network whose readers do not see some channels: what pruning should come to, worked out without its graph.

Every tensor carries which of its channels stay. Convolutions and dense layers that were pruned make those that their
filters say; what they and depthwise convolutions read is multiplied by it, and so is the rest followed call by call.
"""

import keras
import numpy as np

L = keras.layers


def run_masked(model, images, filters):
    """Outputs of ``model`` for ``images``; ``filters`` names those that stay of each layer, by path."""
    values = _through(model, [images], [np.ones(images.shape[-1], bool)], filters, "")
    return [np.asarray(value) for value, _ in values]


def _through(model, inputs, stays, filters, prefix):
    function = getattr(model, "_functional", None) or model
    known = {id(t): (x, s) for t, x, s in zip(function.inputs, inputs, stays, strict=True)}
    for depth in sorted(function._nodes_by_depth, reverse=True):
        for node in function._nodes_by_depth[depth]:
            if node.is_input:
                continue
            layer, path = node.operation, prefix + node.operation.name
            given = [known[id(tensor)] for tensor in node.input_tensors]
            if isinstance(layer, keras.Model):
                made = _through(layer, [x for x, _ in given], [s for _, s in given], filters, f"{path}/")
            else:
                made = [_called(layer, path, given, filters)]
            known.update({id(tensor): pair for tensor, pair in zip(node.outputs, made, strict=True)})
    return [known[id(tensor)] for tensor in function.outputs]


def _called(layer, path, given, filters):
    values, stays = [x for x, _ in given], [s for _, s in given]
    if isinstance(layer, L.Conv2D | L.Dense | L.Conv2DTranspose | L.DepthwiseConv2D):
        values = [values[0] * stays[0].astype(np.float32)]
    made = layer(values if len(values) > 1 else values[0], training=False)
    channels = made.shape[-1]
    if isinstance(layer, L.Conv2D | L.Dense):
        stay = np.isin(np.arange(channels), filters[path])
    elif isinstance(layer, L.Conv2DTranspose):
        stay = np.ones(channels, bool)
    elif isinstance(layer, L.Concatenate):
        stay = np.concatenate(stays)
    elif isinstance(layer, L.Flatten | L.Reshape):
        stay = np.tile(stays[0], channels // len(stays[0]))
    else:
        wide = [stay for stay in stays if len(stay) == channels]
        assert all((stay == wide[0]).all() for stay in wide), f"{path} joins different channels"
        stay = wide[0]
    return made, stay
