"""Pruning: what each kind of layer, setting and mistake comes to."""

import re

import keras
import numpy as np
import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.channels.criteria import choose, equalize, filter_norms, l2_norm, normalize
from bodyposenet.common.prune.prune import prune_model
from bodyposenet.common.spec.prune import PruneSpec

L = keras.layers
FINE = {"pruning_granularity": 1, "min_num_filters": 1}
HALF = PruneSpec(pruning_threshold=0.5, **FINE)


@keras.saving.register_keras_serializable(package="tests")
class Shifted(L.Conv2D):
    """A convolution that adds a number of its own."""

    def __init__(self, *args, shift=0.0, **kwargs):
        super().__init__(*args, **kwargs)
        self.shift = shift

    def call(self, inputs):
        return super().call(inputs) + self.shift

    def get_config(self):
        return {**super().get_config(), "shift": self.shift}


def conv(norms, name, *, size=1, kind=L.Conv2D, **options):
    """A convolution to be, whose filters get these norms once it is built."""
    return kind(len(norms), size, name=name, kernel_initializer=Norms(norms), **options)


@keras.saving.register_keras_serializable(package="tests")
class Norms(keras.initializers.Initializer):
    """Weights that are equal within a filter, whose norm is given."""

    def __init__(self, norms):
        self.norms = norms

    def __call__(self, shape, dtype=None):
        last = -1 if shape[-1] > 1 else -2  # a depthwise kernel's channels are its last axis but one
        norms = np.resize(self.norms, shape[last])  # of a smaller copy: any, its weights are set after
        norms = norms / (np.prod(shape) / shape[last]) ** 0.5
        return np.broadcast_to(np.expand_dims(norms, tuple(range(last + 1, 0))), shape).astype(np.float32)

    def get_config(self):
        return {"norms": self.norms}


def net(body, channels=2, **options):
    """A network of one picture, and of what ``body`` makes of it, read by a convolution ``out``."""
    image = keras.Input((4, 4, channels), name="input_1")
    return keras.Model(image, L.Conv2D(2, 1, name="out")(body(image)), name="small", **options)


def stayed(model, spec=HALF, **options):
    return {name: list(filters) for name, filters in prune_model(model, spec, **options).filters.items()}


def test_max_divides_by_the_greatest_and_l2_by_the_norm_times_the_number():
    np.testing.assert_allclose(normalize(np.array([1.0, 2, 4]), "max"), [0.25, 0.5, 1])
    np.testing.assert_allclose(normalize(np.array([3.0, 4]), "L2"), [3 / 5 * 2, 4 / 5 * 2])
    np.testing.assert_allclose(normalize(np.full(9, 0.7), "L2"), np.full(9, 3.0))  # sqrt(9)


def test_a_layer_of_zeros_scores_zeros():
    for normalizer in ("max", "L2"):
        np.testing.assert_array_equal(normalize(np.zeros(3), normalizer), np.zeros(3))


def test_the_norm_of_a_filter_is_over_rows_columns_and_inputs_without_the_bias():
    layer = L.Conv2D(2, (2, 1), bias_initializer="ones")
    layer.build((None, 4, 4, 3))
    kernel = np.arange(12.0).reshape(2, 1, 3, 2)
    layer.set_weights([kernel, np.ones(2)])
    np.testing.assert_allclose(filter_norms(layer), [220**0.5, 286**0.5])  # of 0 2 4 6 8 10 and 1 3 5 7 9 11


def test_a_score_that_equals_the_threshold_does_not_count():
    scores = np.array([1, 0.5, 0.25, 0.50001])
    assert list(choose(scores, threshold=0.5, minimum=1, granularity=1)) == [0, 3]


@pytest.mark.parametrize(
    ("minimum", "granularity", "count"),
    [(1, 1, 3), (5, 1, 5), (1, 2, 4), (5, 4, 8), (99, 1, 10), (9, 4, 10), (1, 16, 10)],
)
def test_the_count_is_rounded_up_and_ends_at_the_depth(minimum, granularity, count):
    scores = np.arange(10) / 9  # 7, 8 and 9 are above .7
    stay = choose(scores, threshold=0.7, minimum=minimum, granularity=granularity)
    assert list(stay) == list(range(10 - count, 10))


def test_one_filter_stays_whatever_the_threshold():
    assert list(choose(np.array([0.1, 0.3, 0.2]), threshold=9, minimum=0, granularity=1)) == [1]


