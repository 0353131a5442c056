"""Network graphs: what is written node by node draws what Keras draws."""

import keras
import numpy as np
import onnx
import pytest
from onnxruntime import InferenceSession
from support.networks import KINDS, convolutions, pictures, run, trained
from support.pose_net import CARD, pose_net
from support.pose_net import pictures as discs

from bodyposenet.common.deploy.export.fp16 import half
from bodyposenet.common.deploy.export.interface import for_nvidia_sdk, taking_pixels
from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.export.network_graph import write_network
from bodyposenet.common.deploy.export.node_list import UnknownLayerError
from bodyposenet.common.deploy.export.peak_search import with_peaks
from bodyposenet.common.deploy.onnx_file import INPUT, OUTPUTS
from bodyposenet.common.deploy.quantization.quantize import not_negative, quantize_int8
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files.model_file import save_model

L = keras.layers
PLAIN = {"Conv", "Relu", "Concat"}
MORE = {
    "resnet18": {"Add", "MaxPool"},
    "resnet50": {"Add", "MaxPool"},
    "plain": {"Add", "MaxPool"},
    "mobilenet_v2": {"Add"},
    "towers": {"Mul", "Tanh", "Sigmoid"},
    "lightweight": {"Add", "Elu"},
}
OPSETS = range(13, 22)
NORMAL = {"bias_initializer": "random_normal"}


