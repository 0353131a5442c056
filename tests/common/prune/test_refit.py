"""Refit: what is left of a pruned network draws what the whole one drew, as nearly as its layers can."""

import keras
import numpy as np
import pytest
from support.networks import BACKBONES, STICK, network, pictures

from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.prune.refit import Sight, refit
from bodyposenet.common.spec.prune import PruneSpec

L = keras.layers
SHORT = {"stages": 1, "stage1_kernel_sizes": [3], "backbone_attributes": BACKBONES["helnet"]}


def chain(**last):
    """A convolution, what rectifies it, and a convolution after it."""
    picture = keras.Input((12, 12, 3))
    x = L.ReLU()(L.Conv2D(8, 3, padding="same", bias_initializer="random_normal", name="first")(picture))
    return keras.Model(picture, L.Conv2D(4, 3, name="last", **{"padding": "same", **last})(x))


def draw(model, batch):
    outputs = model(batch, training=False)
    return np.concatenate([np.asarray(each).ravel() for each in (outputs if isinstance(outputs, list) else [outputs])])


def test_filters_that_repeat_others_are_made_up_for():
    """Each filter is there twice; with one of each gone, the other must be heard twice as loud."""
    model = chain()
    kernel, bias = model.get_layer("first").get_weights()
    twice = [0, 1, 2, 3, 0, 1, 2, 3]
    model.get_layer("first").set_weights([kernel[..., twice], bias[twice]])
    kept = {"first": np.arange(4)}
    smaller = keras.models.clone_model(model, clone_function=lambda layer: narrow(layer, kept))
    smaller.get_layer("first").set_weights([kernel[..., :4], bias[:4]])
    last, offset = model.get_layer("last").get_weights()
    smaller.get_layer("last").set_weights([last[:, :, :4], offset])
    batch = pictures(2, size=(12, 12))
    assert np.abs(draw(smaller, batch) - draw(model, batch)).max() > 0.01
    errors = refit(model, smaller, kept, [pictures(4, size=(12, 12), seed=1), pictures(4, size=(12, 12), seed=2)])
    assert errors["last"] < 1e-4
    np.testing.assert_allclose(draw(smaller, batch), draw(model, batch), atol=0.01)


def narrow(layer, kept):
    config = layer.get_config()
    if layer.name in kept:
        config["filters"] = len(kept[layer.name])
    return type(layer).from_config(config)


def test_a_network_that_lost_nothing_stays_as_it_is():
    model = network(STICK, **SHORT)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0, min_num_filters=1))
    before = draw(model, pictures(1))
    errors = refit(model, pruned.model, pruned.filters, [pictures(2)])
    assert max(errors.values()) < 1e-9
    np.testing.assert_allclose(draw(pruned.model, pictures(1)), before, atol=1e-5 * np.abs(before).max())


@pytest.mark.parametrize("bias", [True, False])
def test_pictures_that_were_not_fitted_to_are_drawn_better_too(bias):
    keras.utils.set_random_seed(2)
    model = network(STICK, **SHORT, use_bias=bias, kernel_initializer="he_normal")
    pruned = prune_model(model, PruneSpec(target_flops=0.6, pruning_granularity=2, min_num_filters=2))
    unseen = pictures(4, seed=9)
    wanted = draw(model, unseen)
    before = np.square(draw(pruned.model, unseen) - wanted).mean()
    refit(model, pruned.model, pruned.filters, [pictures(8, seed=seed) for seed in range(2)])
    assert np.square(draw(pruned.model, unseen) - wanted).mean() < 0.7 * before


@pytest.mark.parametrize("last", [{"strides": 2}, {"padding": "valid"}, {"dilation_rate": 2}, {"kernel_size": (1, 5)}])
def test_what_a_layer_is_computed_from_times_its_kernel_is_what_it_draws(last):
    if "kernel_size" in last:
        picture = keras.Input((12, 12, 3))
        model = keras.Model(picture, L.Conv2D(4, padding="same", name="last", **last)(picture))
    else:
        model = chain(**last)
    sight = Sight(model, model.get_layer("last"))
    batch = pictures(2, size=(12, 12))
    seen = sight.see(batch)
    kernel = np.asarray(model.get_layer("last").kernel)
    found = sight.patches(seen) @ kernel.reshape(-1, kernel.shape[-1])
    np.testing.assert_allclose(found, sight.draw(seen), atol=1e-5)
    np.testing.assert_allclose(sight.draw(seen).ravel(), draw(model, batch), atol=1e-5)


def test_a_layer_that_is_called_twice_is_left_alone():
    picture = keras.Input((12, 12, 3))
    shared = L.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(picture, L.Conv2D(2, 1, name="last")(shared(shared(picture))))
    assert set(refit(model, keras.models.clone_model(model), {}, [pictures(1, size=(12, 12))])) == {"last"}