def test_of_equal_filters_the_first_stay():
    assert list(choose(np.ones(6), threshold=2, minimum=3, granularity=1)) == [0, 1, 2]


def test_equal_scores_are_merged_by_the_four_rules():
    scores = [np.array([1, 0.4, 0.0]), np.array([0.25, 0.9, 0.8])]
    np.testing.assert_allclose(equalize(scores, "union"), [1, 0.9, 0.8])
    np.testing.assert_allclose(equalize(scores, "intersection"), [0.25, 0.4, 0])
    np.testing.assert_allclose(equalize(scores, "arithmetic_mean"), [0.625, 0.65, 0.4])
    np.testing.assert_allclose(equalize(scores, "geometric_mean"), [0.5, 0.6, 0])


@pytest.mark.parametrize(
    ("criterion", "expected"),
    [("union", [0, 1, 2, 3]), ("intersection", [0]), ("arithmetic_mean", [0, 2, 3]), ("geometric_mean", [0, 3])],
)
@pytest.mark.parametrize("join", [L.Add, L.Subtract, L.Multiply, L.Average, L.Maximum])
def test_layers_that_meet_element_by_element_keep_the_same_filters(criterion, expected, join):
    model = net(lambda x: join()([conv([1, 0.6, 0.99, 0.4, 0.1], "a")(x), conv([0.9, 0.1, 0.2, 1, 0.3], "b")(x)]))
    spec = PruneSpec(pruning_threshold=0.5, equalization_criterion=criterion, **FINE)
    assert stayed(model, spec) == {"a": expected, "b": expected, "out": [0, 1]}


def test_a_chain_of_additions_is_one_group():
    def body(x):
        a = conv([1, 0.1, 0.1], "a")(x)
        b = L.Add()([a, L.ReLU()(conv([1, 0.1, 0.1], "b")(x))])
        return L.Add()([b, conv([1, 0.1, 0.7], "c")(b)])

    assert stayed(net(body)) == {"a": [0, 2], "b": [0, 2], "c": [0, 2], "out": [0, 1]}


def test_a_single_channel_is_broadcast_and_left_alone():
    model = net(lambda x: L.Multiply()([conv([1, 0.1, 0.8], "a")(x), conv([1], "gate")(x)]))
    assert stayed(model) == {"a": [0, 2], "gate": [0], "out": [0, 1]}


def test_what_meets_the_picture_keeps_every_filter():
    assert stayed(net(lambda x: L.Add()([x, conv([1, 0.1], "a")(x)]))) == {"a": [0, 1], "out": [0, 1]}


def test_runs_that_do_not_line_up_keep_every_filter():
    def body(x):
        parts = L.Concatenate()([conv([1, 0.1], "a")(x), conv([1, 0.1], "b")(x)])
        return L.Add()([parts, conv([1, 0.1, 1, 0.1], "c")(x)])

    assert stayed(net(body)) == {"a": [0, 1], "b": [0, 1], "c": [0, 1, 2, 3], "out": [0, 1]}


def test_runs_that_line_up_are_pruned_pairwise():
    def body(x):
        left = L.Concatenate()([conv([1, 0.1], "a")(x), conv([0.1, 1, 0.1], "b")(x)])
        return L.Add()([left, L.Concatenate()([conv([1, 0.1], "c")(x), conv([0.1, 1, 0.9], "d")(x)])])

    assert stayed(net(body)) == {"a": [0], "c": [0], "b": [1, 2], "d": [1, 2], "out": [0, 1]}


def test_a_reader_of_a_concatenation_loses_the_inputs_at_their_original_offsets():
    def body(x):
        return L.Concatenate()([conv([0.1, 1, 1], "a")(x), x, conv([1, 0.1, 0.1, 1], "b")(x)])

    model = net(body)
    smaller = prune_model(model, HALF).model
    kernel = model.get_layer("out").kernel.numpy()  # a: 0..2, the picture: 3, 4, b: 5..8
    np.testing.assert_array_equal(smaller.get_layer("out").kernel.numpy(), kernel[:, :, [1, 2, 3, 4, 5, 8]])


def test_batch_normalization_keeps_the_statistics_of_the_channels_that_stay():
    model = net(
        lambda x: L.PReLU(shared_axes=[1, 2], name="slope")(
            L.BatchNormalization(name="bn")(conv([0.1, 1, 0.2, 0.9], "a")(x))
        )
    )
    for name in ("bn", "slope"):
        layer = model.get_layer(name)
        layer.set_weights([np.random.default_rng(5).uniform(1, 2, weight.shape) for weight in layer.get_weights()])
    smaller = prune_model(model, HALF).model
    for name in ("bn", "slope"):
        pairs = zip(smaller.get_layer(name).get_weights(), model.get_layer(name).get_weights(), strict=True)
        for found, weight in pairs:
            np.testing.assert_array_equal(found, weight[..., [1, 3]])


