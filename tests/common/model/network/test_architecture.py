"""Architecture: a spec and the weights of the network that it builds tell the same, and two specs what differs."""

from dataclasses import replace

import pytest
from support.tiny_training import tiny_spec

from bodyposenet.common.model.files.model_file import save_model
from bodyposenet.common.model.files.weights_file import read_weights
from bodyposenet.common.model.network.architecture import (
    describe_spec,
    describe_weights,
    digest_skeleton,
    find_differences,
)
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

VGG = {"architecture": "vgg", "width_multiplier": 0.125}
HELNET = {"architecture": "helnet", "nlayers": 6, "mtype": "s8_3rdblock", "width_multiplier": 0.125}
MODELS = [
    {"backbone_attributes": VGG},
    {"backbone_attributes": VGG | {"width_multiplier": 0.3, "use_bias": True}, "stages": 1},
    {"backbone_attributes": HELNET, "stages": 3, "use_self_attention": True},
    {"backbone_attributes": HELNET, "use_bias": False, "stage1_kernel_sizes": [3, 5]},
    {"backbone_attributes": {"architecture": "resnet", "nlayers": 18, "width_multiplier": 0.0625}},
    {"backbone_attributes": {"architecture": "mobilenet_v2", "width_multiplier": 0.25}, "__class_name__": "BpNetModel"},
]


@pytest.mark.parametrize("model", MODELS)
def test_a_network_s_weights_tell_what_its_spec_says(model, tmp_path):
    spec = tiny_spec(model=model).model
    save_model(build_model(spec, BODYPOSENET_18), tmp_path / "model.keras", Card(skeleton=BODYPOSENET_18))
    held, wanted = describe_weights(read_weights(tmp_path / "model.keras")), describe_spec(spec)
    assert find_differences(wanted, held) == []
    unseen = set(wanted) - set(held)
    assert unseen <= {"heat_channels", "paf_channels"}, "which skeletons tell, too"


@pytest.mark.parametrize(("change", "said"), [
    ({"stages": 3}, ["stages 2 is wanted, it has 3"]),
    ({"use_bias": False}, ["use_bias True is wanted, it has False"]),
    ({"stageT_kernel_sizes": [3]}, ["stageT_kernel_sizes [3, 3] is wanted, it has [3]"]),
    ({"backbone_attributes": VGG | {"width_multiplier": 0.25}},
     ["backbone_attributes.width_multiplier 0.125 is wanted, it has 0.25"]),
    ({"backbone_attributes": VGG | {"bn_momentum": 0.5}, "kernel_initializer": "xavier"}, []),
    ({"backbone_attributes": VGG | {"width_multiplier": 0.1251}}, []),
])  # fmt: skip
def test_both_sides_of_what_differs_are_named_and_what_changes_no_layer_does_not_count(change, said):
    specs = [tiny_spec(model={"backbone_attributes": VGG} | more).model for more in ({}, change)]
    assert find_differences(*map(describe_spec, specs)) == said


def test_a_pruned_network_has_no_width():
    wanted = describe_spec(tiny_spec(model={"backbone_attributes": VGG}).model)
    pruned = {name: value for name, value in wanted.items() if "width" not in name}
    assert find_differences(wanted, pruned) == [
        "backbone_attributes.width_multiplier 0.125 is wanted, it has several widths, as after pruning"
    ]


def test_skeletons_are_told_apart_by_what_they_draw():
    renamed = replace(BODYPOSENET_18, name="another name")
    assert digest_skeleton(renamed) == digest_skeleton(BODYPOSENET_18) != digest_skeleton(COCO_17)
