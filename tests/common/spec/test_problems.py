"""Spec errors: every problem at once, with its file, line, key and the way out."""

import json

import pytest
from support.spec_files import DATASET, POSE, STICK, TRAIN, changed

from bodyposenet.common.errors import SpecError
from bodyposenet.common.spec.base import load_spec, parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.pose_config import PoseConfig
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec


def problems(folder, text, model, name="bad.yaml"):
    """The lines of the SpecError, without the folder."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as caught:
        load_spec(path, model)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def line_of(text, part):
    return text[: text.index(part)].count("\n") + 1


def test_every_problem_is_told_at_once_in_the_order_of_the_lines(tmp_path):
    text = changed(
        TRAIN,
        ("checkpoint_n_epoch: 5", "checkpoint_n_epoch: 500"),
        ("num_epoch: 100", "num_epoch: 100"),
        ("load_graph: False", "load_graph: True"),
        ("batch_size: 10", "batch_sise: 10"),
        ("[28, 40]", "[28, 41]"),
        ("architecture: vgg", "architecture: vggg"),
        ("stages: 3", "stages: True"),
        ("annealing: 0.5", "annealing: 0.01"),
        ("momentum: 0.9", "momentun: 0.9"),
    )
    assert problems(tmp_path, text, TrainSpec) == [
        "bad.yaml:4: checkpoint_n_epoch: should be at most num_epoch, 100 (got 500)",
        "bad.yaml:12: load_graph: true needs pretrained_weights, the model whose graph is trained (got null)",
        "bad.yaml:18: dataloader.batch_size: missing; this key must be given",
        "bad.yaml:20: dataloader.batch_sise: unknown key; did you mean 'batch_size'?",
        "bad.yaml:30: dataloader.pose_config.target_shape: should be image_dims divided by 8: "
        "224x320 needs [28, 40] (got [28, 41])",
        f"bad.yaml:{line_of(text, 'architecture:')}: model.backbone_attributes.architecture: "
        "should be 'vgg', 'helnet', 'resnet', 'mobilenet_v1' or 'mobilenet_v2' (got 'vggg'); did you mean 'vgg'?",
        f"bad.yaml:{line_of(text, 'stages:')}: model.stages: should be a valid integer (got True)",
        f"bad.yaml:{line_of(text, 'annealing:')}: optimizer.learning_rate_schedule.annealing: "
        "should be at least soft_start, 0.05 (got 0.01)",
        f"bad.yaml:{line_of(text, 'momentun:')}: optimizer.momentun: unknown key; did you mean 'momentum'?",
    ]


def test_a_class_that_is_not_known_is_told_with_the_nearest(tmp_path):
    text = changed(TRAIN, ("WeightedMomentumOptimizer", "WeightedMomentumOptimiser"))
    line = line_of(text, "__class_name__: Weighted")
    assert problems(tmp_path, text, TrainSpec) == [
        f"bad.yaml:{line}: optimizer.__class_name__: no such class, choose from WeightedMomentumOptimizer, Adam, AdamW "
        "(got 'WeightedMomentumOptimiser'); did you mean 'WeightedMomentumOptimizer'?"
    ]


def test_a_class_that_is_not_named_is_missing(tmp_path):
    text = changed(TRAIN, ("  __class_name__: WeightedMomentumOptimizer\n", ""))
    assert problems(tmp_path, text, TrainSpec) == [
        f"bad.yaml:{line_of(text, 'optimizer:')}: optimizer.__class_name__: missing; "
        "one of WeightedMomentumOptimizer, Adam, AdamW"
    ]


def test_an_unknown_key_without_a_near_one_lists_those_there_are(tmp_path):
    lines = problems(tmp_path, "pruning_threshold: 0.1\nzzz: 1\n", PruneSpec)
    assert lines == [
        "bad.yaml:2: zzz: unknown key; known keys: pruning_threshold, normalizer, equalization_criterion, "
        "pruning_granularity, min_num_filters, excluded_layers, criterion, target_params, target_flops, refit, rounds"
    ]


def test_an_unknown_key_in_a_union_is_compared_with_the_keys_of_its_class(tmp_path):
    text = changed(TRAIN, ("soft_start: 0.05", "soft_start: 0.05\n    softstart: 0.1"))
    assert problems(tmp_path, text, TrainSpec) == [
        f"bad.yaml:{line_of(text, 'softstart:')}: optimizer.learning_rate_schedule.softstart: "
        "unknown key; did you mean 'soft_start'?"
    ]


def test_json_is_told_by_line_even_with_tabs(tmp_path):
    data = json.loads(DATASET)
    data["categories"][0]["num_joints"] = 5
    data["categories"][0]["skeleton"][1] = [4, 9]
    data["categories"][0]["skeleton_edge_names"][2] = ["neck", "nosse"]
    del data["visibility_flags"]["mapping"]["occluded"]
    data["data_filtering_params"]["min_acceptable_kpts"] = True
    text = json.dumps(data, indent="\t")
    person = line_of(text, '"num_joints": 5')
    assert problems(tmp_path, text, DatasetSpec, "bad.json") == [
        f"bad.json:{person}: categories.0.num_joints: should be 4, the number of keypoints (got 5)",
        f"bad.json:{line_of(text, '9') - 2}: categories.0.skeleton.1: joints are numbered 1 to 4 (got [4, 9])",
        f"bad.json:{line_of(text, 'nosse')}: categories.0.skeleton_edge_names.2.1: "
        "no such joint (got 'nosse'); did you mean 'nose'?",
        f"bad.json:{line_of(text, 'mapping')}: visibility_flags.mapping.occluded: missing; 'value' has this key",
        f"bad.json:{line_of(text, 'min_acceptable_kpts')}: data_filtering_params.min_acceptable_kpts: "
        "should be a valid integer (got True)",
    ]


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("a.yaml", "min_num_filters: 8\nnormalizer: max\nmin_num_filters: 16\n", 3),
        ("a.json", '{"min_num_filters": 8,\n "normalizer": "max",\n "min_num_filters": 16}', 3),
    ],
)
def test_a_key_written_twice_is_a_problem(tmp_path, name, text, line):
    assert problems(tmp_path, text, PruneSpec, name) == [
        f"{name}:{line}: min_num_filters: key is written twice; keep one of them"
    ]


def test_keys_that_a_merge_repeats_are_fine(tmp_path):
    path = tmp_path / "merge.yaml"
    path.write_text("<<: {normalizer: L2, min_num_filters: 4}\nmin_num_filters: 8\n")
    assert load_spec(path, PruneSpec) == PruneSpec(normalizer="L2", min_num_filters=8)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", b"a: 1\nb: [1, 2\nc: 3\n", "a.yaml:3: not valid YAML: "),
        ("a.yaml", b"model:\n\tstages: 3\n", "a.yaml:2: not valid YAML: "),
        ("a.yaml", b"a: 1\nb: \x00\n", "a.yaml:2: not valid YAML: "),
        ("a.yaml", b"a: 1\n---\nb: 2\n", "a.yaml:2: not valid YAML: "),
        ("a.yaml", b"a: 1\nb: !!python/name:os.system ''\n", "a.yaml:2: not valid YAML: "),
        ("a.yaml", b"a: 2024-13-45\n", "a.yaml:1: not valid YAML: "),
        ("a.json", b'{"a": 1,\n "b": }', "a.json:2: not valid JSON: Expecting value (column 7)"),
        ("a.yaml", b"a: 1\nb: \xff\n", "a.yaml:2: not UTF-8 text; save the file as UTF-8"),
        ("a.yaml", b"", "a.yaml:1: the file is empty"),
        ("a.yaml", b"# nothing\n", "a.yaml:1: the file is empty"),
        ("a.json", b" \n", "a.json:1: the file is empty"),
        ("a.yaml", b"- 1\n- 2\n", "a.yaml:1: a spec is a mapping of keys to values, this is a list"),
        ("a.json", b'"text"', "a.json:1: a spec is a mapping of keys to values, this is a str"),
        ("a.json", b"[" * 100_000, "a.json:1: nested too deeply to be a spec"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, text, said):
    (line,) = problems(tmp_path, text, PruneSpec, name)
    assert line.startswith(said)


def test_a_missing_file_and_a_folder_are_told(tmp_path):
    with pytest.raises(SpecError, match=r"none\.yaml: there is no such file"):
        load_spec(tmp_path / "none.yaml", PruneSpec)
    with pytest.raises(SpecError, match="this is a folder; name a file in it"):
        load_spec(tmp_path, PruneSpec)


def test_a_byte_order_mark_is_fine(tmp_path):
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfmin_num_filters: 4\n")
    assert load_spec(path, PruneSpec).min_num_filters == 4


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("pruning_threshold", True, "should be a valid number (got True)"),
        ("pruning_threshold", -1, "should be greater than or equal to 0 (got -1)"),
        ("pruning_threshold", "much", "should be a valid number (got 'much')"),
        ("pruning_threshold", None, "should be a valid number (got null)"),
        ("pruning_threshold", float("nan"), "should be a finite number (got nan)"),
        ("pruning_threshold", 1e308, "is beyond what can be computed with, 1e+18 (got 1e+308)"),
        ("pruning_threshold", 2**70, f"is beyond what can be computed with, 1e+18 (got {2**70})"),
        ("min_num_filters", 2**53 + 1, f"is beyond 9,007,199,254,740,992 (got {2**53 + 1})"),
        ("min_num_filters", 2.0, "should be a valid integer (got 2.0)"),
        ("normalizer", "l2", "should be 'max', 'L2' or 'cost' (got 'l2')"),
        ("equalization_criterion", "onion", "(got 'onion'); did you mean 'union'?"),
    ],
)
def test_a_value_of_the_wrong_kind_is_told_with_what_was_given(key, value, said):
    with pytest.raises(SpecError) as caught:
        parse_spec({key: value}, PruneSpec, where="settings")
    assert str(caught.value).startswith(f"settings: {key}: ")
    assert str(caught.value).endswith(said)


def test_none_as_a_word_is_not_null():
    with pytest.raises(SpecError, match="'None' is text in YAML; did you mean null"):
        parse_spec({"keep_aspect_ratio_mode": "None"}, InferenceSpec)


def test_fine_tuning_needs_a_checkpoint(tmp_path):
    text = changed(TRAIN, ("is_finetune_exp: False", "is_finetune_exp: True"))
    (line,) = problems(tmp_path, text, TrainSpec)
    assert "checkpoint_path: missing; is_finetune_exp needs the checkpoint to go on from" in line


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("rotate_deg_min: -30.0", "rotate_deg_min: 50", "should be at most rotate_deg_max, 40 (got 50)"),
        ("min_learning_rate: 8.e-08", "min_learning_rate: 1.0", "should be at most base_learning_rate, 2e-05 (got 1)"),
        ("soft_start: 0.05", "soft_start: 1.5", "should be less than or equal to 1 (got 1.5)"),
        ("flip_lr_prob: 0.5", "flip_lr_prob: 1.5", "should be less than or equal to 1 (got 1.5)"),
        ("paf_channels: 38", "paf_channels: 37", "should be even, two channels a limb (got 37)"),
        ("stages: 3", "stages: 7", "should be less than or equal to 6 (got 7)"),
        ("architecture: vgg", "architecture: vgg\n    nlayers: 16", "vgg has 19 layers (got 16)"),
        ("architecture: vgg", "architecture: helnet", "missing; a helnet needs its number of layers"),
        ("architecture: vgg", "architecture: helnet\n    nlayers: 26", "what its blocks hold is not known; take 6"),
        (
            "architecture: vgg\n    mtype: default",
            "architecture: helnet\n    nlayers: 10\n    mtype: default",
            "ends at stride 16",
        ),
        ("architecture: vgg", "architecture: resnet\n    nlayers: 101", "resnet has 18, 34, 50 layers (got 101)"),
        ("architecture: vgg", "architecture: mobilenet_v2\n    nlayers: 2", "has one depth; leave this out (got 2)"),
        ("  stages: 3", "  stages: 3\n  stage1_kernel_sizes: []", "at least 1 item"),
        ("image_scale: [256.0, 256.0", "image_scale: [256.0, 0", "should be greater than 0 (got 0)"),
        ("image_encoding: jpg", "image_encoding: gif", "should be 'jpg', 'jpeg', 'png' or 'fp16' (got 'gif')"),
        (
            "num_epoch: 100",
            "num_epoch: 100\nmixed_precision: atuo",
            "should be auto, true, false, force or null (got 'atuo'); did you mean 'auto'?",
        ),
        (
            "num_epoch: 100",
            "num_epoch: 100\nmixed_precision: 1",
            "should be auto, true, false, force or null (got 1)",
        ),
        ("channels: 3", "channels: 1", "should be 3 (got 1)"),
    ],
)
def test_values_out_of_range_are_told_where_they_stand(tmp_path, old, new, said):
    text = changed(TRAIN, (old, new))
    (line,) = [line for line in problems(tmp_path, text, TrainSpec) if said in line]
    wrong = new.rsplit("\n", 1)[-1].split(":")[0].strip()
    assert line.startswith(f"bad.yaml:{line_of(text, wrong + ':')}: ") or "missing" in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keypoints": ["nose", "nose", "a", "b"]}, "categories.0.keypoints.1: joint 'nose' is named twice"),
        ({"skeleton_edge_names": []}, "should name the 3 limbs of 'skeleton' (got 0 names)"),
    ],
)
def test_a_skeleton_that_contradicts_itself_is_an_error(change, said):
    with pytest.raises(SpecError) as caught:
        parse_spec({"categories": [STICK | change]}, PoseConfig)
    assert said in str(caught.value)


def test_a_person_must_be_told_from_other_categories():
    with pytest.raises(SpecError) as caught:
        parse_spec({"categories": [STICK | {"name": name} for name in ("dog", "cat")]}, PoseConfig)
    assert str(caught.value) == "<given>: categories: one category must be named 'person' (got 'dog', 'cat')"


def test_spreads_and_computed_joints_must_fit_the_joints():
    data = json.loads(POSE) | {"sigmas": [0.1], "computed": {"neck": ["left_sholder"]}}
    with pytest.raises(SpecError) as caught:
        parse_spec(data, PoseConfig)
    assert str(caught.value).splitlines() == [
        "<given>: sigmas: should hold 4 numbers, one a joint (got 1)",
        "<given>: computed.neck: no such joint (got 'left_sholder'); did you mean 'left_shoulder'?",
    ]
