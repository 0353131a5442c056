"""Pruning: laws that hold for any network."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.random_nets import IMAGE, build, interpret, masks, nets

from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.spec.prune import PruneSpec

few = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
many = settings(few, max_examples=30)
specs = st.builds(
    PruneSpec,
    pruning_threshold=st.floats(0.2, 1.2),
    normalizer=st.sampled_from(("max", "L2")),
    equalization_criterion=st.sampled_from(("union", "intersection", "arithmetic_mean", "geometric_mean")),
    pruning_granularity=st.integers(1, 4),
    min_num_filters=st.integers(1, 5),
)


def run(model, seed=1):
    outputs = model(pictures(seed), training=False)
    return [np.asarray(y) for y in (outputs if len(model.outputs) > 1 else [outputs])]


def pictures(seed=1):
    return np.random.default_rng(seed).normal(size=(2, *IMAGE)).astype(np.float32)


def assert_close(found, expected):
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * max(1, np.abs(b).max()))


@few
@given(steps=nets(), normalizer=st.sampled_from(("max", "L2")))
def test_threshold_0_changes_no_bit(steps, normalizer):
    model = build(steps)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0, normalizer=normalizer, min_num_filters=1))
    assert pruned.params_after == pruned.params_before
    for found, expected in zip(run(pruned.model), run(model), strict=True):
        np.testing.assert_array_equal(found, expected)


@many
@given(steps=nets())
def test_filters_that_are_silent_go_and_nothing_changes(steps):
    model = build(steps, silent=True)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0, pruning_granularity=1, min_num_filters=1))
    first = np.abs(model.get_layer("conv_1").kernel.numpy()).max(axis=(0, 1, 2))
    if not ties(steps):
        assert pruned.kept["conv_1"][0] == max(1, (first > 0).sum())
    assert_close(run(pruned.model), run(model))


def ties(steps):
    return any(step.kind in ("add", "multiply", "maximum", "depthwise") for step in steps) or (
        len({step.layer for step in steps}) < len(steps)
    )


@few
@given(steps=nets(), spec=specs)
def test_a_pruned_network_is_the_network_whose_readers_do_not_see_the_dropped_channels(steps, spec):
    model = build(steps)
    pruned = prune_model(model, spec)
    stay = masks(steps, pruned.filters)
    expected = interpret(
        steps, pictures(), lambda step: model.get_layer(step.layer), hide=lambda x, number: x * stay[number]
    )
    assert_close(run(pruned.model), [np.asarray(y) for y in expected])


@few
@given(steps=nets(), spec=specs)
def test_what_is_kept_is_a_multiple_of_the_granularity_and_no_less_than_the_minimum(steps, spec):
    pruned = prune_model(build(steps), spec)
    convs = {step.layer: step for step in steps if step.kind == "conv"}
    assert pruned.kept.keys() == convs.keys()
    for name, (count, of) in pruned.kept.items():
        assert of == convs[name].filters
        assert count == of or count % spec.pruning_granularity == 0
        assert count >= min(spec.min_num_filters, of)
        assert count == of or not name.startswith("out_")
        assert list(pruned.filters[name]) == sorted(set(pruned.filters[name]))
        assert pruned.model.get_layer(name).filters == count
    assert pruned.params_after == sum(weights.size for weights in pruned.model.get_weights())


@pytest.mark.parametrize("normalizer", ["max", "L2"])
@pytest.mark.parametrize(("threshold", "granularity", "minimum"), [(0.5, 1, 1), (0.5, 4, 1), (0.9, 3, 7), (9, 8, 16)])
def test_the_filters_that_stay_are_those_of_the_formula(normalizer, threshold, granularity, minimum):
    import keras

    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(20, 3, name="conv")(image)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="out")(x))
    random = np.random.default_rng(3)
    kernel = random.normal(size=(3, 3, 3, 20)) * random.uniform(0, 1, 20)
    model.get_layer("conv").set_weights([kernel, random.normal(size=20) * 100])  # biases do not count

    norms = [sum(weight**2 for weight in kernel.astype(np.float32)[..., f].flat) ** 0.5 for f in range(20)]
    whole = max(norms) if normalizer == "max" else sum(norm**2 for norm in norms) ** 0.5 / 20
    count = max(sum(norm / whole > threshold for norm in norms), min(minimum, 20))
    while count % granularity:
        count += 1
    best = sorted(range(20), key=lambda f: -norms[f])[: min(count, 20)]

    spec = PruneSpec(
        pruning_threshold=threshold, normalizer=normalizer, pruning_granularity=granularity, min_num_filters=minimum
    )
    pruned = prune_model(model, spec)
    assert pruned.kept == {"conv": (len(best), 20), "out": (2, 2)}
    np.testing.assert_array_equal(
        pruned.model.get_layer("conv").kernel.numpy(), kernel.astype(np.float32)[..., sorted(best)]
    )
    np.testing.assert_array_equal(
        pruned.model.get_layer("out").kernel.numpy(), model.get_layer("out").kernel.numpy()[:, :, sorted(best)]
    )


def test_pruning_leaves_the_original_alone():
    import keras

    image = keras.Input((4, 4, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(keras.layers.Conv2D(9, 1)(image)))
    before = model.get_weights()
    prune_model(model, PruneSpec(pruning_threshold=1, min_num_filters=1, pruning_granularity=1))
    for found, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(found, expected)
