"""Operations: what layers come to in a graph that tf2onnx writes."""

import keras
import numpy as np
import pytest
from support.networks import pictures

from bodyposenet.common.deploy.export.onnx_operations import in_onnx_operations

L = keras.layers


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
