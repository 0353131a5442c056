"""Photo set: what is found in a folder, what is drawn without one, and what is said of a folder that will not do."""

import json
import shutil

import cv2
import numpy as np
import pytest

from bodyposenet.common.data.photo_set import (
    DATASET_SPEC,
    gather,
    keep_test_half,
    make_dataset_spec,
    photos_in,
    spec_in,
)
from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.skeleton.skeleton import COCO_17


def make(folder, *files, folders=("images",)):
    """A folder with empty annotation files."""
    for name in folders:
        (folder / name).mkdir(parents=True)
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")
    return folder


def halves(spec):
    """Folder of photos and annotation file of the training half and of the held-out one."""
    return [(half.images_root_dir_path, half.annotation_root_dir_path) for half in (spec.train_data, spec.test_data)]


NAMED = ("annotations/person_keypoints_train.json", "annotations/person_keypoints_val.json")


def test_without_a_source_people_are_drawn_the_same_for_the_same_seed(tmp_path):
    sets = [gather("", tmp_path / name, train=2, val=1, seed=seed) for name, seed in (("a", 5), ("b", 5), ("c", 6))]
    photos = [sorted((folder / "images").glob("*.jpg")) for folder in sets]
    assert [len(files) for files in photos] == [3, 3, 3]
    drawn = [[cv2.imread(str(file)) for file in files] for files in photos]
    assert all(np.array_equal(a, b) for a, b in zip(drawn[0], drawn[1], strict=True))
    assert not any(np.array_equal(a, c) for a, c in zip(drawn[0], drawn[2], strict=True))
    assert halves(make_dataset_spec(sets[0])) == [("images", NAMED[0]), ("images", NAMED[1])]
    assert photos_in(tmp_path / "a") == tmp_path / "a"


@pytest.mark.parametrize(
    ("files", "folders", "expected"),
    [
        (["data.yaml"], ["images"], [("images", "data.yaml#train"), ("images", "data.yaml#val")]),
        (
            ["data.yaml"],
            ["train/images", "valid/images"],
            [("train/images", "data.yaml#train"), ("valid/images", "data.yaml#val")],
        ),
        (["data.yaml", *NAMED], ["images"], [("images", NAMED[0]), ("images", NAMED[1])]),
        (["train.xml", "val.json"], ["images"], [("images", "train.xml"), ("images", "val.json")]),
    ],
)
def test_annotations_of_other_tools_are_found_beside_the_photos(tmp_path, files, folders, expected):
    """A YOLO-pose dataset counts where there are no files of the halves."""
    assert halves(make_dataset_spec(make(tmp_path / "mine", *files, folders=folders))) == expected


def test_a_given_folder_is_pointed_at_and_not_copied(tmp_path, monkeypatch):
    source = make(tmp_path / "mine", *NAMED)
    (source / "images" / "one.jpg").write_bytes(b"photo")
    monkeypatch.chdir(tmp_path)
    assert gather("mine", tmp_path / "set") == source
    assert photos_in(tmp_path / "set") == source
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["source.json"]


def test_cocos_own_layout_is_found(tmp_path):
    others = [f"annotations/{kind}_{half}2017.json" for kind in ("instances", "captions") for half in ("train", "val")]
    wanted = [f"annotations/person_keypoints_{half}2017.json" for half in ("train", "val")]
    folder = make(tmp_path, *others, *wanted, folders=("train2017", "val2017"))
    assert halves(make_dataset_spec(folder)) == [("train2017", wanted[0]), ("val2017", wanted[1])]


def test_annotation_files_may_lie_beside_the_photos_under_any_name(tmp_path):
    folder = make(tmp_path, "my_train_labels.json", "my_val_labels.json")
    assert halves(make_dataset_spec(folder)) == [("images", "my_train_labels.json"), ("images", "my_val_labels.json")]


