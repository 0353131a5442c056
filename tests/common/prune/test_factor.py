"""Factoring: convolutions become two of lower rank, and the maps stay what they were as far as the cost allows."""

import keras
import numpy as np
import pytest
from support.networks import pictures

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.prune.factor import LOW, Halves, factor, measure_slopes, split_layer
from bodyposenet.common.prune.refit import LeastSquares

SIZE = (64, 64)
MAPS = (19, 38)


@pytest.fixture(scope="module")
def model():
    """A network of wide layers whose outputs lie in a few directions, as those of trained ones do."""
    keras.utils.set_random_seed(3)
    given = x = keras.Input((None, None, 3), name="pictures")
    x = keras.layers.Conv2D(32, 3, strides=2, padding="same", name="stem", activation="relu")(x)
    for number, dilation in enumerate((1, 2)):
        kind = {"padding": "same", "dilation_rate": dilation, "activation": "relu"}
        x = keras.layers.Conv2D(32, 3, name=f"conv{number}", **kind)(x)
    x = keras.layers.Conv2D(64, 1, name="wide", use_bias=False, activation="relu")(x)
    maps = [keras.layers.Conv2D(count, 1, name=f"maps{count}")(x) for count in MAPS]
    made = keras.Model(given, maps)
    random = np.random.default_rng(0)
    for layer in made.layers[1:]:
        kernel = layer.get_weights()[0]
        height, width, channels, filters = kernel.shape
        own = random.normal(size=(height * width * channels, 4)) @ random.normal(size=(4, filters))
        noise = random.normal(size=own.shape) * 0.3
        kernel[:] = ((own + noise) / np.sqrt(4 * height * width * channels)).reshape(kernel.shape)
        layer.set_weights([kernel, *(random.normal(size=rest.shape) * 0.1 for rest in layer.get_weights()[1:])])
    return made


def batches(count=2):
    return [pictures(4, size=SIZE, seed=seed) for seed in range(count)]


def miss(model, smaller):
    """How far the maps of pictures that nothing was fitted to are off, over their variance."""
    other = pictures(4, size=SIZE, seed=77)
    pairs = zip(model(other), smaller(other), strict=True)
    off = [(np.square(np.asarray(one) - np.asarray(two)).mean(), np.asarray(one).var()) for one, two in pairs]
    return sum(part for part, _ in off) / sum(whole for _, whole in off)


@pytest.fixture(scope="module")
def factored(model):
    """Networks of some shares of the operations."""
    return {share: factor(model, batches(), target_flops=share, size=SIZE) for share in (0.35, 0.7)}


def test_it_costs_what_was_asked_for_and_the_more_it_may_cost_the_nearer_are_the_maps(model, factored):
    for share, smaller in factored.items():
        assert flops(smaller, SIZE) <= share * flops(model, SIZE)
        assert [tuple(one.shape) for one in smaller.outputs] == [tuple(one.shape) for one in model.outputs]
    misses = [miss(model, smaller) for smaller in factored.values()]
    assert misses[0] > misses[1]
    assert misses[1] < 0.05


def test_every_layer_keeps_its_name_and_its_width(model, factored):
    smaller = factored[0.35]
    split = [layer.name for layer in smaller.layers if layer.name.endswith(LOW)]
    assert split
    for layer in model.layers:
        assert smaller.get_layer(layer.name).output.shape == layer.output.shape
    for name in split:
        low, high = smaller.get_layer(name), smaller.get_layer(name.removesuffix(LOW))
        whole = model.get_layer(high.name)
        assert (low.kernel_size[0], high.kernel_size[1]) == whole.kernel_size
        assert (low.kernel_size[1], high.kernel_size[0]) == (1, 1)
        assert high.activation is whole.activation


def test_nothing_is_lost_where_nothing_is_given_up(model):
    smaller = factor(model, batches(1), target_flops=1.0, size=SIZE)
    assert miss(model, smaller) < 1e-4


def test_what_cannot_be_is_refused_with_what_can(model):
    with pytest.raises(UserError, match=r"no ranks leave 0\.01 .*the least that ranks of 8 leave is 0\.\d+"):
        factor(model, batches(1), target_flops=0.01, size=SIZE)


@pytest.fixture
def random():
    return np.random.default_rng(5)


def covariance(random, count):
    half = random.normal(size=(count, count)) * np.linspace(0.1, 2, count)
    return half @ half.T


def solved(random, inputs, filters):
    """Fitted weights for inputs of a mean and a covariance."""
    mean = random.normal(size=inputs)
    moments = covariance(random, inputs) + np.outer(mean, mean)
    products = np.block([[moments, mean[:, None]], [mean[None], np.ones((1, 1))]])
    return LeastSquares(random.normal(size=(inputs + 1, filters)), products, 0.0)


@pytest.mark.parametrize("rank", [1, 5, 12])
def test_a_matrix_loses_what_the_best_of_its_rank_loses(random, rank):
    done, slopes = solved(random, 16, 12), covariance(random, 12)
    part = Halves(done, slopes, (1, 1, 16, 12)).part(rank)
    made = done.weights[:-1].T @ (done.products[:-1, :-1] - np.outer(*[done.products[-1, :-1]] * 2)) @ done.weights[:-1]
    values = np.sort(np.linalg.eigvals(made @ slopes).real)  # Eckart and Young, in the metric of the slopes
    assert part.error == pytest.approx(values[: 12 - rank].sum(), rel=2e-3, abs=2e-3 * values.sum())
    np.testing.assert_allclose(
        done.products[-1] @ np.r_[part.low @ part.high, part.bias[None]], done.products[-1] @ done.weights, atol=1e-8
    )  # the mean stays


def test_two_kernels_of_full_rank_are_the_kernel(random):
    shape = (3, 3, 4, 5)
    done = solved(random, 36, 5)
    layer = keras.layers.Conv2D(5, 3, strides=2, dilation_rate=1, padding="same", activation="relu", name="whole")
    layer.build((None, None, None, 4))
    part = Halves(done, covariance(random, 5), shape).part(12)
    layer.set_weights([done.weights[:-1].reshape(shape), done.weights[-1]])
    low, high = split_layer(layer, 12)
    seen = random.normal(size=(2, 9, 11, 4)).astype(np.float32)
    low.build(seen.shape)
    high.build((2, 5, 11, 12))
    low.set_weights([part.low.reshape(low.kernel.shape)])
    high.set_weights([part.high.reshape(high.kernel.shape), part.bias])
    wanted = np.asarray(layer(seen))
    np.testing.assert_allclose(high(low(seen)), wanted, atol=1e-3 * np.abs(wanted).max())


def test_slopes_are_those_of_the_maps(model):
    wide, (heat, paf) = model.get_layer("wide"), (model.get_layer(f"maps{count}") for count in MAPS)
    shown = batches(4)
    found = measure_slopes(model, [wide], shown, paf_weight=3.0)["wide"]
    wanted = sum(weight * kernel @ kernel.T for weight, kernel in
                 ((1.0, heat.get_weights()[0][0, 0]), (3.0, paf.get_weights()[0][0, 0])))  # fmt: skip
    places = (SIZE[0] // 2) * (SIZE[1] // 2)
    assert np.abs(found / places - wanted).max() < 0.05 * np.abs(wanted).max()
