"""Operations: what a network of any kind comes to in ONNX."""

import keras
import numpy as np
import onnx
import pytest
from support.networks import STICK, convolutions, pictures, run, trained

from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
from bodyposenet.common.deploy.export.onnx_operations import in_onnx_operations
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.skeleton.card import Card

CARD = Card(skeleton=STICK, input_size=(64, 64))
L = keras.layers
PLAIN = {"Transpose", "Conv", "Relu", "Concat"}
MORE = {
    "helnet": set(),
    "resnet18": {"Add", "MaxPool"},
    "mobilenet_v2": {"Add"},
    "towers": {"Mul", "Tanh", "Sigmoid"},
}


@pytest.fixture(scope="module", params=list(MORE))
def exported(request, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp(request.param), trained(request.param)
    save_model(model, folder / "model.keras", CARD)
    return request.param, model, export_onnx(folder / "model.keras", folder / "model.onnx")


def test_onnx_draws_what_keras_draws(exported):
    _, model, export = exported
    assert export.max_relative_error < 1e-5
    images = pictures(2, (72, 40), seed=3)
    outputs = run(model, images)
    for found, expected in zip(open_runner(export.path)(images), (outputs[1], outputs[3]), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_every_convolution_is_one_node_and_normalization_none(exported):
    kind, model, export = exported
    nodes = onnx.load(export.path).graph.node
    assert {node.op_type for node in nodes} == PLAIN | MORE[kind]
    reached = convolutions(model, depthwise=True)
    convs = [node for node in nodes if node.op_type == "Conv"]
    assert len(convs) == len(reached)
    rates = sorted(attribute.ints[0] for node in convs for attribute in node.attribute if attribute.name == "dilations")
    assert rates == sorted(layer.dilation_rate[0] for layer in reached.values())


@pytest.mark.parametrize(
    "layer",
    [
        L.Conv2D(4, 3, padding="same", dilation_rate=2, activation="tanh", bias_initializer="random_normal"),
        L.Conv2D(4, (3, 5), padding="valid", dilation_rate=(2, 1), use_bias=False),
        L.Conv2D(4, 2, padding="same", dilation_rate=3),
        L.DepthwiseConv2D(3, padding="same", dilation_rate=2, bias_initializer="random_normal"),
        L.DepthwiseConv2D(3, padding="same", use_bias=False),
        L.DepthwiseConv2D(3, padding="valid", activation="relu"),
    ],
    ids=lambda layer: f"{type(layer).__name__}-{layer.padding}-{layer.dilation_rate}-{layer.activation.__name__}",
)
@pytest.mark.parametrize("shift", [True, False])
def test_layers_of_other_networks_come_to_the_same(layer, shift):
    import tf2onnx
    from onnxruntime import InferenceSession

    image = keras.Input((None, None, 3), name="image")
    layer = type(layer).from_config(layer.get_config())
    norm = L.BatchNormalization(center=shift, scale=shift)
    model = keras.Model(image, norm(layer(image)))
    random = np.random.default_rng(0)
    norm.set_weights([random.uniform(0.5, 1.5, weight.shape) for weight in norm.weights])
    again, names = in_onnx_operations(model), [weight.name for weight in norm.weights]
    assert ("gamma" in names, "beta" in names) == (shift, shift)

    import tensorflow as tf

    signature = [tf.TensorSpec((None, None, None, 3), tf.float32, name="image")]
    traced = tf.function(lambda x: again(x, training=False), input_signature=signature)
    proto, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=17)
    session = InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = random.normal(size=(2, 12, 9, 3)).astype(np.float32)
    (found,) = session.run(None, {"image": pixels})
    np.testing.assert_allclose(found, np.asarray(model(pixels, training=False)), atol=1e-5)


def test_a_depthwise_convolution_that_others_read_keeps_its_normalization_apart():
    image = keras.Input((8, 8, 3))
    deep = L.DepthwiseConv2D(3, padding="same", name="deep")(image)
    norm = L.BatchNormalization(name="norm")
    model = keras.Model(image, L.Add()([norm(deep), deep]))
    norm.set_weights([np.full(3, value) for value in (0.5, 0.25, 0.1, 2.0)])
    again = in_onnx_operations(model)
    assert isinstance(again.get_layer("norm"), L.BatchNormalization)
    pixels = pictures(1, (8, 8))
    np.testing.assert_allclose(np.asarray(again(pixels)), np.asarray(model(pixels)), atol=1e-6)
