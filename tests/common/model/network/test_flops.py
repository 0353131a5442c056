"""FLOPs: counted by hand, and against TAO's networks."""

import keras
import pytest

from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.flops import flops
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
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


def resnet_18_by_hand(cells):
    """Multiply-adds of the backbone for a picture of ``64 * cells`` pixels, from table 1 of the paper at stride 8."""
    total = 16 * cells * 49 * 3 * 64  # a quarter of the pixels
    total += 4 * cells * 4 * 9 * 64 * 64
    before = 64
    for made in (128, 256, 512):
        total += cells * (9 * before * made + 3 * 9 * made * made + before * made)
        before = made
    return total


def mobilenet_by_hand(cells):
    """The same of MobileNetV2, from table 2 of its paper, up to 96 channels: (t, c, n), cells read and made by each."""
    total, before = 16 * cells * 9 * 3 * 32, 32
    for expansion, made, blocks, read in ((1, 16, 1, 16), (6, 24, 2, 16), (6, 32, 3, 4), (6, 64, 4, 1), (6, 96, 3, 1)):
        for block in range(blocks):
            wide, halves = expansion * before, block == 0 and made in (24, 32)
            grid = read if block == 0 else {24: 4, 32: 1}.get(made, read)
            after = grid // 4 if halves else grid
            total += cells * (grid * before * wide * (expansion > 1) + after * (9 * wide + wide * made))
            before = made
    return total


def stages_by_hand(cells, features, towers):
    """Of the reduction and two stages; each kind of map has its own tower, or they share one."""
    first = 3 * 9 * 128 * 128 * towers + 2 * 128 * 512 + 512 * (19 + 38)
    later = (49 * (128 + 19 + 38) * 128 + 4 * 49 * 128 * 128) * towers + 2 * 128 * 128 + 128 * (19 + 38)
    return cells * (9 * features * 128 + first + later)


@pytest.mark.parametrize(
    ("attributes", "by_hand", "features"),
    [
        ({"architecture": "resnet", "nlayers": 18}, resnet_18_by_hand, 512),
        ({"architecture": "mobilenet_v2"}, mobilenet_by_hand, 96),
    ],
)
@pytest.mark.parametrize("kind", ["BpNetLiteModel", "BpNetModel"])
def test_other_backbones_and_towers_cost_what_their_papers_say(attributes, by_hand, features, kind):
    spec = parse_spec({"__class_name__": kind, "stages": 2, "backbone_attributes": attributes}, ModelSpec)
    model = build_model(spec, BODYPOSENET_18)
    for size in ((256, 256), (224, 320)):
        cells = size[0] * size[1] // 64
        wanted = by_hand(cells) + stages_by_hand(cells, features, 2 if kind == "BpNetModel" else 1)
        assert flops(model, size) == 2 * wanted
