"""Files as TAO writes them: a small BpNetLite network of Keras 2, whole or weights only, plain or wrapped."""

import json
import warnings

import h5py
import numpy as np

UNITS = (("1a", 8, 1), ("1b", 8, 1), ("2a", 16, 2), ("2b", 16, 1), ("3a", 32, 2), ("3b", 32, 1), ("3c", 32, 1),
         ("3d", 32, 1), ("4a", 64, 2), ("4b", 64, 1), ("6a", 32, 1))  # fmt: skip


def tao_network(*, trunk=16, wide=64, attention=False, seed=0, channels=(19, 38)):
    """A tf-keras network of two stages with TAO's names, every weight at random."""
    import tf_keras

    layers = tf_keras.layers
    tf_keras.backend.clear_session()

    def conv(x, filters, kernel, name, activation="relu"):
        x = layers.Conv2D(filters, kernel, padding="same", name=name, kernel_regularizer="l1")(x)
        return layers.Activation(activation, name=f"{name}/{activation}")(x)

    def branch(x, filters, kind, number, stage, out, count):
        x = conv(x, filters, 1, f"stage{stage}/{kind}/conv{number}")
        if attention and stage > 1:
            gate = conv(x, filters, 3, f"stage{stage}/{kind}/attention_conv", "tanh" if kind == "paf" else "sigmoid")
            x = layers.Multiply(name=f"stage{stage}/{kind}/attention")([x, gate])
        return layers.Conv2D(count, 1, padding="same", name=out)(x)

    x = image = tf_keras.Input((None, None, 3), name="input_1")
    for name, filters, stride in UNITS:
        x = layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False, name=f"block_{name}_conv_1")(x)
        x = layers.BatchNormalization(name=f"block_{name}_bn_1")(x)
        x = layers.Activation("relu", name=f"block_{name}_relu")(x)
    features = conv(x, trunk, 3, "channel_reduction_conv")
    x = conv(conv(features, trunk, 3, "stage1/conv1"), trunk, 3, "stage1/conv2")
    paf = branch(x, wide, "paf", 3, 1, "stage1/paf_branch/out", channels[1])
    heat = branch(x, wide, "cmap", 3, 1, "stage1/heat_branch/out", channels[0])
    x = layers.Concatenate(name="stage2/in")([features, heat, paf])
    x = conv(conv(x, trunk, 3, "stage2/conv1"), trunk, 3, "stage2/conv2")
    paf2 = branch(x, trunk, "paf", 3, 2, "paf_out", channels[1])
    heat2 = branch(x, trunk, "cmap", 3, 2, "heatmap_out", channels[0])
    model = tf_keras.Model(image, [heat, heat2, paf, paf2], name="bpnet")
    rng = np.random.default_rng(seed)
    model.set_weights([value + rng.uniform(-0.02, 0.02, value.shape) for value in model.get_weights()])
    return model


def wrapped(model):
    """The network in another of one layer, as a training of a loaded graph leaves it."""
    import tf_keras

    model._name = "model_1"
    image = tf_keras.Input((None, None, 3), name="input_1")
    return tf_keras.Model(image, model(image), name="model_2")


def write_hdf5(model, path, *, weights_only=False):
    """Save a tf-keras model in the old layout."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving your model as an HDF5 file")
        if weights_only:
            model.save_weights(path, save_format="h5")
        else:
            model.save(path, save_format="h5")
    return path


def age(path):
    """Make a file look as Keras 2.2.4 wrote it: bytes for texts, ``Model`` for ``Functional``, no ``groups``."""
    with h5py.File(path, "r+") as file:
        if "model_config" in file.attrs:
            config = file.attrs["model_config"].replace('"Functional"', '"Model"').replace('"groups": 1, ', "")
            file.attrs["model_config"] = np.bytes_(config.encode()) if len(config) < 60_000 else config
        root = file.get("model_weights", file)
        groups = [root, *(root[name] for name in root.attrs["layer_names"])]
        for group in groups:
            for key in ("layer_names", "weight_names"):
                if key in group.attrs and len(group.attrs[key]):
                    group.attrs[key] = np.array([name.encode() for name in group.attrs[key]])


def edit_config(path, change):
    """Let ``change`` alter the description of the network in a file."""
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        change(config)
        file.attrs["model_config"] = json.dumps(config)


def values_of(model):
    """Arrays of each layer of a tf-keras model, by name as Keras 3 takes it."""
    return {layer.name.replace("/", "_"): layer.get_weights() for layer in model.layers if layer.weights}
