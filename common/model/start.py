"""Start: the network that training begins with, and its numeric precision."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.bpnet import build_model
from bodyposenet.common.model.files import load_model
from bodyposenet.common.skeleton import Skeleton
from bodyposenet.common.spec.train import TrainSpec

log = logging.getLogger(__name__)

PRETRAINED = "pretrained:"  # names weights that are shipped with the package
HALF = "mixed_bfloat16"


@dataclass(frozen=True)
class Filled:
    """Which layers of a network took weights, and why the others did not."""

    layers: tuple[str, ...]
    left: dict[str, str]


def starting_network(spec: TrainSpec, skeleton: Skeleton) -> Any:
    """The network of a train spec, with the weights it starts from, in the precision it trains in.

    Raises:
        UserError: The weights cannot be read, or do not fit the spec or the skeleton.
    """
    policy = HALF if spec.mixed_precision else "float32"
    if spec.load_graph:
        return in_policy(_checked_graph(spec, skeleton), policy, regularized=False)
    model = build_model(spec.model, skeleton)
    if spec.pretrained_weights:
        path = weights_path(spec.pretrained_weights)
        filled = fill(model, load_model(path)[0].layers)
        log.info("%s: took the weights of %d layers", path, len(filled.layers))
        for layer, reason in filled.left.items():
            log.warning("%s: layer %s starts from scratch: %s", path, layer, reason)
    return in_policy(model, policy)


def weights_path(name: str) -> Path:
    """The file of ``pretrained_weights``: a path, or ``pretrained:NAME`` for weights shipped with the package.

    Raises:
        UserError: No such weights are shipped.
    """
    if not name.startswith(PRETRAINED):
        return Path(name)
    folder = Path(__file__).parent / "pretrained"
    path = folder / f"{name.removeprefix(PRETRAINED)}.keras"
    if not path.is_file():
        shipped = ", ".join(sorted(f"{PRETRAINED}{file.stem}" for file in folder.glob("*.keras"))) or "none"
        raise UserError(f"no weights named {name!r} are shipped", where="pretrained_weights", fix=f"shipped: {shipped}")
    return path


def fill(model: Any, layers: Iterable[Any]) -> Filled:
    """Copy weights layer by layer, by name, where the shapes agree."""
    given = {layer.name: layer for layer in layers}
    filled, left = [], {}
    for layer in model.layers:
        if not layer.weights:
            continue
        if layer.name not in given:
            left[layer.name] = "no layer of this name"
            continue
        weights = given[layer.name].get_weights()
        if [w.shape for w in weights] != [tuple(w.shape) for w in layer.weights]:
            left[layer.name] = (
                f"shapes {[w.shape for w in weights]} do not fit {[tuple(w.shape) for w in layer.weights]}"
            )
            continue
        layer.set_weights(weights)
        filled.append(layer.name)
    return Filled(tuple(filled), left)


def in_policy(model: Any, policy: str, *, regularized: bool = True) -> Any:
    """The same network with another numeric precision; its outputs stay float32.

    Args:
        model: A functional ``keras.Model``.
        policy: A Keras dtype policy.
        regularized: False drops all regularisation, as TAO does when it trains a pruned network (reference 6.6).
    """
    outputs = {tensor._keras_history.operation.name for tensor in model.outputs}

    def remade(layer: Any) -> Any:
        config = layer.get_config()
        config["dtype"] = "float32" if layer.name in outputs else policy
        if not regularized:
            config |= {key: None for key in ("kernel_regularizer", "bias_regularizer") if key in config}
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=remade)
    copy.set_weights(model.get_weights())
    return copy


def _checked_graph(spec: TrainSpec, skeleton: Skeleton) -> Any:
    """The network in the file itself, held against the spec."""
    path = weights_path(str(spec.pretrained_weights))
    model, card = load_model(path)
    stages = len(model.outputs) // 2
    if stages != spec.model.stages:
        raise UserError(f"has {stages} stages, the spec {spec.model.stages}", where=str(path), fix="set model.stages")
    if card.skeleton.joints != skeleton.joints or card.skeleton.limbs != skeleton.limbs:
        raise UserError(
            f"draws skeleton {card.skeleton.name!r}, the spec names {skeleton.name!r}",
            where=str(path),
            fix="give the pose config that it was trained with",
        )
    return model