def test_a_depthwise_convolution_has_a_say_in_the_channels_it_reads():
    def body(x):
        both = L.Concatenate()([conv([1, 0.1, 0.1], "a")(x), conv([0.1, 1], "b")(x)])
        return L.DepthwiseConv2D(3, name="deep", depthwise_initializer=Norms([0.1, 0.1, 1, 0.6, 0.2]))(both)

    model = net(body)
    assert stayed(model) == {"a": [0, 2], "b": [0, 1], "out": [0, 1]}
    deep = model.get_layer("deep").kernel.numpy()
    smaller = prune_model(model, PruneSpec(pruning_threshold=0.7, **FINE)).model
    np.testing.assert_array_equal(smaller.get_layer("deep").kernel.numpy(), deep[:, :, [0, 2, 4]])


def test_a_convolution_called_twice_reads_the_same_channels_both_times():
    def body(x):
        twice = conv([1, 0.1, 0.9], "twice")
        return L.Concatenate()([twice(conv([1, 0.1], "a")(x)), twice(conv([1, 0.1], "b")(x))])

    pruned = prune_model(net(body), HALF)
    assert {name: list(kept) for name, kept in pruned.filters.items()} == {
        "a": [0], "b": [0], "twice": [0, 2], "out": [0, 1],
    }  # fmt: skip
    assert pruned.model.get_layer("twice").kernel.shape == (1, 1, 1, 2)
    assert pruned.model.get_layer("out").kernel.shape == (1, 1, 4, 2)


def test_a_transposed_convolution_loses_inputs_only():
    model = net(lambda x: L.Conv2DTranspose(3, 2, strides=2, name="up")(conv([1, 0.1, 0.9], "a")(x)))
    pruned = prune_model(model, HALF)
    assert pruned.kept == {"a": (2, 3), "out": (2, 2)}
    np.testing.assert_array_equal(
        pruned.model.get_layer("up").kernel.numpy(), model.get_layer("up").kernel.numpy()[..., [0, 2]]
    )


def test_dense_layers_are_pruned_behind_flattened_channels():
    image = keras.Input((2, 2, 1))
    x = L.Flatten()(conv([0.1, 1, 0.9], "a")(image))
    model = keras.Model(image, L.Dense(2, name="out")(conv([1, 0.1], "fc", size=None, kind=dense)(x)))
    pruned = prune_model(model, HALF)
    assert pruned.kept == {"a": (2, 3), "fc": (1, 2), "out": (2, 2)}
    np.testing.assert_array_equal(
        pruned.model.get_layer("fc").kernel.numpy(),
        model.get_layer("fc").kernel.numpy()[[1, 2, 4, 5, 7, 8, 10, 11]][:, [0]],
    )


def dense(units, size, **options):
    return L.Dense(units, **options)


def test_every_output_keeps_its_filters_even_where_another_layer_reads_it():
    image = keras.Input((4, 4, 2))
    first = conv([1, 0.1, 0.1], "first_out")(image)
    model = keras.Model(image, [L.ReLU()(first), L.Conv2D(2, 1, name="last_out")(conv([1, 0.1], "mid")(first))])
    assert stayed(model) == {"first_out": [0, 1, 2], "mid": [0], "last_out": [0, 1]}


def test_excluded_layers_keep_their_filters_under_tao_s_names_too():
    model = net(lambda x: conv([1, 0.1], "stage1_conv2")(conv([1, 0.1], "stage1_conv1")(conv([1, 0.1], "a")(x))))
    spec = PruneSpec(pruning_threshold=0.5, excluded_layers=("stage1/conv1",), **FINE)
    kept = stayed(model, spec, keep_whole=["a"])
    assert kept == {"a": [0, 1], "stage1_conv1": [0, 1], "stage1_conv2": [0], "out": [0, 1]}


def test_what_is_added_to_an_excluded_layer_keeps_its_filters():
    model = net(lambda x: L.Add()([conv([1, 0.1], "a")(x), conv([1, 0.1], "b")(x)]))
    spec = PruneSpec(pruning_threshold=0.5, excluded_layers=("a",), **FINE)
    assert stayed(model, spec) == {"a": [0, 1], "b": [0, 1], "out": [0, 1]}


