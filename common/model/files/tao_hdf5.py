"""TAO's ``.hdf5`` files: weights by layer name, and the network itself, in the layout of Keras 2.

TAO 5 writes them with Keras 2.2.4. A training with ``load_graph: true`` wraps its network in another;
here the wrapper is taken off. Keras 3 takes no ``/`` in names: TAO's ``stage1/conv1`` is ``stage1_conv1``.
"""

import json
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

import h5py

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.graph_bounds import hold_maps
from bodyposenet.common.model.files.hdf5 import Arrays, array, member, open_hdf5, text, texts

Config = dict[str, Any]
Tensors = dict[tuple[str, int], Any]

NETWORKS = ("Functional", "Model")
CONVOLUTION = ("kernel_size", "strides", "padding", "dilation_rate", "activation", "use_bias")
LAYERS = {  # the layers that are rebuilt, and what of their configuration counts
    "Conv2D": ("filters", *CONVOLUTION),
    "DepthwiseConv2D": ("depth_multiplier", *CONVOLUTION),
    "BatchNormalization": ("momentum", "epsilon", "center", "scale"),
    "Activation": ("activation",),
    "ReLU": ("max_value",),
    "MaxPooling2D": ("pool_size", "strides", "padding"),
    "Dropout": ("rate",),
    **dict.fromkeys(("Concatenate", "Add", "Multiply", "Maximum", "Average"), ()),
}
ACTIVATIONS = ("linear", "relu", "relu6", "tanh", "sigmoid", "elu", "softmax")
FIXED = {  # what only one value of can be rebuilt
    "data_format": (None, "channels_last"),
    "groups": (None, 1),
    "activation": (None, *ACTIVATIONS),
    "axis": (None, -1, 3, [3], [-1]),
}


def rename(name: str) -> str:
    """A layer's name as Keras 3 takes it."""
    return name.replace("/", "_")


def model_config(file: h5py.File) -> Config | None:
    """The description of the network in a file, without wrappers; None in a file of weights only."""
    if "model_config" not in file.attrs:
        return None
    config: Config = json.loads(text(file.attrs["model_config"]))
    return _unwrap(config["config"]) if config["class_name"] in NETWORKS else {"layers": []}


def flatten(config: Config | None) -> frozenset[str]:
    """Names of the layers of a network."""
    return frozenset(rename(layer["config"]["name"]) for layer in config["layers"]) if config else frozenset()


def _unwrap(config: Config) -> Config:
    """The network within a network of an input and that network; outputs in the wrapper's order."""
    inner = [layer["config"] for layer in config["layers"] if layer["class_name"] in NETWORKS]
    if len(inner) != 1 or len(config["layers"]) != 2:
        return config
    outputs = [inner[0]["output_layers"][tensor] for _, _, tensor in config["output_layers"]]
    return _unwrap({**inner[0], "output_layers": outputs})


def list_layers(root: h5py.Group, known: Collection[str]) -> dict[str, Arrays]:
    """The arrays of each layer of a file, and of networks nested in it.

    Args:
        root: The group with the attribute ``layer_names``.
        known: Names of layers that may be nested; TensorFlow 1 appends numbers to names that it sees again.

    Raises:
        UserError: Weights are missing, or two layers have one name.
    """
    layers: dict[str, Arrays] = {}
    for name in texts(root.attrs, "layer_names"):
        group = member(root, name)
        weights = texts(group.attrs, "weight_names")
        scopes = dict.fromkeys(weight.rpartition("/")[0] for weight in weights)
        nested = len(scopes) > 1 or (rename(name) not in known and any(_find_known(s, name, known) for s in scopes))
        for scope in scopes if nested else [None] * bool(weights):
            own = [weight for weight in weights if scope in (None, weight.rpartition("/")[0])]
            layer = rename(name) if scope is None else (_find_known(scope, name, known) or rename(scope))
            if layer in layers:
                raise UserError(f"has two layers named {layer!r}", where=root.file.filename, fix="save it again")
            layers[layer] = tuple(array(group, weight) for weight in own)
    return layers


