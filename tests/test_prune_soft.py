"""Soft pruning: the filters that a pruning would drop shrink to nothing, and dropping them then changes nothing."""

import keras
import numpy as np
import pytest

from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.prune.soft import SoftPruning, scale_or_norm
from bodyposenet.common.spec.prune import PruneSpec

HALF = PruneSpec(pruning_threshold=0.5, min_num_filters=1, pruning_granularity=1)


def graded_network():
    """Two convolutions, the first with batch normalization; every other filter of both is weak."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, padding="same", use_bias=False, name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.Conv2D(6, 3, padding="same", bias_initializer="ones", name="second")(x)
    x = keras.layers.Activation("relu")(x)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="out")(x))
    norm, second = model.get_layer("norm"), model.get_layer("second")
    norm.gamma.assign(np.where(np.arange(8) % 2, 1.0, 0.3))
    norm.beta.assign(np.full(8, 0.2))
    kernel = np.asarray(second.kernel).copy()
    kernel[..., ::2] *= 0.1
    second.kernel.assign(kernel)
    return model


def sizes(variable):
    values = np.asarray(variable)
    return np.sqrt(np.square(values).reshape(-1, values.shape[-1]).sum(axis=0))


def test_a_filter_before_a_normalization_counts_by_its_scale_and_another_by_its_norm():
    model = graded_network()
    np.testing.assert_allclose(scale_or_norm(model.get_layer("first")), np.where(np.arange(8) % 2, 1.0, 0.3), rtol=1e-6)
    np.testing.assert_allclose(
        scale_or_norm(model.get_layer("second")), sizes(model.get_layer("second").kernel), rtol=1e-6
    )


@pytest.mark.parametrize(("done", "share"), [(0.0, 1.0), (0.25, 0.5), (0.5, 0.0), (1.0, 0.0)])
def test_weak_filters_are_held_to_a_share_that_falls_to_zero_and_strong_ones_are_left_alone(done, share):
    model = graded_network()
    soft = SoftPruning(model, HALF, until=0.5)
    names = ("first/kernel", "norm/gamma", "norm/beta", "second/kernel", "second/bias")
    variables = {variable.path: variable for variable in model.trainable_variables}
    before = {name: sizes(variables[name]) for name in names}
    strong = {name: np.asarray(variables[name])[..., 1::2].copy() for name in names}
    soft(model, done)
    for name in names:
        np.testing.assert_allclose(sizes(variables[name])[::2], share * before[name][::2], rtol=1e-5, atol=1e-7)
        np.testing.assert_array_equal(np.asarray(variables[name])[..., 1::2], strong[name])


def test_what_is_smaller_than_its_bound_keeps_its_size():
    model = graded_network()
    soft = SoftPruning(model, HALF, until=1.0)
    bias = model.get_layer("second").bias
    bias.assign([0.01] * 6)
    soft(model, 0.5)
    np.testing.assert_allclose(np.asarray(bias), 0.01, rtol=1e-6)


def test_once_they_are_zero_pruning_drops_them_and_the_outputs_stay():
    model = graded_network()
    SoftPruning(model, HALF, until=0.5)(model, 0.5)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0.2, min_num_filters=1, pruning_granularity=1))
    assert pruned.kept == {"first": (4, 8), "second": (3, 6), "out": (2, 2)}
    image = np.random.default_rng(0).standard_normal((1, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(pruned.model(image, training=False)), np.asarray(model(image, training=False)), atol=1e-5
    )
