"""Backbones: sizes of TAO's and of the papers' networks, what a cell sees, and that all of it can be trained."""

import keras
import numpy as np
import pytest
from support.networks import BACKBONES, KINDS, SHORT, STICK, convolutions, network, pictures, run, trained

from bodyposenet.common.model.network.backbones import backbone
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.network.dtype_policy import convert_policy
from bodyposenet.common.model.network.layers import Style
from bodyposenet.common.model.network.losses import pose_loss
from bodyposenet.common.model.network.widen import widen
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.network import ModelSpec
from bodyposenet.common.spec.train import Loss

HELNET_18 = {"architecture": "helnet", "nlayers": 18, "mtype": "s8_3rdblock", "use_batch_norm": False, "use_bias": True}
HELNET_10 = HELNET_18 | {"nlayers": 10}


def alone(width=1.0, **attributes):
    """A backbone without the stages."""
    spec = parse_spec({"backbone_attributes": attributes | {"width_multiplier": width}}, ModelSpec)
    image = keras.Input((None, None, 3))
    return keras.Model(image, backbone(image, spec.backbone_attributes, Style.read(spec)))


@pytest.mark.parametrize(
    ("kind", "stages", "attributes", "convs", "parameters"),
    [
        ("BpNetLiteModel", 3, {}, 37, 16_777_835),
        ("BpNetLiteModel", 3, HELNET_18, 39, 12_463_531),
        ("BpNetModel", 3, {}, 50, 25_965_035),
        ("BpNetModel", 6, {}, 92, 52_319_510),
        ("BpNetModel", 6, HELNET_10, 88, 46_456_022),
    ],
)
def test_networks_have_as_many_convolutions_and_parameters_as_tao_s(kind, stages, attributes, convs, parameters):
    spec = parse_spec({"__class_name__": kind, "stages": stages, "backbone_attributes": attributes}, ModelSpec)
    model = build_model(spec, BODYPOSENET_18)
    assert (len(convolutions(model)), model.count_params()) == (convs, parameters)


def test_self_attention_adds_four_convolutions_in_three_stages():
    model = network(BODYPOSENET_18, width=1.0, stages=3, use_self_attention=True)
    assert (len(convolutions(model)), model.count_params()) == (41, 17_368_171)


@pytest.mark.parametrize(("layers", "parameters"), [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032)])
def test_a_resnet_has_the_parameters_of_the_paper_s_without_its_classifier(layers, parameters):
    model = alone(architecture="resnet", nlayers=layers)
    assert sum(int(np.prod(weight.shape)) for weight in model.trainable_weights) == parameters
    assert len(convolutions(model)) == layers - 1 + (3 if layers < 50 else 4)  # and the shortcuts that change channels


