"""Graph match: networks whose layers have other names take each other's weights by their places."""

import keras
import numpy as np
import pytest
from support.networks import STICK, network, pictures, shaken

from bodyposenet.common.model.network.graph_match import MismatchError, match_layers, take_weights

L = keras.layers
LIGHT = {"__class_name__": "LightweightOpenPoseModel", "backbone_attributes": {"architecture": "mobilenet_v1"}}
KINDS = {
    "vgg": {"stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3, 3]},
    "towers": {"__class_name__": "BpNetModel", "stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3]},
    "lightweight": LIGHT,
}


def made(kind, *, seed=1, **changes):
    """A narrow network of two stages with weights as training leaves them."""
    keras.utils.set_random_seed(seed)
    attributes = KINDS[kind].get("backbone_attributes", {}) | changes.pop("backbone_attributes", {})
    model = network(STICK, **KINDS[kind] | {"stages": 2, "backbone_attributes": attributes} | changes)
    random = np.random.default_rng(seed)
    for layer in model.layers:
        layer.set_weights([shaken(random, weight) for weight in layer.weights])
    return model


def under_other_names(model):
    """The same network with names that tell nothing, its maps aside."""
    names = {layer.name: f"layer_{number}" for number, layer in enumerate(model.layers[1:])}

    def renamed(layer):
        return type(layer).from_config(layer.get_config() | {"name": names.get(layer.name, layer.name)})

    copy = keras.models.clone_model(model, clone_function=renamed)
    for ours, theirs in zip(copy.layers, model.layers, strict=True):
        ours.set_weights(theirs.get_weights())
    return copy


def drawn(model):
    return [np.asarray(maps) for maps in model(pictures(size=(64, 96)))]


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_network_under_other_names_gives_its_weights(kind):
    theirs = made(kind)
    ours = made(kind, seed=2)
    pairs = match_layers(ours, under_other_names(theirs))
    assert take_weights(ours, pairs) == len(pairs)
    for mine, wanted in zip(drawn(ours), drawn(theirs), strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-5 * np.ptp(wanted))


@pytest.mark.parametrize(("ours", "theirs"), [(True, False), (False, True)])
def test_a_normalization_that_only_one_has_is_folded(ours, theirs):
    def style(normalized):
        return {"use_batch_norm": normalized, "use_bias": not normalized}

    source = made("lightweight", backbone_attributes=style(theirs))
    target = made("lightweight", seed=2, backbone_attributes=style(ours))
    take_weights(target, match_layers(target, source))
    for mine, wanted in zip(drawn(target), drawn(source), strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-5 * np.ptp(wanted))


def joined(order, seed):
    """A network that joins three maps of different widths in an order."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 3))
    x = L.Conv2D(6, 3, strides=8, padding="same")(image)
    maps = [L.Conv2D(width, 1)(x) for width in (3, 2)]
    whole = L.Concatenate()([[x, *maps][place] for place in order])
    after = L.Conv2D(5, 1)(whole)
    return keras.Model(image, [*maps, L.Conv2D(3, 1)(after), L.Conv2D(2, 1)(after)][2:])


def test_channels_that_are_joined_in_another_order_are_read_in_theirs():
    ours, theirs = joined((0, 1, 2), seed=1), joined((2, 0, 1), seed=2)
    take_weights(ours, match_layers(ours, theirs))
    for mine, wanted in zip(drawn(ours), drawn(theirs), strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"width": 1 / 8}, r"is a Conv2D of 1x1x.*x3 at strides 1x1, heatmap_out is a Conv2D of 1x1x.*x3"),
        ({"stageT_kernel_sizes": [5, 5]}, r"stage2_conv2 is a Conv2D of 3x3.* is a Conv2D of 5x5"),
        ({"stageT_kernel_sizes": [3, 3, 3]}, "is a"),
    ],
)
def test_another_network_is_told_by_the_first_layer_that_differs(changes, problem):
    with pytest.raises(MismatchError, match=problem):
        match_layers(made("vgg"), made("vgg", **changes))


def test_borders_on_other_sides_are_another_network():
    def halved(border):
        image = keras.Input((None, None, 3))
        x = L.Conv2D(8, 3, strides=2, padding="same")(image)
        if border:
            x = L.Conv2D(8, 3, strides=2)(L.ZeroPadding2D(1)(image))
        return keras.Model(image, [L.Conv2D(3, 1)(x), L.Conv2D(2, 1)(x)])

    with pytest.raises(MismatchError, match=r"padding same, .* padding valid and \(\(1, 1\), \(1, 1\)\) before it"):
        match_layers(halved(False), halved(True))
