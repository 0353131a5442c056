"""Pruning networks that were not made for it: Keras Applications, models inside models, shared and reshaped ones."""

import keras
import numpy as np
import pytest
from support.masked import run_masked
from support.networks import KINDS, STICK, network, pictures, run, trained

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.criteria import CRITERIA, bn_scale, geometric_median, l2_norm
from bodyposenet.common.model.channels.tracing import read_graph
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.prune.thresholds import choose_cut, largest, shortest, weigh
from bodyposenet.common.spec.prune import PruneSpec

L = keras.layers
FINE = {"pruning_granularity": 1, "min_num_filters": 1}
APPLICATIONS = {  # fewer classes and smaller pictures than usual, layers as they come
    "VGG19": (32, 10),
    "ResNet50": (64, 10),
    "MobileNetV2": (64, 10),
}


def application(name):
    size, classes = APPLICATIONS[name]
    keras.utils.set_random_seed(0)
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=classes)
    random = np.random.default_rng(0)
    for layer in model.layers:  # statistics as training leaves them
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in layer.weights])
    return model


def assert_masked(model, pruned, images):
    for found, wanted in zip(_outputs(pruned.model, images), run_masked(model, images, pruned.filters), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * max(1e-3, np.abs(wanted).max()))


def _outputs(model, images):
    made = model(images, training=False)
    return [np.asarray(y) for y in (made if isinstance(made, list | tuple) else [made])]


@pytest.mark.parametrize("name", list(APPLICATIONS))
def test_a_keras_application_is_pruned_as_it_comes(name):
    model = application(name)
    size = APPLICATIONS[name][0]
    pruned = prune_model(model, PruneSpec(target_flops=0.4), size=(size, size))
    assert 0.35 < flops(pruned.model, (size, size)) / flops(model, (size, size)) <= 0.4
    assert pruned.model.count_params() == pruned.params_after < pruned.params_before
    assert_masked(model, pruned, pictures(size=(size, size)))


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_pruned_network_is_the_whole_one_whose_readers_do_not_see_the_dropped_channels(kind):
    model = trained(kind)
    pruned = prune_model(model, PruneSpec(target_flops=0.5, **FINE))
    assert min(kept / of for kept, of in pruned.kept.values()) < 0.9
    assert_masked(model, pruned, pictures())


def nested(*, twice=False):
    """A stem in the model, convolutions in a model inside it, and a head after both."""
    keras.utils.set_random_seed(2)
    inner_input = keras.Input((None, None, 12))
    x = L.Conv2D(10, 3, padding="same", name="conv_1")(inner_input)
    x = L.Add(name="sum")([L.Conv2D(12, 1, name="conv_2")(L.ReLU()(x)), inner_input])
    inner = keras.Model(inner_input, x, name="inner")
    image = keras.Input((16, 16, 3), name="input_1")
    x = inner(L.Conv2D(12, 3, padding="same", name="conv_1")(image))
    x = inner(x) if twice else x
    tail = keras.Sequential([L.Conv2D(9, 3, name="conv"), L.GlobalAveragePooling2D()], name="tail")
    return keras.Model(image, L.Dense(4, name="out")(tail(x)))


@pytest.mark.parametrize("twice", [False, True])
def test_a_model_inside_the_model_is_pruned_with_it(twice):
    model = nested(twice=twice)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0.97, **FINE))
    assert set(pruned.kept) == {"conv_1", "inner/conv_1", "inner/conv_2", "tail/conv", "out"}
    assert list(pruned.filters["conv_1"]) == list(pruned.filters["inner/conv_2"])  # they are added up
    assert pruned.kept["inner/conv_1"][0] < 10
    assert pruned.kept["tail/conv"][0] < 9
    assert_masked(model, pruned, pictures(size=(16, 16)))
    assert [layer.name for layer in pruned.model.get_layer("inner").layers] == [
        layer.name for layer in model.get_layer("inner").layers
    ]


