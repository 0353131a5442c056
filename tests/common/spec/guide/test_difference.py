"""Difference: what differs between two specs is told key by key, defaults or not."""

import pytest
import yaml
from support.shipped_specs import list_specs
from support.spec_files import DATASET, INFERENCE, TRAIN, changed

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.base import dump_yaml, parse_spec
from bodyposenet.common.spec.guide.difference import compare_specs
from bodyposenet.common.spec.kinds import KINDS

SPECS = {name: parse_spec(data, KINDS[kind]) for name, kind, data in list_specs()}


def compare(first, second, kind="train"):
    one, other = (parse_spec(yaml.safe_load(text), KINDS[kind]) for text in (first, second))
    return [tuple(each) for each in compare_specs(one, other)]


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_does_not_differ_from_itself_with_all_keys_written_out(name):
    spec = SPECS[name]
    assert compare_specs(spec, parse_spec(yaml.safe_load(dump_yaml(spec)), type(spec))) == []


@pytest.mark.parametrize("name", SPECS)
def test_the_other_way_round_tells_the_same(name):
    for other in SPECS.values():
        if type(other) is type(SPECS[name]):
            there = {(key, one, two) for key, one, two in compare_specs(SPECS[name], other)}
            assert there == {(key, two, one) for key, one, two in compare_specs(other, SPECS[name])}


def test_a_default_that_is_written_out_is_no_difference():
    assert compare("{}", "heatmap_threshold: 0.1\nscales: null\n", "infer") == []


def test_values_are_told_as_a_spec_has_them():
    text = changed(TRAIN, ("num_epoch: 100", "num_epoch: 80"), ("target_shape: [28, 40]", "target_shape: [32, 40]"),
                   ("height: 224", "height: 256"), ("load_graph: False\n", ""))  # fmt: skip
    assert compare(TRAIN, text) == [
        ("num_epoch", "100", "80"),
        ("dataloader.image_config.image_dims.height", "224", "256"),
        ("dataloader.pose_config.target_shape", "[28, 40]", "[32, 40]"),
    ]


def test_a_value_that_follows_from_another_differs_with_it():
    text = changed(TRAIN, ("translate_max_x: 40.0", "translate_max_x: 20.0"))
    params = "dataloader.augmentation_config.spatial_aug_params"
    assert compare(TRAIN, text) == [
        (f"{params}.translate_max_x", "40.0", "20.0"),
        (f"{params}.translate_min_x", "-40.0", "-20.0"),
    ]


def test_keys_that_one_of_them_has_not_are_told():
    data = yaml.safe_load(TRAIN) | {"early_stopping": {"patience": 3}}
    assert ("early_stopping", "null", "-") in compare(TRAIN, yaml.safe_dump(data))
    assert ("early_stopping.patience", "-", "3") in compare(TRAIN, yaml.safe_dump(data))


def test_items_of_lists_of_parts_are_told_apart():
    text = DATASET.replace('"nose"', '"beak"')
    assert [key for key, _, _ in compare(DATASET, text, "dataset")] == [
        "categories.0.keypoints",
        "categories.0.skeleton_edge_names",
    ]


def test_a_key_that_encrypts_is_not_shown():
    assert compare(TRAIN + "key: sesame\n", TRAIN + "key: open\n") == [("key", "(not shown)", "(not shown)")]
    assert compare(TRAIN, TRAIN + "key: open\n") == [("key", "null", "(not shown)")]


def test_specs_of_two_kinds_are_not_compared():
    one, other = (
        parse_spec(yaml.safe_load(TRAIN), KINDS["train"]),
        parse_spec(yaml.safe_load(INFERENCE), KINDS["infer"]),
    )
    with pytest.raises(UserError, match="two kinds of spec, TrainSpec and InferenceSpec"):
        compare_specs(one, other)
