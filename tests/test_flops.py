"""FLOPs: counted by hand, and against TAO's networks."""

import keras
import pytest

from bodyposenet.common.model.bpnet import build_model
from bodyposenet.common.model.flops import flops
from bodyposenet.common.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.network import ModelSpec

L = keras.layers
SIZES = ((256, 256), (224, 320), (288, 384), (320, 448), (368, 368))


def chain(*layers, shape=(None, None, 3)):
    return keras.Sequential([keras.Input(shape), *layers])


@pytest.mark.parametrize(
    ("layers", "macs"),
    [
        ([L.Conv2D(5, 3, padding="same")], 10 * 14 * 3 * 3 * 3 * 5),
        ([L.Conv2D(5, 3)], 8 * 12 * 3 * 3 * 3 * 5),
        ([L.Conv2D(5, (1, 3), strides=2, padding="same", use_bias=False)], 5 * 7 * 3 * 3 * 5),
        ([L.Conv2D(6, 3, padding="same", groups=3)], 10 * 14 * 9 * 1 * 6),
        ([L.Conv2D(2, 1), L.BatchNormalization(), L.ReLU(), L.UpSampling2D()], 10 * 14 * 3 * 2),
        ([L.DepthwiseConv2D(3, depth_multiplier=2, padding="same")], 10 * 14 * 9 * 3 * 2),
        ([L.Conv2DTranspose(4, 2, strides=2)], 10 * 14 * 4 * 3 * 4),
        ([L.MaxPooling2D(2), L.Conv2D(2, 1), L.Dense(7)], 5 * 7 * (3 * 2 + 2 * 7)),
        ([L.GlobalAveragePooling2D(), L.Dense(7)], 3 * 7),
        ([chain(L.Conv2D(5, 3, padding="same")), L.Conv2D(2, 1)], 10 * 14 * (27 * 5 + 5 * 2)),
    ],
)
def test_each_layer_costs_what_its_shapes_say(layers, macs):
    assert flops(chain(*layers), (10, 14)) == 2 * macs


def test_a_layer_called_twice_costs_twice():
    image = keras.Input((None, None, 3))
    conv = L.Conv2D(3, 1)
    small = L.AveragePooling2D(2)(image)
    model = keras.Model(image, L.Concatenate()([conv(small), L.MaxPooling2D(2)(conv(image))]))
    assert flops(model, (4, 6)) == 2 * 9 * (2 * 3 + 4 * 6)


def multiply_adds_by_hand(stages, height, width):
    """Of BpNetLite with the VGG backbone at full width."""
    total, channels, stride = 0, 3, 1
    for block, filters in enumerate(((64, 64), (128, 128), (256,) * 4, (512, 512, 256))):
        stride = 2**block
        for made in filters:
            total += height * width // stride**2 * 9 * channels * made
            channels = made
    first = 9 * 256 * 128 + 3 * 9 * 128 * 128 + 2 * 128 * 512 + 512 * (19 + 38)
    later = 49 * (128 + 19 + 38) * 128 + 4 * 49 * 128 * 128 + 2 * 128 * 128 + 128 * (19 + 38)
    return total + height * width // stride**2 * (first + (stages - 1) * later)


@pytest.mark.parametrize(
    ("stages", "gmacs"),
    [
        (1, (20.36, 22.27, 34.36, 44.54, 42.07)),
        (2, (24.88, 27.21, 41.98, 54.42, 51.41)),
        (3, (29.395, 32.15, 49.60, 64.30, 60.74)),  # 29.3947, which is also quoted as 29.40
    ],
)
def test_bodyposenet_costs_what_was_counted_of_tao_s(stages, gmacs):
    model = build_model(ModelSpec(stages=stages), BODYPOSENET_18)
    counts = [flops(model, size) for size in SIZES]
    assert counts == [2 * multiply_adds_by_hand(stages, *size) for size in SIZES]
    assert [count / 2e9 for count in counts] == pytest.approx(gmacs, abs=0.0051)
