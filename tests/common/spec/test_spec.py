"""Specs: TAO's files load as they are, and mean what TAO means."""

import json

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from support.spec_files import DATASET, FILES, INFERENCE, POSE, STICK, TRAIN, changed

from bodyposenet.common.errors import SpecError
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import dump_yaml, load_spec, parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.kinds import describe, detect_kind, notes
from bodyposenet.common.spec.pose_config import PoseConfig, load_skeleton
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import (
    Adam,
    AdamW,
    BackboneAttributes,
    BpNetExponentialDecayLRSchedule,
    SoftstartAnnealingLearningRateSchedule,
    SpatialAugParams,
    TrainSpec,
    WeightedMomentumOptimizer,
)

SCHEDULE = {
    "__class_name__": "SoftstartAnnealingLearningRateSchedule",
    "soft_start": 0.05,
    "annealing": 0.5,
    "base_learning_rate": 1e-3,
    "min_learning_rate": 1e-6,
}


def written(folder, name, text):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_train_spec_of_tao_loads_as_it_is(tmp_path):
    spec = load_spec(written(tmp_path, "train.yaml", TRAIN), TrainSpec)
    assert (spec.num_epoch, spec.checkpoint_n_epoch, spec.random_seed, spec.load_graph) == (100, 5, 42, False)
    assert spec.pretrained_weights is None
    assert spec.use_stagewise_lr_multipliers is True
    loader = spec.dataloader
    assert (loader.batch_size, loader.image_config.image_dims.size, loader.pose_config.target_shape) == (
        10,
        (224, 320),
        (28, 40),
    )
    assert loader.dataset_config.train_records_path == ("train-fold-000-of-001",)
    assert loader.dataset_config.dataset_specs == {"coco": "/workspace/specs/coco.json"}
    assert loader.normalization_params.image_scale == (256.0, 256.0, 256.0)
    assert spec.model.kernel_regularization_factor == 5e-4
    assert isinstance(spec.optimizer, WeightedMomentumOptimizer)
    assert isinstance(spec.optimizer.learning_rate_schedule, SoftstartAnnealingLearningRateSchedule)
    assert spec.optimizer.learning_rate_schedule.base_learning_rate == 2e-5
    assert spec.optimizer.learning_rate_schedule.min_learning_rate == 8e-8


def test_what_a_train_spec_leaves_out_is_neutral_or_tao_s_own_default(tmp_path):
    spec = load_spec(written(tmp_path, "train.yaml", TRAIN), TrainSpec)
    assert spec.model.backbone_attributes.width_multiplier == 1.0
    assert spec.model.stageT_kernel_sizes == (7, 7, 7, 7, 7)
    assert (spec.loss.joint_weight, spec.loss.paf_weight, spec.loss.normalize_cells) == (0.0, 1.0, False)
    assert (spec.mixed_precision, spec.deterministic, spec.final_model_name) == (None, None, "bpnet_model")
    assert spec.optimizer.use_nesterov is False


@pytest.mark.parametrize(
    ("text", "wish"), [("auto", "auto"), ("force", "force"), ("true", True), ("off", False), ("null", None)]
)
def test_mixed_precision_is_a_word_or_a_switch_and_is_written_as_it_was_read(tmp_path, text, wish):
    spec = load_spec(written(tmp_path, "train.yaml", TRAIN + f"\nmixed_precision: {text}\n"), TrainSpec)
    assert spec.mixed_precision is wish or spec.mixed_precision == wish
    assert load_spec(written(tmp_path, "again.yaml", dump_yaml(spec)), TrainSpec) == spec


def test_a_least_value_of_null_is_minus_the_greatest(tmp_path):
    params = load_spec(written(tmp_path, "t.yaml", TRAIN), TrainSpec).dataloader.augmentation_config.spatial_aug_params
    assert (params.rotate_deg_min, params.translate_min_x, params.translate_min_y) == (-30.0, -40.0, 0.0)
    assert SpatialAugParams(rotate_deg_max=15.0, rotate_deg_min=None).rotate_deg_min == -15.0


