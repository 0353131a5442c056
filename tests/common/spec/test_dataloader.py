"""Every key of a train spec's dataloader: what changes when it does. A key that is ignored fails its row."""

import copy
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from support.coco_files import annotation, image, write_annotations, write_dataset
from support.tiny_training import ADAM

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.augmentation import SpatialAugParams
from bodyposenet.common.spec.base import dump_yaml, parse_spec
from bodyposenet.common.spec.kinds import notes
from bodyposenet.common.spec.loader import Dataloader
from bodyposenet.common.spec.train import TrainSpec

STRANGER = (0, 60, 90, 60)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A spec whose training uses as many of its keys as one can; its records are there."""
    folder = tmp_path_factory.mktemp("keys")
    images = [image(number, name=f"{number:03d}.jpg") for number in range(1, 9)]
    people = [annotation(2 * number, number, (30 + 3 * number, 12, 50, 90)) for number in range(1, 9)]
    people += [annotation(2 * number + 1, number, STRANGER, labelled=0) for number in range(1, 9)]
    for person in people:
        person["keypoints"][15::3] = [x + 9 * (number % 3) for number, x in enumerate(person["keypoints"][15::3])]
        person["keypoints"][35] = min(person["keypoints"][35], 1)  # the left hip is hidden
    dataset = write_dataset(folder / "data", images, people)
    write_annotations(folder / "data/annotations/held_out.json",
                      json.loads((folder / "data/annotations/people.json").read_text()))  # fmt: skip
    for name, part in (("train", "train"), ("other", "train"), ("val", "test"), ("val2", "test")):
        convert_dataset(dataset, folder / "records" / name, mode=part)
    convert_dataset(dataset, folder / "elsewhere" / "val", mode="test")
    for name, spec in (("coco", dataset), ("strict", without_hidden_joints(dataset))):
        (folder / f"{name}.yaml").write_text(dump_yaml(spec))
    turned = dict(zip(("skeleton", "keypoints"), turned_skeleton(), strict=True))
    category = {"name": "person", "num_joints": 18, **turned}
    (folder / "pose.json").write_text(json.dumps({"pose_config_type": "turned", "categories": [category]}))
    return spec_of(folder)


def without_hidden_joints(dataset):
    mapping = {"visible": "visible", "occluded": "not_labeled", "not_labeled": "not_labeled"}
    flags = dataset.visibility_flags.model_copy(update={"mapping": mapping})
    return dataset.model_copy(update={"visibility_flags": flags})


def turned_skeleton():
    """TAO's limbs and joints, the joints in the opposite order."""
    return [[18 - start, 18 - end] for start, end in BODYPOSENET_18.limbs], list(BODYPOSENET_18.joints[::-1])


MOVED = {
    "flip_lr_prob": 0.5, "flip_tb_prob": 0.2, "rotate_deg_max": 30.0, "rotate_deg_min": -20.0, "zoom_prob": 0.5,
    "zoom_ratio_max": 1.3, "zoom_ratio_min": 0.8, "translate_max_x": 9.0, "translate_min_x": -8.0,
    "translate_max_y": 7.0, "translate_min_y": -6.0, "use_translate_ratio": False, "translate_ratio_max": 0.1,
    "translate_ratio_min": -0.1, "target_person_scale": 0.6,
}  # fmt: skip


def spec_of(folder):
    records = str(folder / "records")
    return {
        "dataloader": {
            "batch_size": 2,
            "image_config": {"image_dims": {"height": 64, "width": 96}},
            "pose_config": {"target_shape": [8, 12]},
            "dataset_config": {
                "train_records_folder_path": records, "train_records_path": ["train"],
                "val_records_folder_path": records, "val_records_path": ["val"],
                "dataset_specs": {"coco": str(folder / "coco.yaml")},
            },
            "augmentation_config": {
                "spatial_aug_params": {**MOVED},
                "color_aug_params": {
                    "color_prob": 0.8, "brightness_max": 0.1, "contrast_max": 0.1, "saturation_max": 0.1,
                    "hue_deg_max": 5.0,
                },
                "identity_spatial_aug_params": {**MOVED},
            },
        },
        "model": {},
        "optimizer": ADAM,
    }  # fmt: skip


def changed(base, changes):
    """The base with dotted keys of its dataloader set."""
    spec = copy.deepcopy(base)
    for key, value in changes.items():
        *way, last = key.split(".")
        part = spec["dataloader"]
        for step in way:
            part = part.setdefault(step, {})
        part[last] = value(base) if callable(value) else value
    return spec


