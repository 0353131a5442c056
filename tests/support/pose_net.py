"""A very small two-branch pose network in BodyPoseNet's shape, with weights that give lively maps."""

import numpy as np

from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import make_skeleton

SKELETON = make_skeleton("four", ("nose", "neck", "left_hip", "right_hip"), ((1, 0), (1, 2), (1, 3)))
CARD = Card(skeleton=SKELETON, stride=8, input_size=(64, 96))


def pose_net(stages=2, width=8, seed=0, policy="float32"):
    """A network with random weights and batch statistics; outputs ``[heatmaps 1..T, PAFs 1..T]``."""
    import keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    before = keras.config.dtype_policy().name
    keras.config.set_dtype_policy(policy)
    try:
        x = image = keras.Input((None, None, 3), name="input_1")
        for block, (filters, stride) in enumerate([(width, 2), (2 * width, 2), (2 * width, 1), (4 * width, 2)], 1):
            x = conv(x, filters, 3, f"block_{block}a_conv_1", strides=stride, use_bias=False)
            x = layers.BatchNormalization(name=f"block_{block}a_bn_1")(x)
            x = layers.Activation("relu", name=f"block_{block}a_relu")(x)
        features = conv(x, 2 * width, 3, "channel_reduction_conv", activation="relu")
        maps = [stage(features, 1, stages, width)]
        for index in range(2, stages + 1):
            x = layers.Concatenate(name=f"stage{index}_in")([features, *maps[-1]])
            maps.append(stage(x, index, stages, width))
        heatmaps, pafs = zip(*maps, strict=True)
        model = keras.Model(image, [*heatmaps, *pafs], name="bpnet")
    finally:
        keras.config.set_dtype_policy(before)
    shake(model, seed)
    return model


def conv(x, filters, kernel, name, **options):
    import keras

    return keras.layers.Conv2D(filters, kernel, padding="same", kernel_initializer="he_normal", name=name, **options)(x)


def stage(x, index, stages, width):
    final = index == stages > 1
    x = conv(x, 2 * width, 3 if index == 1 else 5, f"stage{index}_conv1", activation="relu")
    maps = []
    for kind, branch, channels in (("heatmap", "heat", 5), ("paf", "paf", 6)):
        y = conv(x, 2 * width, 1, f"stage{index}_{branch}_conv2", activation="relu")
        name = f"{kind}_out" if final else f"stage{index}_{branch}_branch_out"
        maps.append(conv(y, channels, 1, name, dtype="float32"))
    return maps


def shake(model, seed):
    """Biases, batch means and variances that are not their neutral start values."""
    random = np.random.default_rng(seed)
    for layer in model.layers:
        weights = layer.get_weights()
        for index, (variable, value) in enumerate(zip(layer.weights, weights, strict=True)):
            if value.ndim == 1:
                start = 1.0 if variable.name in ("gamma", "moving_variance") else 0.0
                weights[index] = (start + random.uniform(-0.3, 0.3, value.shape)).astype(np.float32)
        layer.set_weights(weights)


def pictures(count, size=(64, 96), seed=0):
    """``count`` normalised pictures ``(1, H, W, 3)`` of soft discs and edges."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    for _ in range(count):
        picture = np.zeros((*size, 3), np.float32) + random.uniform(0, 1, 3)
        for _ in range(6):
            centre, radius = random.uniform(0, 1, 2) * size, random.uniform(4, 24)
            inside = 1 / (1 + np.exp((np.hypot(y - centre[0], x - centre[1]) - radius) / random.uniform(0.3, 4)))
            picture += inside[..., None] * (random.uniform(0, 1, 3) - picture)
        yield (picture[None] - 0.5).astype(np.float32)