def opened(exported):
    """What draws the maps of a graph that ONNX' checker finds right."""
    onnx.checker.check_model(exported, full_check=True)
    session = InferenceSession(exported.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda images: session.run(list(OUTPUTS), {INPUT: images})


def kinds(exported):
    return [node.op_type for node in exported.graph.node if node.op_type != "Transpose"]


def tells_by_size(exported):
    """Whether there are borders that the size of a picture decides, which OpenCV 5.0 reads wrongly."""
    return any(each.name == "auto_pad" for node in exported.graph.node for each in node.attribute)


def assert_draws(exported, network, sizes, seed=0):
    """Whether ONNX Runtime's maps are those of Keras, to 1e-4 of their range."""
    draw = opened(exported)
    for number, size in enumerate(sizes):
        images = pictures(1 + number % 2, size, seed + number)
        for found, expected in zip(draw(images), run(network, images), strict=True):
            assert np.abs(found - expected).max() <= 1e-4 * np.ptp(expected), size


def end_of(model):
    """The last stage's heatmaps and fields."""
    stages = len(model.outputs) // 2
    return keras.Model(model.inputs[0], [model.outputs[stages - 1], model.outputs[-1]])


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_network_draws_what_keras_draws_at_any_size_in_a_node_for_each_convolution(kind):
    network = end_of(trained(kind))
    exported = write_network(network, 17, CARD.stride)
    assert not tells_by_size(exported)
    assert set(kinds(exported)) == PLAIN | MORE.get(kind, set())
    reached = convolutions(network, depthwise=True).values()
    convs = [node for node in exported.graph.node if node.op_type == "Conv"]
    rates = [each.ints[0] for node in convs for each in node.attribute if each.name == "dilations"]
    assert sorted(rates) == sorted(layer.dilation_rate[0] for layer in reached)
    sizes = 8 * np.random.default_rng(len(kind)).integers(2, 9, (4, 2))
    assert_draws(exported, network, [tuple(map(int, size)) for size in sizes])


def two(layer, *, before=()):
    """A network that draws what a layer makes of features, and the features, which are negative, too."""
    picture = keras.Input((None, None, 3), name=INPUT)
    features = L.Conv2D(6, 3, padding="same", name="features", **NORMAL)(picture)
    for each in before:
        features = each(features)
    return keras.Model(picture, [layer(features), features])


def shake(network, seed=0):
    random = np.random.default_rng(seed)
    for layer in network.layers:
        layer.set_weights([random.uniform(0.2, 1.5, weight.shape) for weight in layer.weights])
    return network


LAYERS = [
    *(
        L.Conv2D(4, size, strides=stride, padding=padding)
        for size, stride in ((1, 2), (2, 1), (3, 2), ((5, 2), (3, 2)), (7, 4))
        for padding in ("same", "valid")
    ),
    *(L.Conv2D(4, (3, 2), padding=padding, dilation_rate=(2, 3)) for padding in ("same", "valid")),
    L.Conv2D(4, 3, activation="relu", use_bias=False),
    L.DepthwiseConv2D(3, padding="same", depth_multiplier=2, activation="relu6"),
    L.DepthwiseConv2D(3, strides=2, padding="same"),
    L.DepthwiseConv2D((2, 3), padding="valid", dilation_rate=2, use_bias=False),
    *(
        L.Conv2DTranspose(5, size, strides=stride, padding=padding)
        for size, stride in ((4, 2), (3, 2), (2, 2), (2, 3), (3, 1), ((5, 2), (2, 4)))
        for padding in ("same", "valid")
    ),
    *(kind(size, strides=stride, padding=padding)
      for kind in (L.MaxPooling2D, L.AveragePooling2D)
      for size, stride in ((1, 2), (2, 2), (3, 2), (3, 1), (2, 1))
      for padding in ("same", "valid")),
    *(L.UpSampling2D((2, 3), interpolation=way) for way in ("nearest", "bilinear")),
    L.ZeroPadding2D(((1, 2), (0, 3))),
    *(L.Activation(name) for name in ("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "sigmoid", "tanh",
                                      "softplus", "softsign")),
    L.ReLU(), L.ReLU(max_value=0.5), L.ReLU(negative_slope=0.3), L.LeakyReLU(0.1), L.ELU(0.7),
    L.PReLU(shared_axes=[1, 2]), L.BatchNormalization(), L.BatchNormalization(scale=False, center=False),
    L.Rescaling(0.5, 2.0), L.Rescaling([1, 2, 3, 4, 5, 6]),
    L.Normalization(mean=[1, 2, 3, 4, 5, 6], variance=[2, 2, 1, 1, 3, 0]), L.Normalization(mean=0.3, variance=4.0),
    L.Dropout(0.5), L.SpatialDropout2D(0.5), L.GaussianNoise(0.1), L.Identity(),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_every_layer_draws_what_keras_draws_at_odd_sizes(layer):
    network = two(layer)
    if not isinstance(layer, L.Normalization):
        random = np.random.default_rng(0)
        layer.set_weights([random.uniform(0.2, 1.5, weight.shape) for weight in layer.weights])
    assert_draws(write_network(network, 17), network, [(11, 13), (16, 15)])
    divided = write_network(network, 17, 12)
    assert not tells_by_size(divided)
    assert_draws(divided, network, [(12, 36), (24, 12)])


def test_borders_depend_on_the_size_where_strides_do_not_divide_what_comes_to_them():
    halved, quartered = L.Conv2D(4, 3, strides=2, padding="same"), L.MaxPooling2D(4, 4, padding="same")
    network = two(quartered, before=[halved])  # multiples of 4, halved, are none of 4
    assert [tells_by_size(write_network(network, 17, stride)) for stride in (4, 8, 6, 1)] == [True, False, True, True]
    assert_draws(write_network(network, 17, 4), network, [(12, 20), (28, 4)])
    cut = two(halved, before=[L.Conv2D(6, 3)])  # rows that are no multiple of anything
    assert tells_by_size(write_network(cut, 17, 8))
    assert_draws(write_network(cut, 17, 8), cut, [(16, 24)])


def test_a_network_that_needs_larger_multiples_than_it_says_is_written_all_the_same():
    picture = keras.Input((None, None, 3), name=INPUT)
    small = L.UpSampling2D(4)(L.Conv2D(3, 3, strides=4, padding="same")(picture))
    network = keras.Model(picture, [L.Concatenate()([small, picture]), L.Conv2D(3, 1)(picture)])
    exported = write_network(network, 17, 2)
    assert tells_by_size(exported)
    assert_draws(exported, network, [(8, 12)])


@pytest.mark.parametrize("kind", [L.Add, L.Subtract, L.Multiply, L.Maximum, L.Minimum, L.Concatenate])
def test_layers_of_several_inputs_read_them_in_their_order(kind):
    picture = keras.Input((None, None, 3), name=INPUT)
    parts = [L.Conv2D(4, 3, padding="same")(picture) for _ in range(2 if kind is L.Subtract else 3)]
    network = keras.Model(picture, [kind()(parts), parts[0]])
    assert_draws(write_network(network, 17), network, [(9, 7)])


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
def test_concatenations_along_any_axis_are_written(axis):
    network = two(L.ReLU())
    joined = keras.Model(network.inputs[0], [L.Concatenate(axis=axis)(network.outputs), network.outputs[1]])
    assert_draws(write_network(joined, 17), joined, [(9, 7)])


@pytest.mark.parametrize(
    "make",
    [
        lambda: L.Conv2D(4, 3),
        lambda: L.DepthwiseConv2D(3, use_bias=False, depth_multiplier=2),
        lambda: L.Conv2DTranspose(4, 3, strides=2),
    ],
    ids=["Conv2D", "DepthwiseConv2D", "Conv2DTranspose"],
)
@pytest.mark.parametrize("options", [{}, {"scale": False, "center": False}], ids=str)
def test_normalizations_and_borders_go_into_the_convolution_between_them(make, options):
    picture = keras.Input((None, None, 3), name=INPUT)
    bordered = L.ZeroPadding2D(((1, 0), (2, 1)))(picture)
    network = keras.Model(picture, [L.BatchNormalization(**options)(make()(bordered)), L.Conv2D(2, 1)(picture)])
    exported = write_network(shake(network), 17)
    transposed = "ConvTranspose" in kinds(exported)  # which has no borders to take in
    assert kinds(exported) == [*(["Pad", "ConvTranspose"] if transposed else ["Conv"]), "Conv"]
    assert_draws(exported, network, [(9, 7)])


def test_what_others_read_too_stays_apart():
    picture = keras.Input((None, None, 3), name=INPUT)
    bordered = L.ZeroPadding2D(1)(picture)
    deep = L.DepthwiseConv2D(3)(bordered)
    active = L.Conv2D(3, 3, activation="tanh")(bordered)
    normal = [L.BatchNormalization()(each) for each in (deep, active, deep)]
    network = keras.Model(picture, [L.Add()(normal), L.Conv2D(3, 3)(bordered)])
    exported = write_network(shake(network), 17)
    assert sorted(kinds(exported)) == sorted(["Pad", *["Conv"] * 3, "Tanh", *["BatchNormalization"] * 3, "Add", "Add"])
    assert_draws(exported, network, [(9, 7)])


def test_a_layer_that_is_applied_twice_is_written_twice_under_two_names():
    picture = keras.Input((None, None, 3), name=INPUT)
    shared = L.Conv2D(3, 3, padding="same", name="shared", **NORMAL)
    network = keras.Model(picture, [shared(shared(picture)), L.Conv2D(1, 1, name="other")(picture)])
    exported = write_network(network, 17)
    assert [node.name for node in exported.graph.node if node.op_type == "Conv"] == ["shared", "shared/conv", "other"]
    assert_draws(exported, network, [(9, 7)])


def every_kind():
    """A network with all operations that are written."""
    made = [L.ZeroPadding2D(1), L.MaxPooling2D(2), L.AveragePooling2D(3, 1, padding="same"), L.UpSampling2D(2),
            L.UpSampling2D(2, interpolation="bilinear"), L.Conv2DTranspose(6, 4, strides=2, padding="same"),
            L.DepthwiseConv2D(3, padding="same"), L.BatchNormalization(), L.PReLU(shared_axes=[1, 2]), L.ELU(),
            L.LeakyReLU(), L.ReLU(6.0), L.Rescaling(2, 1), L.Normalization(mean=1, variance=2),
            *(L.Activation(name) for name in ("selu", "softsign", "softplus", "sigmoid", "tanh", "relu"))]  # fmt: skip
    picture, x = (network := two(made[0])).inputs[0], network.outputs[0]
    for layer in made[1:]:
        x = layer(x)
    pairs = [kind()([x, L.Conv2D(6, 1)(x)]) for kind in (L.Subtract, L.Multiply, L.Maximum, L.Minimum)]
    return keras.Model(picture, [L.Concatenate()(pairs), x])


def test_every_opset_is_written_checked_and_run():
    network = every_kind()
    for opset in OPSETS:
        exported = write_network(network, opset)
        assert [(each.domain, each.version) for each in exported.opset_import] == [("", opset)]
        assert_draws(exported, network, [(12, 10)])


@pytest.mark.parametrize("opset", [OPSETS[0], OPSETS[-1]])
def test_all_forms_are_made_of_any_opset(opset, tmp_path):
    save_model(pose_net(), tmp_path / "net.keras", CARD)
    path = export_onnx(tmp_path / "net.keras", tmp_path / "net.onnx", opset=opset).path
    model, images = onnx.load(path), next(discs(1))
    done = quantize_int8(path, discs(3), tmp_path / "net.onnx")
    forms = [half(model), with_peaks(model, 4), *map(onnx.load, (done.path, done.cpu_path))]
    for form in forms:
        for found, expected in zip(opened(form)(images), opened(model)(images), strict=True):
            assert np.abs(found - expected).max() <= 0.1 * np.ptp(expected)
    for form in (for_nvidia_sdk(model, 4, CARD.skeleton.num_limbs), taking_pixels(model, CARD)):
        onnx.checker.check_model(form, full_check=True)


@pytest.mark.parametrize("opset", [12, 22])
def test_other_opsets_are_refused(opset, tmp_path):
    with pytest.raises(UserError, match=rf"no opset {opset} is written; give one of 13 to 21"):
        export_onnx(tmp_path / "net.keras", tmp_path / "net.onnx", opset=opset)


def test_what_a_clip_from_zero_on_draws_is_known_not_to_be_negative():
    exported = write_network(two(L.ReLU(6.0, name="clipped")), 17)
    assert not_negative(exported.graph) == {"clipped", OUTPUTS[0]}


FOREIGN = {
    "kind": lambda: L.SeparableConv2D(4, 3, padding="same", name="odd"),
    "axes": lambda: L.PReLU(shared_axes=[1], name="odd"),
    "option": lambda: L.ReLU(max_value=1.0, negative_slope=0.1, name="odd"),
    "activation": lambda: L.Conv2D(4, 3, activation="mish", name="odd"),
}


@pytest.mark.parametrize("why", FOREIGN)
def test_a_layer_or_an_option_of_another_kind_is_told_by_its_name(why):
    picture = keras.Input((8, 8, 3), name=INPUT)
    with pytest.raises(UnknownLayerError, match=r"^odd \(\w+\)$"):
        write_network(keras.Model(picture, [FOREIGN[why]()(picture), L.ReLU()(picture)]), 17)


def test_a_network_with_such_a_layer_goes_through_tf2onnx_as_a_line_says(tmp_path, caplog):
    skeleton = CARD.skeleton
    picture = keras.Input((None, None, 3), name=INPUT)
    x = L.Conv2D(4, 9, strides=8, padding="same", name="first", **NORMAL)(picture)
    x = L.SeparableConv2D(6, 3, padding="same", name="odd", **NORMAL)(x)
    counts = (skeleton.num_joints + 1, 2 * skeleton.num_limbs)
    maps = [L.Conv2D(count, 1, name=name)(x) for count, name in zip(counts, OUTPUTS, strict=True)]
    model = keras.Model(picture, maps)
    save_model(model, tmp_path / "odd.keras", CARD)
    done = export_onnx(tmp_path / "odd.keras", tmp_path / "odd.onnx")
    again = export_onnx(tmp_path / "odd.keras", tmp_path / "again.onnx")
    assert again.path.read_bytes() == done.path.read_bytes()
    (line, _) = [each.getMessage() for each in caplog.records if "tf2onnx" in each.getMessage()]
    assert line.startswith("odd (SeparableConv2D) is no layer that is written here")
    for found, expected in zip(open_runner(done.path)(pictures()), run(model, pictures()), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))
    with pytest.raises(UserError, match="tf2onnx, which this network needs, writes no opset 21"):
        export_onnx(tmp_path / "odd.keras", tmp_path / "newer.onnx", opset=21)