def outcome(spec):
    """What a spec leads to: its training and validation batches, what it is told and why it is refused."""
    try:
        parsed = parse_spec(spec, TrainSpec)
        plan = make_plan(parsed)
        batches = [batch for epoch in range(2) for batch in plan.batches(epoch, first=0)]
        held_out = plan.validation and [plan.validation.sample(index, 0) for index in range(len(plan.validation))]
    except (SpecError, UserError) as error:
        return {"refused": str(error)}
    seen = held_out and [part for sample in held_out for part in (sample.image, sample.joints, sample.mask)]
    return {
        "training": digest([part for batch in batches for part in batch]),
        "validation": digest(seen or []),
        "notes": list(notes(parsed)),
        "refused": None,
    }


def digest(arrays):
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(f"{array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()


def beside(base, name):
    """A path next to the records."""
    folder = base["dataloader"]["dataset_config"]["train_records_folder_path"]
    return str(folder).removesuffix("records") + name


def inline(base):
    return json.loads(Path(beside(base, "pose.json")).read_text())


MODE = "augmentation_config.spatial_augmentation_mode"
RATIO = "augmentation_config.{}.use_translate_ratio"
SPATIAL = {
    "flip_lr_prob": 1.0, "flip_tb_prob": 0.9, "rotate_deg_max": 31.0, "rotate_deg_min": -22.0, "zoom_prob": 1.0,
    "zoom_ratio_max": 1.5, "zoom_ratio_min": 0.7, "translate_max_x": 20.0, "translate_min_x": -20.0,
    "translate_max_y": 20.0, "translate_min_y": -20.0, "use_translate_ratio": True, "translate_ratio_max": 0.3,
    "translate_ratio_min": -0.3, "target_person_scale": 0.7,
}  # fmt: skip


def spatial_rows(part, touched):
    """A row for each key of spatial parameters; ratios are used only where they are switched on."""
    for name, value in SPATIAL.items():
        given = {RATIO.format(part): True} if name.startswith("translate_ratio") else {}
        yield f"augmentation_config.{part}.{name}", value, touched, given


# key: another value, what that changes, and what must be set beside it
ROWS = [
    ("__class_name__", "Other", "refused", {}),
    ("batch_size", 3, "training", {}),
    ("negatives", 0.3, "refused", {}),  # there are no records of nobody; others: tests/common/data/loading
    ("decode_whole", True, "training", {"augmentation_config.spatial_aug_params.target_person_scale": 0.4}),
    ("cache_megabytes", 1, None, {}),  # the same pictures
    ("cache_megabytes", -1, "refused", {}),
    ("shuffle_buffer_size", 7, "notes", {}),  # every epoch is a permutation of all samples, as if the buffer held them
    ("image_config.image_dims.height", 128, "training", {"pose_config.target_shape": [16, 12]}),
    ("image_config.image_dims.width", 64, "training", {"pose_config.target_shape": [8, 8]}),
    ("image_config.image_dims.channels", 1, "refused", {}),
    ("image_config.image_encoding", "fp16", "notes", {}),  # the bytes tell
    ("image_config.image_encoding", "bmp", "refused", {}),
    ("pose_config.__class_name__", "Other", "refused", {}),
    ("pose_config.target_shape", [8, 13], "refused", {}),
    ("pose_config.pose_config_path", lambda base: beside(base, "pose.json"), "training", {}),
    ("pose_config.pose_config", inline, "training", {}),
    ("dataset_config.root_data_path", "/nowhere", None, {}),  # records hold the photos' bytes
    ("dataset_config.train_records_folder_path", "/nowhere", "refused", {}),
    ("dataset_config.train_records_path", ["train", "other"], "training", {}),
    ("dataset_config.val_records_folder_path", "/nowhere", "refused", {}),
    ("dataset_config.val_records_path", ["val", "val2"], "validation", {}),
    ("dataset_config.dataset_specs", lambda base: {"coco": beside(base, "strict.yaml")}, "training", {}),
    ("normalization_params.image_scale", [256.0, 200.0, 256.0], "training", {}),
    ("normalization_params.image_offset", [0.5, 0.5, 0.4], "training", {}),
    ("normalization_params.mask_scale", [510.0], "training", {}),
    ("normalization_params.mask_offset", [0.1], "training", {}),
    ("augmentation_config.__class_name__", "Other", "refused", {}),
    (MODE, "standard", "training", {}),
    (MODE, "standard_with_fixed_aspect_ratio", "training", {MODE: "standard"}),
    *spatial_rows("spatial_aug_params", "training"),
    ("augmentation_config.color_aug_params.color_prob", 0.3, "training", {}),
    ("augmentation_config.color_aug_params.brightness_max", 0.3, "training", {}),
    ("augmentation_config.color_aug_params.contrast_max", 0.3, "training", {}),
    ("augmentation_config.color_aug_params.saturation_max", 0.3, "training", {}),
    ("augmentation_config.color_aug_params.hue_deg_max", 30.0, "training", {}),
    *spatial_rows("identity_spatial_aug_params", "validation"),
    ("augmentation_config.identity_spatial_aug_params", None, "validation", {}),
    ("label_processor_config.heatmap_gaussian_sigma", 5.0, "training", {}),
    ("label_processor_config.paf_ortho_dist_thresh", 2.0, "training", {}),
    ("label_processor_config.paf_gaussian_sigma", 0.05, "notes", {}),  # TAO computes with it, and drops the result
]


def row_id(key, value):
    """The same in every process: what a function prints of itself has its address."""
    return f"{key}={value.__name__ if callable(value) else value}"[:70]


@pytest.mark.parametrize(("key", "value", "touched", "given"), ROWS, ids=[row_id(*row[:2]) for row in ROWS])
def test_a_key_changes_what_it_should_and_nothing_else(base, key, value, touched, given):
    before, after = outcome(changed(base, given)), outcome(changed(base, given | {key: value}))
    assert before["refused"] is None or key in given or given
    if touched == "refused":
        assert after["refused"]
        return
    assert after["refused"] is None
    told = {part for part in ("training", "validation", "notes") if before.get(part) != after[part]}
    if touched is None:
        assert not told
    else:
        assert touched in told
        if touched == "validation":
            assert "training" not in told
        if touched == "notes":
            assert told == {"notes"}


def keys_of(model, before=""):
    """Every key of a spec model, dotted."""
    for name, field in model.model_fields.items():
        key = before + (field.alias or name)
        part = {"color_aug_params", "identity_spatial_aug_params"} & {name} and optional_part(field)
        part = part or field.annotation
        if name != "pose_config" or not before:
            nested = getattr(part, "model_fields", None)
            if nested:
                yield from keys_of(part, key + ".")
                continue
        yield key


def optional_part(field):
    return next(kind for kind in field.annotation.__args__ if kind is not type(None))


def test_no_key_is_without_a_row():
    assert {row[0] for row in ROWS} - {"augmentation_config.identity_spatial_aug_params"} == set(keys_of(Dataloader))
    assert set(SPATIAL) == set(SpatialAugParams.model_fields)


def test_parameters_for_validation_do_nothing_to_training_and_the_other_way_round(base):
    plain = changed(base, {"augmentation_config.identity_spatial_aug_params": None})
    moved = changed(plain, {"augmentation_config.spatial_aug_params.rotate_deg_max": 60.0})
    assert outcome(plain)["validation"] == outcome(moved)["validation"]
    assert outcome(plain)["training"] == outcome(base)["training"]


def test_without_parameters_validation_shows_whole_photos_as_they_are(base):
    dims = {"image_config.image_dims.height": 120, "image_config.image_dims.width": 160,
            "pose_config.target_shape": [15, 20], "augmentation_config.identity_spatial_aug_params": None}  # fmt: skip
    plan = make_plan(parse_spec(changed(base, dims), TrainSpec))
    sample = plan.validation.sample(0, 0)
    np.testing.assert_allclose(sample.joints[0, 0], (30 + 3 * sample.image_id, 12), atol=1e-6)  # the box's corner
    assert sample.image.shape == (120, 160, 3)


def test_colours_leave_geometry_and_targets_alone(base):
    still = outcome_batches(changed(base, {"augmentation_config.color_aug_params": None}))
    varied = outcome_batches(base)
    for one, other in zip(still, varied, strict=True):
        assert all((one[part] == other[part]).all() for part in range(1, 5))
        assert (one.images != other.images).any()


def test_colours_depend_on_seed_epoch_and_index_alone(base):
    epochs = [outcome_batches(base, epoch) for epoch in (0, 0, 1)]
    assert all((one.images == other.images).all() for one, other in zip(epochs[0], epochs[1], strict=True))
    assert (epochs[0][0].images != epochs[2][0].images).any()


def outcome_batches(spec, epoch=0):
    return list(make_plan(parse_spec(spec, TrainSpec)).batches(epoch, first=0))
