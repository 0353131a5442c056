"""Widen: a wider network draws what the narrow one drew, and its new filters are small and read by nobody yet."""

import keras
import numpy as np
import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.network.widen import NEWBORN, widen


def network(filters, seed):
    """Two branches, joined, with batch normalization; ``filters`` wide."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False, name="first")(image)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.Activation("relu")(x)
    a = keras.layers.Conv2D(filters, 3, padding="same", bias_initializer="random_normal", name="left")(x)
    b = keras.layers.Conv2D(5, 1, bias_initializer="random_normal", name="maps")(x)
    joined = keras.layers.Concatenate()([a, b, x])
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same", name="out")(joined))
    norm = model.get_layer("norm")
    rng = np.random.default_rng(seed)
    norm.set_weights([rng.uniform(0.5, 1.5, filters) for _ in range(4)])
    return model


@pytest.mark.parametrize("filters", [6, 9, 16])
def test_a_widened_network_draws_what_the_narrow_one_drew(filters):
    narrow, wide = network(6, 0), network(filters, 1)
    widen(narrow, wide)
    image = np.random.default_rng(2).standard_normal((2, 9, 7, 3)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(wide(image, training=False)), np.asarray(narrow(image, training=False)), atol=1e-5
    )


def test_new_filters_are_a_tenth_of_the_greatest_and_read_everything():
    narrow, wide = network(6, 0), network(10, 1)
    widen(narrow, wide)
    old, new = np.asarray(narrow.get_layer("left").kernel), np.asarray(wide.get_layer("left").kernel)
    norms = np.sqrt(np.square(new).sum(axis=(0, 1, 2)))
    greatest = np.sqrt(np.square(old).sum(axis=(0, 1, 2))).max()
    np.testing.assert_allclose(norms[6:], NEWBORN * greatest, rtol=1e-5)
    assert (new[..., :6, 6:] != 0).all()
    assert (new[..., 6:, 6:] != 0).all()
    assert (new[..., 6:, :6] == 0).all()


def test_a_narrower_network_is_refused():
    with pytest.raises(UserError, match="filters do not hold"):
        widen(network(6, 0), network(5, 1))


def test_another_kind_of_network_is_refused_by_its_layer():
    other = keras.Model(image := keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3, name="alone")(image))
    with pytest.raises(UserError, match="alone: the narrow network has no such layer"):
        widen(network(6, 0), other)