def test_a_mobilenet_is_keras_s_up_to_its_96_channels():
    whole = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(64, 64, 3))
    theirs = keras.Model(whole.input, whole.get_layer("block_12_add").output)
    ours = alone(architecture="mobilenet_v2")
    shapes = [sorted(tuple(weight.shape) for weight in model.weights) for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    adds = [sum(isinstance(layer, keras.layers.Add) for layer in model.layers) for model in (ours, theirs)]
    assert adds[0] == adds[1] == 8


def averaging(layer):
    """The layer itself, or the mean in place of a maximum, whose gradient knows one pixel only."""
    kind = keras.layers.AveragePooling2D if isinstance(layer, keras.layers.MaxPooling2D) else type(layer)
    return kind.from_config(layer.get_config())


@pytest.mark.parametrize(
    ("attributes", "pixels"),
    [
        ({"architecture": "resnet", "nlayers": 18}, 435),  # 7 + 4 + 32 + (8 + 48) + (16 + 96) + (32 + 192)
        ({"architecture": "resnet", "nlayers": 50}, 427),  # 7 + 4 + 24 + (8 + 48) + (16 + 160) + (32 + 128)
        ({"architecture": "mobilenet_v2"}, 267),  # 3 + 4 + (4 + 8) + (8 + 32) + (16 + 96) + (32 + 64)
        ({"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock"}, 35),  # 7 + 4 + 8 + 16
        ({"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock_wdilation"}, 51),  # 7 + 4 + 8 + 32
        ({"architecture": "helnet", "nlayers": 6, "mtype": "s8_1stlayer"}, 21),  # 7 + 2 + 4 + 8
        ({"architecture": "helnet", "nlayers": 6, "mtype": "s8_1stlayer_wdilation"}, 27),  # 13 + 2 + 4 + 8
    ],
    ids=lambda value: "_".join(map(str, value.values())) if isinstance(value, dict) else None,
)
def test_a_cell_sees_as_many_pixels_as_at_the_usual_strides(attributes, pixels):
    import tensorflow as tf

    model = keras.models.clone_model(alone(1 / 16, **attributes), clone_function=averaging)
    for layer in convolutions(model, depthwise=True).values():
        layer.set_weights(
            [np.full(weight.shape, 1 / np.prod(weight.shape[:2]), np.float32) for weight in layer.weights]
        )
    image = tf.ones((1, 512, 512, 3))
    with tf.GradientTape() as tape:
        tape.watch(image)
        features = model(image, training=False)
        centre = tf.reduce_sum(features[0, 32, 32])
    assert features.shape[1:3] == (64, 64)
    seen = tape.gradient(centre, image).numpy()[0].any(axis=-1)
    assert (seen.any(axis=0).sum(), seen.any(axis=1).sum()) == (pixels, pixels)


@pytest.mark.parametrize("kind", ["helnet", "resnet18", "mobilenet_v2", "towers"])
def test_every_weight_of_every_kind_learns(kind):
    import tensorflow as tf

    model = trained(kind, seed=1)

    @tf.function
    def gradients(images, heatmaps, pafs, mask):
        with tf.GradientTape() as tape:
            total = pose_loss(model(images, training=True), heatmaps, pafs, mask, Loss()).total
        return tape.gradient(total, model.trainable_variables)

    random = np.random.default_rng(1)
    maps = [random.random((2, 8, 8, channels)).astype(np.float32) for channels in (3, 2, 1)]
    found = gradients(pictures(2), *maps)
    assert [tuple(y.shape) for y in model(pictures(2))] == [(2, 8, 8, 3)] * 2 + [(2, 8, 8, 2)] * 2
    for variable, gradient in zip(model.trainable_variables, found, strict=True):
        assert np.isfinite(gradient).all(), variable.path
        assert np.abs(gradient).max() > 0, variable.path


@pytest.mark.parametrize("kind", ["resnet18", "mobilenet_v2"])
def test_a_network_can_be_widened_without_changing_what_it_draws(kind):
    narrow = trained(kind)
    wide = network(**SHORT, **{"width": 0.14} | KINDS[kind])
    assert wide.count_params() > 1.5 * narrow.count_params()
    widen(narrow, wide)
    for found, expected in zip(run(wide, pictures()), run(narrow, pictures()), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", list(BACKBONES))
def test_training_a_pruned_graph_drops_every_penalty(name):
    attributes = BACKBONES[name] | {"use_bias": True}
    model = network(stages=1, kernel_regularization_factor=0.1, backbone_attributes=attributes)
    assert len(model.losses) == sum(1 + layer.use_bias for layer in convolutions(model, depthwise=True).values())
    assert convert_policy(model, "float32", regularized=False).losses == []


def test_names_of_towers_are_tao_s_with_underscores():
    model = network(STICK, stages=3, __class_name__="BpNetModel")
    names = []
    for kind in ("paf", "heat"):
        names += [f"stage1_{kind}_branch_conv{n}" for n in range(1, 5)]
        names += [f"stage{t}_{kind}_branch_conv{n}" for t in (2, 3) for n in range(1, 7)]
        names += [f"stage{t}_{kind}_branch_out" for t in (1, 2)]
    names += ["paf_out", "heatmap_out"]
    found = {name for name in convolutions(model) if not name.startswith("block")} - {"channel_reduction_conv"}
    assert found == set(names)
    assert model.output_names[-1] == "paf_out"
