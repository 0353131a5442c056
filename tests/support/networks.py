"""Every kind of network there is, a sixteenth as wide, with weights and statistics as training leaves them."""

from functools import cache

import numpy as np

from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.skeleton.skeleton import make_skeleton
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.network import ModelSpec

STICK = make_skeleton("stick", ("a", "b"), ((0, 1),))
SHORT = {"stages": 2, "stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3, 3]}
BACKBONES = {
    "vgg": {},
    "helnet": {"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock_wdilation"},
    "resnet18": {"architecture": "resnet", "nlayers": 18},
    "resnet50": {"architecture": "resnet", "nlayers": 50},
    "mobilenet_v1": {"architecture": "mobilenet_v1"},
    "mobilenet_v2": {"architecture": "mobilenet_v2"},
}
KINDS = {name: {"backbone_attributes": kind} for name, kind in BACKBONES.items() if name != "mobilenet_v1"} | {
    "towers": {"__class_name__": "BpNetModel", "use_self_attention": True},
    "lightweight": {"__class_name__": "LightweightOpenPoseModel", "backbone_attributes": BACKBONES["mobilenet_v1"]},
    "plain": {"backbone_attributes": BACKBONES["resnet18"] | {"use_batch_norm": False, "use_bias": True}},
}


def network(skeleton=STICK, *, width=1 / 16, **changes):
    """The network of a model spec; ``width`` is the backbone's multiplier."""
    backbone = {"width_multiplier": width} | changes.pop("backbone_attributes", {})
    return build_model(parse_spec({"backbone_attributes": backbone} | changes, ModelSpec), skeleton)


def convolutions(model, *, depthwise=False):
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D) if depthwise else keras.layers.Conv2D
    return {layer.name: layer for layer in model.layers if isinstance(layer, kinds)}


@cache
def trained(kind, *, silent=(), seed=0):
    """The short network of a kind; filters differ in norm, and channels ``silent`` of every layer are zero.

    It is made once: who changes it takes a seed of its own. Silent channels have no offset that could bring them back;
    the maps' own channels are never silent.
    """
    import keras

    keras.utils.set_random_seed(seed)
    model, random = network(**SHORT, **KINDS[kind]), np.random.default_rng(seed)
    maps = {tensor._keras_history.operation.name for tensor in model.outputs}
    for layer in model.layers:
        values = [shaken(random, weight) for weight in layer.weights]
        for weight, value in zip(layer.weights, values, strict=True):
            if layer.name in maps or weight.name in ("gamma", "moving_variance"):
                continue
            channels = value[..., 0] if isinstance(layer, keras.layers.DepthwiseConv2D) and value.ndim == 4 else value
            channels[..., list(silent)] = 0
        layer.set_weights(values)
    return model


def seeded(model, seed):
    """Give kernels He's normal values from a stream of their own: that of Keras's seeds is shared by threads."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        values = [np.array(weight) for weight in layer.weights]
        layer.set_weights([he_normal(random, value.shape) if value.ndim == 4 else value for value in values])
    return model


def he_normal(random, shape):
    fan_in = np.prod(shape[:2] if shape[-1] == 1 else shape[:3])  # a depthwise kernel sees a channel
    return random.normal(0, (2 / fan_in) ** 0.5, shape)


def shaken(random, weight):
    value = np.array(weight)
    if value.ndim == 4:
        axis = -1 if value.shape[-1] > 1 else -2  # a depthwise kernel's channels are its last axis but one
        return value * np.expand_dims(random.uniform(0.2, 1, value.shape[axis]), tuple(range(axis + 1, 0)))
    if weight.name in ("gamma", "moving_variance"):
        return random.uniform(0.5, 1.5, value.shape)
    return random.normal(0, 0.1, value.shape)


def pictures(count=1, size=(64, 64), seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (count, *size, 3)).astype(np.float32)


def run(model, images):
    return [np.asarray(y) for y in model(images, training=False)]