def test_a_model_inside_the_model_can_be_excluded_whole_or_in_part():
    model = nested()
    whole = prune_model(model, PruneSpec(pruning_threshold=9, excluded_layers=("inner",), **FINE))
    assert whole.kept == {"conv_1": (12, 12), "tail/conv": (1, 9), "out": (4, 4)}
    part = prune_model(model, PruneSpec(pruning_threshold=9, excluded_layers=("inner/conv_1",), **FINE))
    assert part.kept["inner/conv_1"] == (10, 10)
    assert part.kept["conv_1"] == part.kept["inner/conv_2"] == (1, 12)
    np.testing.assert_allclose(
        _outputs(whole.model, pictures(size=(16, 16))), run_masked_but(model, whole, "inner"), atol=1e-5
    )


def run_masked_but(model, pruned, whole):
    """Masked, with all filters of what was excluded."""
    every = {"inner/conv_1": np.arange(10), "inner/conv_2": np.arange(12)}
    return run_masked(model, pictures(size=(16, 16)), pruned.filters | every)


def test_patterns_exclude_every_layer_that_they_fit():
    model = network(STICK, stages=2)
    pruned = prune_model(model, PruneSpec(pruning_threshold=9, excluded_layers=("stage1_*", "block_?a_*"), **FINE))
    for name, (kept, of) in pruned.kept.items():
        excluded = name.startswith("stage1_") or (name.startswith("block_") and name[7] == "a")
        assert kept == (of if excluded or name in ("heatmap_out", "paf_out") else 1), name


def test_channels_are_followed_through_a_reshape_that_keeps_them():
    image = keras.Input((8, 8, 3))
    x = L.Conv2D(6, 3, name="a")(image)
    gate = L.Reshape((1, 1, 6))(L.Dense(6, activation="sigmoid", name="gate")(L.GlobalAveragePooling2D()(x)))
    x = L.Conv2D(5, 1, name="b")(L.Multiply()([x, gate]))
    model = keras.Model(image, L.Dense(2, name="out")(L.Reshape((180,))(x)))
    pruned = prune_model(model, PruneSpec(target_params=0.6, **FINE))
    assert pruned.kept["a"] == pruned.kept["gate"]
    assert pruned.kept["a"][0] < 6
    assert_masked(model, pruned, pictures(size=(8, 8)))


@pytest.mark.parametrize("mixing", [L.Softmax(name="mixing"), L.Activation("softmax", name="mixing")])
def test_a_softmax_needs_all_its_channels(mixing):
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, L.Conv2D(2, 1, name="out")(mixing(L.Conv2D(6, 1, name="a")(image))))
    if isinstance(mixing, L.Softmax):
        with pytest.raises(UserError, match=r"'mixing' \(Softmax\) is of a type that pruning"):
            prune_model(model, PruneSpec(pruning_threshold=9, **FINE))
    else:
        assert prune_model(model, PruneSpec(pruning_threshold=9, **FINE)).kept["a"] == (6, 6)


# --- targets


def weighed_network(kind="resnet18", **settings):
    model = trained(kind)
    return model, weigh(model, PruneSpec(**FINE | settings), l2_norm, whole=(), size=(64, 64))


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.7, 1.0])
def test_sizes_are_told_as_the_pruned_network_has_them(kind, threshold):
    model = trained(kind)
    pruned = prune_model(model, PruneSpec(pruning_threshold=threshold, **FINE), size=(64, 96))
    assert pruned.params_after == pruned.model.count_params()
    assert pruned.params_before == model.count_params()
    assert pruned.flops_after == flops(pruned.model, (64, 96))
    assert pruned.flops_before == flops(model, (64, 96))


@pytest.mark.parametrize("target", [1.0, 0.8, 0.5, 0.3, 0.15])
@pytest.mark.parametrize("key", ["params", "flops"])
def test_a_target_leaves_the_largest_network_at_or_under_it(key, target):
    _, weighed = weighed_network()
    cut = largest(weighed, **{key: target})
    whole = getattr(weighed.sizes, key)
    left = {getattr(weighed.cut(threshold), key) for threshold in weighed.thresholds}
    assert getattr(cut, key) == max(count for count in left if count <= target * whole)


