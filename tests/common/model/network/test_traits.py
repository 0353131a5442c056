"""Traits: the shapes of weights tell the settings of every kind of network, and where two of them differ."""

from functools import cache

import keras
import pytest
from support.networks import BACKBONES, network

from bodyposenet.common.model.network.traits import TRAITS, Difference, compare, is_pruned
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.network import ModelSpec

BASE = {"stages": 2, "stage1_kernel_sizes": [3], "stageT_kernel_sizes": [3, 5]}
OTHERS = {
    "width": {"backbone_attributes": {"width_multiplier": 0.25}},
    "biases": {"use_bias": False, "backbone_attributes": {"use_bias": True}},
    "no norms": {"backbone_attributes": {"use_batch_norm": False}},
    "towers": {"__class_name__": "BpNetModel"},
    "attention": {"use_self_attention": True},
    "stages": {"stages": 3},
    "kernels": {"stage1_kernel_sizes": [5, 3], "stageT_kernel_sizes": [7]},
    "resnet34": {"backbone_attributes": {"architecture": "resnet", "nlayers": 34}},
    "helnet10": {"backbone_attributes": {"architecture": "helnet", "nlayers": 10, "mtype": "s8_3rdblock"}},
    "helnet18": {"backbone_attributes": {"architecture": "helnet", "nlayers": 18, "mtype": "s8_3rdblock"}},
} | {name: {"backbone_attributes": attributes} for name, attributes in BACKBONES.items()}


def shapes(model):
    return {layer.name: tuple(tuple(each.shape) for each in layer.weights) for layer in model.layers if layer.weights}


@cache
def made(name):
    """The shapes of one of the networks."""
    return shapes(network(**BASE | OTHERS[name]))


def asked(changes):
    """What the spec of a network says of the settings that shapes can tell."""
    attributes = {"width_multiplier": 1 / 16} | changes.get("backbone_attributes", {})
    spec = parse_spec(BASE | changes | {"backbone_attributes": attributes}, ModelSpec)
    plain = spec.model_dump(by_alias=True, mode="json")
    plain |= {f"backbone_attributes.{key}": value for key, value in plain.pop("backbone_attributes").items()}
    plain["backbone_attributes.use_batch_norm"] = plain["backbone_attributes.use_batch_norm"] is not False
    if plain["backbone_attributes.architecture"] == "vgg":
        plain["backbone_attributes.nlayers"] = 19
    return plain | {"heat_channels": 3, "paf_channels": 2}


@pytest.mark.parametrize("name", OTHERS)
def test_shapes_tell_what_the_spec_asked_for(name):
    told = {setting: read(made(name)) for setting, read in TRAITS.items()}
    wanted = asked(OTHERS[name])
    assert told == {setting: wanted[setting] for setting in TRAITS}


@pytest.mark.parametrize("name", OTHERS)
def test_the_remedies_for_what_differs_make_the_network_the_file_s(name):
    ours, theirs = made("vgg"), made(name)
    found = compare(ours, theirs)
    mended = dict(BASE, backbone_attributes={"width_multiplier": 1 / 16} | {"mtype": "s8_3rdblock"})
    for each in found:
        section, _, key = each.setting.rpartition(".")
        (mended[section] if section else mended)[key] = each.theirs
    assert shapes(network(**mended)) == theirs
    assert compare(theirs, theirs) == []


def test_a_difference_names_both_sides_and_what_to_set():
    width = Difference("backbone_attributes.width_multiplier", 0.25, 0.375)
    assert str(width) == "the network has width_multiplier 0.25, the file's is 0.375"
    assert width.remedy == "backbone_attributes.width_multiplier: 0.375"


def test_the_skeleton_decides_the_maps_so_nothing_is_to_be_set_for_them():
    assert Difference("heat_channels", 8, 19).remedy == ""


def test_a_network_whose_layers_are_of_several_widths_was_pruned():
    model = shapes(network(**BASE, width=0.25))
    assert not is_pruned(model)
    assert is_pruned(model | {"block_4b_conv_1": ((3, 3, 128, 72),)})
    assert not is_pruned(shapes(keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])))