def test_null_takes_the_default_where_tao_allows_it(tmp_path):
    text = changed(
        TRAIN,
        ("shuffle_buffer_size: 20000", "shuffle_buffer_size: null"),
        ("spatial_augmentation_mode: person_centric", "spatial_augmentation_mode: null"),
        ("  stages: 3", "  stages: 3\n  stage1_kernel_sizes: null\n  stageT_kernel_sizes: null"),
        ("use_bias: False", "use_bias: False\n    width_multiplier: null"),
    )
    spec = load_spec(written(tmp_path, "train.yaml", text), TrainSpec)
    assert spec.dataloader.shuffle_buffer_size == 20000
    assert spec.dataloader.augmentation_config.spatial_augmentation_mode == "person_centric"
    assert spec.model.stage1_kernel_sizes == (3, 3, 3)
    assert spec.model.backbone_attributes.width_multiplier == 1.0


def test_numbers_that_yaml_takes_for_text_are_numbers(tmp_path):
    text = changed(
        TRAIN, ("base_learning_rate: 2.e-5", "base_learning_rate: 2e-5"), ("momentum: 0.9", "momentum: 9E-1")
    )
    assert yaml.safe_load(text)["optimizer"]["learning_rate_schedule"]["base_learning_rate"] == "2e-5"
    spec = load_spec(written(tmp_path, "train.yaml", text), TrainSpec)
    assert spec.optimizer.learning_rate_schedule.base_learning_rate == 2e-5
    assert spec.optimizer.momentum == 0.9


def test_a_class_may_be_named_with_its_module(tmp_path):
    text = changed(TRAIN, ("__class_name__: BpNetTrainer", "__class_name__: some.module.BpNetTrainer"))
    text = changed(text, ("__class_name__: Weighted", "__class_name__: optimizers.Weighted"))
    spec = load_spec(written(tmp_path, "train.yaml", text), TrainSpec)
    assert spec.class_name == "BpNetTrainer"
    assert isinstance(spec.optimizer, WeightedMomentumOptimizer)


def test_the_older_schedule_and_backbone_load(tmp_path):
    older = """\
    __class_name__: BpNetExponentialDecayLRSchedule
    learning_rate: 2.e-5
    decay_epochs: 17
    decay_rate: 0.333
    staircase: True
    min_learning_rate: 8.18938e-8
"""
    start, end = TRAIN.index("    __class_name__: Softstart"), TRAIN.index("  grad_weights_dict")
    text = changed(
        TRAIN[:start] + older + TRAIN[end:],
        ("architecture: vgg", "architecture: helnet\n    nlayers: 18\n    use_batch_norm: False"),
        ("mtype: default", "mtype: s8_3rdblock"),
        ("BpNetLiteModel", "BpNetModel"),
    )
    spec = load_spec(written(tmp_path, "train.yaml", text), TrainSpec)
    assert spec.optimizer.learning_rate_schedule == BpNetExponentialDecayLRSchedule(
        learning_rate=2e-5, decay_epochs=17, decay_rate=0.333, staircase=True, min_learning_rate=8.18938e-8
    )
    assert spec.model.backbone_attributes == BackboneAttributes(
        architecture="helnet", mtype="s8_3rdblock", nlayers=18, use_batch_norm=False
    )


@pytest.mark.parametrize(("name", "kind"), [("Adam", Adam), ("AdamW", AdamW)])
def test_adam_is_an_extension(name, kind):
    optimizer = {"__class_name__": name, "learning_rate_schedule": SCHEDULE, "weight_decay": 1e-4, "beta_2": 0.99}
    spec = parse_spec(yaml.safe_load(TRAIN) | {"optimizer": optimizer}, TrainSpec)
    assert type(spec.optimizer) is kind
    assert (spec.optimizer.beta_1, spec.optimizer.beta_2, spec.optimizer.weight_decay) == (0.9, 0.99, 1e-4)