def test_the_threshold_that_is_found_can_be_given_again():
    model, _ = weighed_network()
    found = prune_model(model, PruneSpec(target_flops=0.4, **FINE), size=(64, 64))
    again = prune_model(model, PruneSpec(pruning_threshold=found.threshold, **FINE), size=(64, 64))
    assert again.kept == found.kept
    assert len(str(found.threshold)) < 12


def test_a_target_that_is_missed_by_much_is_told():
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, L.Conv2D(2, 1, name="out")(L.Conv2D(32, 1, name="a")(image)))
    pruned = prune_model(model, PruneSpec(target_params=0.9, pruning_granularity=16, min_num_filters=1))
    assert pruned.kept["a"] == (16, 32)
    assert pruned.note.startswith("target_params 0.9 is met by 0.5")
    assert not prune_model(model, PruneSpec(target_params=0.9, **FINE)).note


def test_a_target_out_of_reach_is_refused_with_the_least_that_is_in_reach():
    model, weighed = weighed_network(min_num_filters=8)
    least = weighed.cut(99.0)
    with pytest.raises(
        UserError, match=f"as little as 0.001 of it; the least is {least.params / weighed.sizes.params:.3f}"
    ):
        prune_model(model, PruneSpec(target_params=0.001, pruning_granularity=1, min_num_filters=8))
    assert choose_cut(weighed, PruneSpec(target_params=1.0)).params == weighed.sizes.params


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.0, 0.3, 0.0), (0.12, 0.13, 0.12), (0.1234, 0.1301, 0.13), (0.12341, 0.12349, 0.12345), (1.95, 3, 2.0)],
)
def test_the_shortest_number_between_two(low, high, expected):
    found = shortest(low, high)
    assert low <= found < high
    assert len(str(found)) <= len(str(expected))


# --- criteria


def test_geometric_median_sums_the_distances_to_all_filters_of_the_layer():
    model = trained("resnet18")
    votes = geometric_median(read_graph(model))
    kernel = np.asarray(model.get_layer("block_1a_conv_1").kernel, np.float64)
    filters = kernel.reshape(-1, kernel.shape[-1]).T
    expected = [sum(np.linalg.norm(one - other) for other in filters) for one in filters]
    np.testing.assert_allclose(votes["block_1a_conv_1"], expected, rtol=1e-6)


def test_batch_normalization_weighs_by_the_magnitude_of_its_scale():
    model = trained("mobilenet_v2")
    votes = bn_scale(read_graph(model))
    for layer in model.layers:
        if isinstance(layer, L.BatchNormalization):
            np.testing.assert_allclose(votes[layer.name], np.abs(np.asarray(layer.gamma)))
    norms = l2_norm(read_graph(model))
    bare = [name for name in votes if name.startswith("stage")]
    assert bare
    assert all((votes[name] == norms[name]).all() for name in bare)  # no batch normalization follows them


def test_batch_normalization_is_asked_for_where_there_is_none():
    with pytest.raises(UserError, match="has no batch normalization"):
        prune_model(trained("plain"), PruneSpec(criterion="bn_scale"))


@pytest.mark.parametrize("criterion", list(CRITERIA))
def test_every_criterion_meets_a_target(criterion):
    model = trained("mobilenet_v2")
    pruned = prune_model(model, PruneSpec(criterion=criterion, target_params=0.5, **FINE))
    assert 0.47 <= pruned.params_after / pruned.params_before <= 0.5
    assert_masked(model, pruned, pictures())


def test_run_masked_hides_nothing_where_nothing_is_dropped():
    model = trained("resnet18")
    whole = {layer.name: np.arange(layer.filters) for layer in model.layers if isinstance(layer, L.Conv2D)}
    for found, wanted in zip(run_masked(model, pictures(), whole), run(model, pictures()), strict=True):
        np.testing.assert_array_equal(found, wanted)
