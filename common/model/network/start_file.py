"""Start file: the network of a file that a training starts from, made to fit the spec's joints and widths."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.cut_widths import cut_widths
from bodyposenet.common.model.channels.fit_skeleton import fit_skeleton
from bodyposenet.common.model.files.model_file import load_model, read_card
from bodyposenet.common.model.files.tao_hdf5 import read_network
from bodyposenet.common.model.files.weights_file import Stored, holds_hdf5
from bodyposenet.common.model.network.graph_match import MismatchError, match_layers, take_weights
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, Skeleton
from bodyposenet.common.skeleton.skeleton_match import match_skeletons

log = logging.getLogger(__name__)


def open_graph(path: Path, skeleton: Skeleton) -> Any:
    """Read the network of a file, for a skeleton: what it does not draw of it begins anew.

    Args:
        path: A model file, or a ``.hdf5`` of TAO, which names no skeleton: where its maps are not the skeleton's, it
            is held to draw TAO's 18 joints.
        skeleton: The spec's.

    Raises:
        UserError: It cannot be read, or its maps cannot be changed.
    """
    if path.is_file() and holds_hdf5(path):
        model, drawn = read_network(path), BODYPOSENET_18
        if _draws(model, skeleton) or not _draws(model, drawn):
            return model
    else:
        model, card = load_model(path)
        drawn = card.skeleton
    return model if _is_same(drawn, skeleton) else _fit(model, drawn, skeleton, path)


def open_for_skeleton(path: Path, skeleton: Skeleton) -> Any | None:
    """Read the network of a model file that draws another skeleton, and fit it to this one.

    Returns:
        The network; None where the file's weights do as they are: it draws this skeleton, or tells none.
    """
    if not path.is_file() or holds_hdf5(path):
        return None
    drawn = None
    with contextlib.suppress(UserError):  # of weights without a card, such as Keras' own
        drawn = read_card(path).skeleton
    return None if drawn is None or _is_same(drawn, skeleton) else open_graph(path, skeleton)


def _is_same(drawn: Skeleton, wanted: Skeleton) -> bool:
    """Whether two skeletons have the same maps; names do not count."""
    return drawn.joints == wanted.joints and drawn.limbs == wanted.limbs


def _draws(model: Any, skeleton: Skeleton) -> bool:
    """Whether a network has the maps of a skeleton, by their numbers."""
    stages = len(model.outputs) // 2
    drawn = [output.shape[-1] for output in model.outputs]
    return drawn == [skeleton.num_joints + 1] * stages + [2 * skeleton.num_limbs] * stages


def _fit(model: Any, drawn: Skeleton, skeleton: Skeleton, path: Path) -> Any:
    """Rebuild a network for another skeleton, and say what it keeps."""
    try:
        fitted, match = fit_skeleton(model, match_skeletons(drawn, skeleton))
    except UserError as error:
        fix = "start from a network of this skeleton, or from one that was trained here"
        problem = f"draws skeleton {drawn.name!r}, and cannot be changed to {skeleton.name!r}: {error}"
        raise UserError(problem, where=str(path), fix=fix) from None
    log.info("%s: %s", path, match.summary())
    return fitted


def list_weights(model: Any, path: Path) -> Stored:
    """List the weights of a network by the names of its layers, as a file of them is read."""
    layers = {layer.name: tuple(np.array(each) for each in layer.weights) for layer in _list_layers(model)}
    return Stored(path, "Keras model", layers)


def _list_layers(model: Any) -> Iterator[Any]:
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _list_layers(layer)
        elif layer.weights:
            yield layer


def take_by_places(model: Any, theirs: Any, path: Path) -> None:
    """Take the weights of the layers that stand at the same places, whatever their names.

    Raises:
        UserError: The graph is another.
    """
    try:
        count = take_weights(model, match_layers(model, theirs))
    except MismatchError as reason:
        raise _is_other(path, reason) from None
    log.info("%s: filled %d convolutions by their places in the graph", path, count)


def take_strongest(model: Any, theirs: Any, path: Path) -> None:
    """Take the weights of a wider network, pruned to the widths that this one has.

    Raises:
        UserError: The graph is another, or somewhere narrower.
    """
    try:
        pairs = match_layers(model, theirs, widths=False)
    except MismatchError as reason:
        raise _is_other(path, reason) from None
    widths = {pair.theirs.name: pair.ours.kernel.shape[-1] for pair in pairs if not isinstance(pair.ours, DEPTHWISE)}
    try:
        cut = cut_widths(theirs, widths)
    except UserError as error:
        fix = "set model.backbone_attributes.width_multiplier to that of the file, or to less"
        raise UserError(error.problem, where=str(path), fix=fix) from None
    log.info("%s: cut to the spec's widths, %s of %s parameters", path, f"{cut.count_params():,}",
             f"{theirs.count_params():,}")  # fmt: skip
    take_by_places(model, cut, path)


DEPTHWISE = keras.layers.DepthwiseConv2D  # as wide as what it reads


def _is_other(path: Path, reason: MismatchError) -> UserError:
    fix = "set model to the network's form, or load_graph: true, which trains it as it is"
    return UserError(f"is another network: {reason}", where=str(path), fix=fix)