def test_the_joints_are_cocos_and_the_settings_join_them(tmp_path):
    settings = {"dataset": "mine", "data_filtering_params": {"min_acceptable_kpts": 7}}
    spec = make_dataset_spec(make(tmp_path, *NAMED), settings)
    assert spec.root_directory_path == str(tmp_path)
    assert tuple(spec.categories[0].keypoints) == COCO_17.joints
    assert (spec.dataset, spec.data_filtering_params.min_acceptable_kpts) == ("mine", 7)
    assert make_dataset_spec(tmp_path).dataset == "coco"


def test_joints_of_the_settings_win(tmp_path):
    person = {"name": "person", "num_joints": 2, "keypoints": ["head", "foot"]}
    spec = make_dataset_spec(make(tmp_path, *NAMED), {"categories": [person]})
    assert list(spec.categories[0].keypoints) == ["head", "foot"]


@pytest.mark.parametrize(
    ("files", "folders", "problem"),
    [
        (NAMED, (), "has no folder images, train2017, train"),
        (NAMED[:1], ("images",), "needs one keypoint file with 'val' in its name, has: none"),
        (
            (*NAMED, "annotations/person_keypoints_train2.json"),
            ("images",),
            "needs one keypoint file with 'train' in its name, "
            "has: person_keypoints_train.json, person_keypoints_train2.json",
        ),
        (
            (NAMED[0], "annotations/a_val.json", "annotations/b_val.json"),
            ("images",),
            "needs one keypoint file with 'val' in its name, has: a_val.json, b_val.json",
        ),
    ],
)
def test_a_folder_that_will_not_do_is_refused_before_anything_runs(tmp_path, files, folders, problem):
    folder = make(tmp_path / "set", *files, folders=folders)
    with pytest.raises(UserError) as told:
        make_dataset_spec(folder)
    assert problem in str(told.value)
    assert str(folder) in str(told.value)


@pytest.mark.parametrize(
    ("files", "folders"), [(NAMED, ()), ((*NAMED, "annotations/keypoints_train2.json"), ("images",))]
)
def test_a_folder_of_which_no_rule_makes_a_set_is_not_pointed_at(tmp_path, files, folders):
    folder = make(tmp_path / "set", *files, folders=folders)
    with pytest.raises(UserError, match=f"{folder}"):
        gather(str(folder), tmp_path / "output")
    assert not (tmp_path / "output" / "source.json").exists()


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match="there is no such folder") as told:
        gather(str(tmp_path / "nowhere"), tmp_path / "output")
    assert str(tmp_path / "nowhere") in str(told.value)


def test_settings_that_are_no_dataset_spec_are_told_by_key(tmp_path):
    with pytest.raises(SpecError, match=r"dataset_spec: data_filtering_params\.min_acceptable_kpt: .*did you mean"):
        make_dataset_spec(make(tmp_path, *NAMED), {"data_filtering_params": {"min_acceptable_kpt": 7}})


@pytest.mark.data
def test_the_coco_sample_is_a_photo_set(data_folder, tmp_path):
    folder = gather(str(data_folder / "coco_sample"), tmp_path / "set")
    for images, annotations in halves(make_dataset_spec(folder)):
        listed = json.loads((folder / annotations).read_text())["images"]
        assert listed
        assert all((folder / images / image["file_name"]).is_file() for image in listed)


def test_a_converted_dataset_brings_its_test_half_wherever_it_goes(tmp_path):
    photos = gather("", tmp_path / "photos", train=2, val=3, seed=0)
    spec = make_dataset_spec(photos)
    folder = tmp_path / "dataset"
    folder.mkdir()
    (folder / DATASET_SPEC).write_text(keep_test_half(spec, folder).model_dump_json(by_alias=True))
    before = read_test_set(spec)
    shutil.rmtree(photos)
    moved = folder.rename(tmp_path / "elsewhere")
    after = read_test_set(spec_in(moved))
    assert [photo.image_id for photo in after.photos] == [photo.image_id for photo in before.photos]
    assert all((spec_in(moved).locate_half("test").images / photo.file_name).is_file() for photo in after.photos)