def test_a_dataset_spec_loads_from_json_and_from_yaml_alike(tmp_path):
    from_json = load_spec(written(tmp_path, "coco.json", DATASET), DatasetSpec)
    from_yaml = load_spec(written(tmp_path, "coco.yaml", yaml.safe_dump(json.loads(DATASET))), DatasetSpec)
    assert from_json == from_yaml
    assert from_json.joints == ("left_shoulder", "right_shoulder", "nose", "neck")
    assert from_json.test_data.images_root_dir_path == "val2017"
    assert from_json.data_filtering_params.min_acceptable_interperson_dist_ratio == 0.3


def test_json_may_be_indented_with_tabs(tmp_path):
    spec = load_spec(written(tmp_path, "coco.json", json.dumps(json.loads(DATASET), indent="\t")), DatasetSpec)
    assert spec == parse_spec(json.loads(DATASET), DatasetSpec)


def test_hidden_joints_count_unless_the_dataset_maps_them_away():
    data = json.loads(DATASET)
    assert parse_spec(data, DatasetSpec).visibility_flags.codes() == {2: 2, 1: 1, 0: 0}
    data["visibility_flags"]["mapping"]["occluded"] = "not_labeled"
    assert parse_spec(data, DatasetSpec).visibility_flags.codes() == {2: 2, 1: 0, 0: 0}


def test_limbs_are_counted_from_one_in_files_and_from_zero_in_skeletons(tmp_path):
    skeleton = load_skeleton(written(tmp_path, "joints.json", POSE))
    assert skeleton.joints == ("left_shoulder", "right_shoulder", "nose", "neck")
    assert skeleton.limbs == ((3, 0), (3, 1), (3, 2))
    assert skeleton.computed == (("neck", ("left_shoulder", "right_shoulder")),)


def test_without_a_pose_config_the_skeleton_is_tao_s():
    assert load_skeleton(None) == BODYPOSENET_18


def test_a_pose_config_may_bring_its_own_spreads_and_computed_joints():
    data = {"categories": [STICK], "sigmas": [0.1, 0.1, 0.02, 0.2], "computed": {"nose": ["neck"]}}
    skeleton = parse_spec(data, PoseConfig).skeleton()
    assert skeleton.sigmas == (0.1, 0.1, 0.02, 0.2)
    assert skeleton.computed == (("nose", ("neck",)),)


def test_scales_of_null_are_the_one_scale(tmp_path):
    assert load_spec(written(tmp_path, "infer.yaml", INFERENCE), InferenceSpec).scales == (1.0,)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("/workspace", "/data", "/data/results/first"),
        ("/workspace/", "/data/", "/data/results/first"),
        ("/workspace/results/first", "here", "here"),
        ("/workspace/res", "/data", "/workspace/results/first"),
        ("/", "/mnt", "/mnt/workspace/results/first"),
    ],
)
def test_a_path_map_replaces_whole_folders_at_the_front(tmp_path, old, new, found):
    spec = load_spec(written(tmp_path, "train.yaml", TRAIN), TrainSpec, path_map=[(old, new)])
    assert spec.checkpoint_dir == found


def test_the_longest_prefix_of_a_path_map_wins_in_every_path(tmp_path):
    path = written(tmp_path, "train.yaml", TRAIN)
    spec = load_spec(path, TrainSpec, path_map=[("/workspace", "/a"), ("/workspace/specs", "/b")])
    assert spec.dataloader.pose_config.pose_config_path == "/b/joints.json"
    assert spec.dataloader.dataset_config.dataset_specs == {"coco": "/b/coco.json"}
    assert spec.dataloader.dataset_config.train_records_folder_path == "/a/data"


@pytest.mark.parametrize("name", list(FILES))
def test_a_spec_written_as_yaml_loads_back_equal(tmp_path, name):
    path = written(tmp_path, name, FILES[name])
    spec = load_spec(path, detect_kind(path))
    assert load_spec(written(tmp_path, "again.yaml", dump_yaml(spec)), type(spec)) == spec