def _find_known(scope: str, network: str, known: Collection[str]) -> str | None:
    """The known layer whose weights have this scope, within a nested network."""
    name = rename(scope.removeprefix(f"{network}/"))
    for candidate in (name, re.sub(r"_\d+$", "", name)):
        if candidate in known:
            return candidate
    return None


def read_network(path: Path) -> Any:
    """Rebuild the network of a file, with its weights; regularisation is left out, as TAO does to train it further.

    Returns:
        A functional ``keras.Model``, not compiled.

    Raises:
        UserError: The file has weights only, or a network of parts that are not rebuilt, or is damaged.
    """
    with open_hdf5(path) as file:
        config = model_config(file)
        if config is None:
            raise UserError(
                "has weights but no network",
                where=str(path),
                fix="set load_graph to false, or give the whole model's .keras or TAO .hdf5",
            )
        root = member(file, "model_weights") if "model_weights" in file else file
        weights = list_layers(root, flatten(config))
        return _rebuilt(config, weights, path)


def _rebuilt(config: Config, weights: dict[str, Arrays], path: Path) -> Any:
    import keras

    check_layers(config["layers"], weights, path)
    tensors: Tensors = {}
    made: dict[str, Any] = {}
    for entry in config["layers"]:
        name, kind = entry["config"]["name"], entry["class_name"]
        if kind == "InputLayer":
            tensors[name, 0] = keras.Input(_shape(entry["config"]), name=rename(name))
        else:
            made[name] = getattr(keras.layers, kind)(**_settings(entry))
    _connect(config["layers"], made, tensors, path)
    inputs = [tensors[name, 0] for name, _, _ in config["input_layers"]]
    outputs = [tensors[name, node] for name, node, _ in config["output_layers"]]
    model = keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs, name="bpnet")
    for layer in made.values():
        layer.set_weights(weights.get(layer.name, ()))
    hold_maps(model, str(path))
    return model


def check_layers(entries: Iterable[Config], weights: dict[str, Arrays], path: Path) -> None:
    """Hold a network's layers against what can be rebuilt, and its convolutions against their weights.

    Raises:
        UserError: With the layer, and what about it cannot be rebuilt.
    """
    for entry in entries:
        kind, config = entry["class_name"], entry["config"]
        where = f"{path}, layer {config.get('name')!r}"
        if kind not in (*LAYERS, "InputLayer"):
            raise UserError(f"a {kind} layer is not rebuilt here", where=where, fix="set load_graph to false")
        for key, allowed in FIXED.items():
            if config.get(key) not in allowed:
                raise UserError(
                    f"{key} {config[key]!r} is not rebuilt here", where=where, fix="set load_graph to false"
                )
        if kind == "Conv2D":
            held = [values.shape for values in weights.get(rename(config["name"]), ())]
            if not held or (*held[0][:2], held[0][-1]) != (*config["kernel_size"], config["filters"]):
                raise UserError(
                    f"its weights {held} do not fit its {config['filters']} filters", where=where, fix="copy it again"
                )


def _shape(config: Config) -> tuple[int | None, ...]:
    """Pictures of any size, though the file may tell of the batches that it was trained on."""
    return (None, None, (config.get("batch_input_shape") or config["batch_shape"])[-1])


def _settings(entry: Config) -> Config:
    """Keyword arguments of a layer."""
    config = entry["config"]
    kept = {key: config[key] for key in LAYERS[entry["class_name"]] if key in config}
    return kept | {"name": rename(config["name"])}


def _connect(entries: Iterable[Config], made: dict[str, Any], tensors: Tensors, path: Path) -> None:
    """Call each layer on its inputs, as soon as they are there."""
    waiting = [
        (entry["config"]["name"], number, [(source, node) for source, node, *_ in call])
        for entry in entries
        for number, call in enumerate(entry["inbound_nodes"])
    ]
    while waiting:
        ready = [call for call in waiting if all(source in tensors for source in call[2])]
        if not ready:
            raise UserError(f"layer {waiting[0][0]!r} reads what no layer makes", where=str(path), fix="copy it again")
        for name, number, sources in ready:
            inputs = [tensors[source] for source in sources]
            tensors[name, number] = made[name](inputs[0] if len(inputs) == 1 else inputs)
        waiting = [call for call in waiting if call not in ready]