def test_another_criterion_takes_the_place_of_the_norm():
    model = net(lambda x: conv([1, 0.1, 0.9], "a")(x))
    least = stayed(model, criterion=lambda graph: {path: 1 / votes for path, votes in l2_norm(graph).items()})
    assert least["a"] == [1]


def test_names_types_regularizers_and_the_order_of_outputs_stay():
    image = keras.Input((None, None, 2), name="input_1")
    x = conv(
        [1, 0.1, 0.9],
        "own",
        kind=Shifted,
        shift=0.5,
        kernel_regularizer=keras.regularizers.L1(0.25),
        dtype="mixed_bfloat16",
    )(image)
    outs = [L.Conv2D(filters, 1, name=f"out_{filters}", dtype="float32")(x) for filters in (3, 1, 2)]
    model = keras.Model(image, outs, name="named")
    smaller = prune_model(model, HALF).model
    assert (smaller.name, [tensor.name for tensor in smaller.inputs]) == ("named", ["input_1"])
    assert [layer.name for layer in smaller.layers] == [layer.name for layer in model.layers]
    assert [tensor.shape for tensor in smaller.outputs] == [tensor.shape for tensor in model.outputs]
    own = smaller.get_layer("own")
    assert type(own) is Shifted
    assert (own.filters, own.shift, own.dtype_policy.name, float(own.kernel_regularizer.l1)) == (
        2,
        0.5,
        "mixed_bfloat16",
        0.25,
    )


def test_a_sequential_model_is_pruned_as_a_chain():
    model = keras.Sequential([keras.Input((4, 4, 1)), conv([1, 0.1, 0.9], "a"), L.Conv2D(2, 1, name="out")])
    assert prune_model(model, HALF).kept == {"a": (2, 3), "out": (2, 2)}


@pytest.mark.parametrize(
    ("layer", "problem"),
    [
        (L.LayerNormalization(name="odd"), "'odd' (LayerNormalization) is of a type that pruning does not know"),
        (L.Permute((2, 1, 3), name="odd"), "'odd' (Permute) is of a type that pruning does not know"),
        (L.Reshape((4, 8, 1), name="odd"), "'odd' (Reshape) mixes its channels: it makes 1 of 2"),
        (L.Conv2D(2, 1, groups=2, name="odd"), "'odd' (Conv2D) splits its channels in 2 groups"),
        (L.DepthwiseConv2D(1, depth_multiplier=2, name="odd"), "'odd' (DepthwiseConv2D) has a depth multiplier of 2"),
        (L.BatchNormalization(axis=1, name="odd"), "'odd' (BatchNormalization) works along axis 1"),
        (L.MaxPooling2D(data_format="channels_first", name="odd"), "'odd' (MaxPooling2D) has its channels first"),
        (keras.Sequential([L.LayerNormalization(name="own")], name="odd"), "'odd/own' (LayerNormalization) is of"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, L.Layer) else "",
)
def test_a_layer_that_cannot_be_followed_is_named_and_can_be_excluded(layer, problem):
    model = net(lambda x: layer(conv([1, 0.1], "b")(conv([1, 0.1], "a")(x))))
    with pytest.raises(UserError, match=re.escape(problem) + ".*exclude it with `-el odd"):
        prune_model(model, HALF)
    pruned = prune_model(model, PruneSpec(pruning_threshold=0.5, excluded_layers=("odd",), **FINE))
    assert pruned.kept["a"] == (1, 2)
    assert pruned.kept["b"] == (2, 2)
    for found, weight in zip(
        pruned.model.get_layer("odd").get_weights(), model.get_layer("odd").get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, weight)


def test_an_excluded_name_that_the_model_does_not_have_is_told():
    with pytest.raises(UserError, match=r"no layer 'conv_b'; did you mean 'conv_a'\?"):
        prune_model(net(conv([1, 1], "conv_a")), PruneSpec(excluded_layers=("conv_b",)))


def test_weights_that_are_no_numbers_are_told():
    model = net(conv([1, 1], "a"))
    model.get_layer("a").set_weights([np.full((1, 1, 2, 2), np.nan), np.zeros(2)])
    with pytest.raises(UserError, match="layer 'a' has weights that are infinite or no numbers"):
        prune_model(model, HALF)


def test_a_model_without_a_graph_is_told():
    class Loose(keras.Model):
        pass

    with pytest.raises(UserError, match="model 'loose' has no graph of layers"):
        prune_model(Loose(name="loose"), HALF)