@settings(deadline=None, max_examples=50)
@given(
    st.builds(
        PruneSpec,
        pruning_threshold=st.floats(0, 1e6),
        normalizer=st.sampled_from(["max", "L2"]),
        pruning_granularity=st.integers(1, 512),
        excluded_layers=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    )
)
def test_any_prune_spec_survives_yaml(spec):
    assert parse_spec(yaml.safe_load(dump_yaml(spec)), PruneSpec) == spec


@settings(deadline=None, max_examples=50)
@given(
    rates=st.lists(st.floats(1e-12, 1.0), min_size=2, max_size=2).map(sorted),
    shares=st.lists(st.floats(0, 1), min_size=2, max_size=2).map(sorted),
    epochs=st.integers(1, 10**6),
    size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
)
def test_any_train_spec_survives_yaml(rates, shares, epochs, size):
    data = yaml.safe_load(TRAIN)
    data |= {"num_epoch": epochs, "checkpoint_n_epoch": epochs}
    data["dataloader"]["pose_config"]["target_shape"] = list(size)
    data["dataloader"]["image_config"]["image_dims"] = {"height": size[0] * 8, "width": size[1] * 8}
    data["optimizer"]["learning_rate_schedule"] |= {"min_learning_rate": rates[0], "base_learning_rate": rates[1]}
    data["optimizer"]["learning_rate_schedule"] |= {"soft_start": shares[0], "annealing": shares[1]}
    spec = parse_spec(data, TrainSpec)
    assert parse_spec(yaml.safe_load(dump_yaml(spec)), TrainSpec) == spec


def test_a_number_too_near_to_zero_is_zero_and_refused_where_zero_is():
    assert parse_spec({"pruning_threshold": 1e-300}, PruneSpec).pruning_threshold == 0
    with pytest.raises(SpecError, match=r"beyond what can be computed with, 1e-18 \(got 1e-300\)"):
        parse_spec({"zoom_ratio_max": 1e-300}, SpatialAugParams)


def test_specs_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        PruneSpec().pruning_threshold = 0.5


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("train.yaml", "train spec, 3 stages, 224x320, batch 10, 100 epochs, WeightedMomentumOptimizer"),
        ("infer.yaml", "inference spec, 288x384, pad_image_input, 1 scale, at least 3 parts"),
        ("prune.yaml", "prune spec, threshold 0.2, L2, union, multiples of 8, at least 16"),
        ("joints.json", "pose config, stick, 4 joints, 3 limbs"),
        ("coco.json", "dataset spec, 'coco', 4 joints, in /workspace/data"),
    ],
)
def test_a_spec_is_known_by_its_keys(tmp_path, name, said):
    path = written(tmp_path, name, FILES[name])
    assert describe(load_spec(path, detect_kind(path))) == said


def test_a_misspelled_key_does_not_hide_the_kind(tmp_path):
    assert detect_kind(written(tmp_path, "x.yaml", "pruning_treshold: 0.2\n")) is PruneSpec


@pytest.mark.parametrize("text", ["colour: red\n", "categories: []\n"])
def test_a_file_of_no_kind_is_an_error(tmp_path, text):
    path = written(tmp_path, "x.yaml", text)
    with pytest.raises(SpecError, match=r"x\.yaml:1: no telling what kind of spec this is"):
        detect_kind(path)


def test_what_has_no_effect_is_noted(tmp_path):
    train, infer = written(tmp_path, "t.yaml", TRAIN), written(tmp_path, "i.yaml", INFERENCE)
    assert [note.split()[0] for note in notes(load_spec(train, TrainSpec))] == [
        "paf_gaussian_sigma",
        "shuffle_buffer_size",
    ]
    assert [note.split()[0] for note in notes(load_spec(infer, InferenceSpec))] == ["output_upsampling_factor"]
    assert notes(parse_spec({}, InferenceSpec)) == []
