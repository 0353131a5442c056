"""Model keys: each changes what it says in the network that is built, and nothing else."""

import keras
import numpy as np
import pytest
from support.networks import STICK, convolutions, network

L = keras.layers
GLOROT, HE, NORMAL = "glorot", "he", "normal"
STAGES = {"stages": 2, "stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3, 5]}
START = {
    "vgg": {},
    "helnet": {"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock"},
    "resnet": {"architecture": "resnet", "nlayers": 18},
    "mobilenet_v2": {"architecture": "mobilenet_v2"},
}
FIRST = {"vgg": "block_1a_conv_1", "helnet": "stem_conv_1", "resnet": "stem_conv_1", "mobilenet_v2": "stem_conv_1"}


def built(architecture, backbone=None, model=None):
    attributes = START[architecture] | (backbone or {})
    return network(STICK, **(STAGES | (model or {})), backbone_attributes=attributes)


def in_backbone(layer):
    return layer.name.startswith(("block_", "stem"))


def penalty(layers, which):
    """The l1 and l2 factors of a kind of weight, of all layers."""
    found = set()
    for layer in layers:
        names = [which, which.replace("kernel", "depthwise")]
        given = next((value for name in names if (value := getattr(layer, name, None)) is not None), None)
        config = given.get_config() if given else {}
        found.add((round(config.get("l1") or 0, 6), round(config.get("l2") or 0, 6)))
    return found


def start(layer):
    """Which rule a layer's weights were drawn by, from their spread."""
    rows, cols, read, made = layer.kernel.shape
    return rule(np.asarray(layer.kernel), rows * cols * read, rows * cols * made)


def rule(kernel, fan_in, fan_out):
    spreads = {NORMAL: 0.01, GLOROT: np.sqrt(2 / (fan_in + fan_out)), HE: np.sqrt(2 / fan_in)}
    return min(spreads, key=lambda name: abs(np.log(kernel.std() / spreads[name])))


def facts(model, first):
    """All that a key is documented to change."""
    everything = list(convolutions(model, depthwise=True).values())
    backbone = [layer for layer in everything if in_backbone(layer)]
    heads = [layer for layer in everything if not in_backbone(layer)]
    norms = [layer for layer in model.layers if isinstance(layer, L.BatchNormalization)]
    named = {layer.name: layer for layer in everything}
    deep = [np.ravel(layer.kernel) for layer in backbone if isinstance(layer, L.DepthwiseConv2D)]
    return {
        "depth": len(backbone),
        "dilations": sorted({layer.dilation_rate[0] for layer in backbone}),
        "strides": [layer.strides[0] for layer in backbone if layer.strides[0] > 1],
        "backbone biases": {layer.use_bias for layer in backbone},
        "normalized": len(norms) == len(backbone) or (len(norms), len(backbone)),
        "momentum": {layer.momentum for layer in norms},
        "widths": sorted({layer.filters for layer in heads if not layer.name.endswith("out")}),
        "first": named[first].filters,
        "stages": len(model.outputs) // 2,
        "towers": "stage1_paf_branch_conv1" in named,
        "first stage": [layer.kernel_size[0] for layer in heads if layer.name.startswith("stage1_conv")],
        "later stages": [layer.kernel_size[0] for layer in heads if layer.name.startswith("stage2_conv")],
        "gates": sum("attention_conv" in name for name in named),
        "head biases": {layer.use_bias for layer in heads},
        "kernel penalty": penalty(everything, "kernel_regularizer"),
        "bias penalty": penalty([layer for layer in everything if layer.use_bias], "bias_regularizer"),
        "head start": {start(layer) for layer in heads if layer.name.startswith("stage2_conv")},
        "backbone start": {start(named[first])} | ({rule(np.concatenate(deep), 9, 9)} if deep else set()),
    }


TOWERS = {"towers": True, "first stage": [], "later stages": [], "head start": set()}
WEAK = {"regularization_type": "l2", "kernel_regularization_factor": 0.25, "bias_regularization_factor": 0.125}
BACKBONE_KEYS = [
    ({"use_bias": True}, {"backbone biases": {True}}),
    ({"bn_momentum": 0.0}, {"momentum": {0.0}}),
]
MODEL_KEYS = [
    ({"use_bias": False}, {"head biases": {False}, "bias penalty": set()}),
    ({"kernel_regularization_factor": 0.25}, {"kernel penalty": {(0.25, 0)}}),
    ({"bias_regularization_factor": 0.25}, {"bias penalty": {(0.25, 0)}}),
    (WEAK, {"kernel penalty": {(0, 0.25)}, "bias penalty": {(0, 0.125)}}),
    (
        WEAK | {"regularization_type": "l1_l2"},
        {"kernel penalty": {(0.25, 0.25)}, "bias penalty": {(0.125, 0.125)}},
    ),
    ({"kernel_initializer": "xavier"}, {"head start": {GLOROT}}),
    ({"kernel_initializer": "he_normal"}, {"head start": {HE}, "backbone start": {HE}}),
]
ROWS = [
    *[(name, {"backbone": change}, said) for name in START for change, said in BACKBONE_KEYS],
    *[("vgg", {"model": change}, said) for change, said in MODEL_KEYS],
    *[(name, {"model": change}, said) for name in START if name != "vgg" for change, said in MODEL_KEYS[-2:]],
    *[
        (name, {"backbone": {"width_multiplier": 0.5}}, {"widths": [64, 256], "first": first})
        for name, first in (("vgg", 32), ("helnet", 32), ("resnet", 32), ("mobilenet_v2", 16))
    ],
    *[
        (name, {"backbone": {"use_batch_norm": False}}, {"normalized": (0, depth), "momentum": set()})
        for name, depth in (("vgg", 11), ("helnet", 4), ("resnet", 20), ("mobilenet_v2", 39))
    ],
    ("vgg", {"backbone": {"mtype": "s8_1stlayer"}}, {}),
    ("vgg", {"backbone": {"use_batch_norm": True}}, {}),
    ("vgg", {"backbone": {"add_final_c128_conv": True}}, {}),
    ("vgg", {"backbone": {"nlayers": 19}}, {}),
    ("vgg", {"backbone": {"bn_momentum": 0.5}}, {"momentum": {0.5}}),
    ("helnet", {"backbone": {"nlayers": 18}}, {"depth": 13}),
    ("resnet", {"backbone": {"nlayers": 50}}, {"depth": 53}),
    ("helnet", {"backbone": {"mtype": "s8_3rdblock_wdilation"}}, {"dilations": [1, 2]}),
    ("helnet", {"backbone": {"mtype": "s8_1stlayer_wdilation"}}, {"dilations": [1, 2]}),
    ("vgg", {"model": {"data_format": "channels_first"}}, {}),
    ("vgg", {"model": {"__class_name__": "BpNetModel"}}, TOWERS),
    ("vgg", {"model": {"stages": 1}}, {"stages": 1, "later stages": [], "head start": set()}),
    ("vgg", {"model": {"stages": 5}}, {"stages": 5}),
    ("vgg", {"model": {"stage1_kernel_sizes": [5, 1]}}, {"first stage": [5, 1]}),
    ("vgg", {"model": {"stageT_kernel_sizes": [7]}}, {"later stages": [7]}),
    ("vgg", {"model": {"use_self_attention": True}}, {"gates": 2}),
    ("vgg", {"model": {"use_self_attention": True, "stages": 3}}, {"gates": 4, "stages": 3}),
]


@pytest.fixture(scope="module")
def before():
    return {name: facts(built(name), FIRST[name]) for name in START}


@pytest.mark.parametrize(("architecture", "change", "said"), ROWS, ids=str)
def test_a_key_changes_what_it_says_and_nothing_else(before, architecture, change, said):
    keras.utils.set_random_seed(0)
    found = facts(built(architecture, **change), FIRST[architecture])
    changed = {name: value for name, value in found.items() if value != before[architecture][name]}
    assert changed == said


def test_the_first_layer_of_a_helnet_may_keep_the_resolution():
    strides = {
        mtype: [
            layer.name for layer in convolutions(built("helnet", {"mtype": mtype})).values() if layer.strides[0] > 1
        ]
        for mtype in ("s8_3rdblock", "s8_1stlayer")
    }
    assert strides == {
        "s8_3rdblock": ["stem_conv_1", "block_1a_conv_1", "block_2a_conv_1"],
        "s8_1stlayer": ["block_1a_conv_1", "block_2a_conv_1", "block_3a_conv_1"],
    }


@pytest.mark.parametrize("architecture", list(START))
def test_the_loss_of_a_network_holds_every_penalty(architecture):
    model = built(architecture, {"use_bias": True}, {"regularization_type": "l1_l2"} | {
        "kernel_regularization_factor": 0.02, "bias_regularization_factor": 0.05,
    })  # fmt: skip
    expected = 0.0
    for layer in convolutions(model, depthwise=True).values():
        layer.set_weights([value + 0.125 for value in layer.get_weights()])
        for value, factor in zip(layer.get_weights(), (0.02, 0.05), strict=True):
            expected += factor * (np.abs(value.astype(float)).sum() + (value.astype(float) ** 2).sum())
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
