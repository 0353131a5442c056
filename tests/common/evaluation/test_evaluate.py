"""A test set from its photos to AP, files and report."""

import csv
import json

import cv2
import numpy as np
import pytest
from support.coco_files import dataset_spec, document, image, write_annotations, write_dataset
from support.perfect import PerfectRunner, standing
from support.pose_net import CARD, pose_net

from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.ceiling import ceiling_ap
from bodyposenet.common.evaluation.coco_metrics import NAMES
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

MODES = ("adjust_network_input", "pad_image_input")
IMAGES = [image(7, size=(240, 320)), image(3, size=(320, 200)), image(5, size=(200, 200))]
PEOPLE = [
    standing(1, 7, (20, 20, 90, 210)),
    standing(2, 7, (180, 10, 100, 200), hidden=(7, 9)),
    standing(3, 3, (30, 30, 110, 250)),
]


def spec(**keys):
    return parse_spec({"input_shape": [184, 184], **keys}, InferenceSpec)


def perfect(dataset, mode="adjust_network_input"):
    return PerfectRunner(read_test_set(dataset), mode, shape=(184, 184))


def read(path):
    return json.loads(path.read_text())


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", IMAGES, PEOPLE)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("min_parts", [1, 3, 17])
def test_a_perfect_network_scores_the_ceiling(dataset, tmp_path, mode, min_parts):
    settings = spec(keep_aspect_ratio_mode=mode, min_parts=min_parts)
    outcome = evaluate(perfect(dataset, mode), settings, dataset, tmp_path / "out")
    assert outcome.ap == pytest.approx(ceiling_ap(dataset, settings, BODYPOSENET_18), abs=1e-9)
    assert outcome.ap > 0.5
    assert (outcome.images, outcome.labelled, outcome.skipped) == (3, 3, [])


def test_a_least_score_takes_people_away_from_what_is_told_and_not_from_ap(dataset, tmp_path):
    every = evaluate(perfect(dataset), spec(), dataset, tmp_path / "out")
    few = evaluate(perfect(dataset), spec(min_score=1.0), dataset, tmp_path / "out")
    assert (every.people, few.people) == (3, 0)
    assert few.metrics == every.metrics
    assert few.false_positives.people == 0


def test_the_files_are_taos(dataset, tmp_path):
    outcome = evaluate(perfect(dataset), spec(), dataset, tmp_path / "out")
    made = read(tmp_path / "out/detections.json")
    assert made["pose_config_type"] == "bpnet_18_joints"
    person = made["categories"][0]
    assert person["keypoints"] == list(BODYPOSENET_18.joints)  # and no background
    assert person["skeleton"][0] == [2, 9]  # neck to right hip, counted from 1
    assert person["skeleton_edge_names"][0] == ["neck", "right_hip"]
    assert made["inference_spec"]["input_shape"] == [184, 184]
    assert [entry["image_meta"]["id"] for entry in made["images"]] == [7, 3, 5]
    assert [len(entry["scores"]) for entry in made["images"]] == [2, 1, 0]
    assert np.shape(made["images"][1]["keypoints"]) == (1, 18, 2)
    assert made["images"][0]["full_image_path"].endswith("data/images/007.png")
    detections = read(tmp_path / "out/detections_coco_format.json")
    assert [found["image_id"] for found in detections] == [7, 7, 3]
    found = np.reshape(detections[2]["keypoints"], (17, 3))
    np.testing.assert_allclose(found[:, :2], np.reshape(PEOPLE[2]["keypoints"], (17, 3))[:, :2], atol=1)
    assert (found[:, :2] % 1 != 0).any()  # not cut to whole pixels
    rows = list(csv.reader((tmp_path / "out/results.csv").read_text().splitlines()))
    assert rows[0] == ["", "metric", "IoU", "area", "maxDets", "score"]
    assert [row[:5] for row in rows[1:7:2]] == [
        ["0", "AP", "0.50:0.95", "all", "20"],
        ["2", "AP", "0.75", "all", "20"],
        ["4", "AP", "0.50:0.95", "large", "20"],
    ]
    assert [float(row[5]) for row in rows[1:]] == list(outcome.metrics.values())


def test_status_tells_start_success_and_the_ten_figures(dataset, tmp_path):
    outcome = evaluate(perfect(dataset), spec(), dataset, tmp_path)
    first, last = [json.loads(line) for line in (tmp_path / "status.json").read_text().splitlines()]
    assert (first["status"], last["status"]) == ("STARTED", "SUCCESS")
    alarms = {"false_positives_per_photo": 0.0, "false_positives_per_photo_nobody_labelled": 0.0}
    assert last["kpi"] == outcome.metrics | alarms
    assert tuple(last["kpi"])[:10] == NAMES
    assert last["message"] == outcome.summary()
    assert outcome.summary() == f"AP {outcome.ap:.3f}: 3 people found in 3 photos (nobody in 1), 3 labelled."


def test_a_photo_that_cannot_be_used_is_reported_and_its_people_are_missed(dataset, tmp_path):
    whole = evaluate(perfect(dataset), spec(), dataset, tmp_path / "whole")
    (tmp_path / "data/images/007.png").write_bytes(b"broken")
    cv2.imwrite(str(tmp_path / "data/images/005.png"), np.zeros((100, 200, 3), np.uint8))
    runner = perfect(dataset)
    runner.queue = [photo for photo in runner.queue if photo.image_id == 3]
    outcome = evaluate(runner, spec(), dataset, tmp_path / "out")
    assert len(outcome.skipped) == 2
    assert "image 7" in outcome.skipped[0]
    assert "is no readable image" in outcome.skipped[0]
    assert "has 200 x 100 pixels, the annotations say 200 x 200" in outcome.skipped[1]
    assert 0 < outcome.ap < whole.ap
    assert (outcome.false_positives.photos, outcome.false_positives.blank_photos) == (1, 0)  # those looked at
    assert "2 photos could not be used" in outcome.summary()
    entries = read(tmp_path / "out/detections.json")["images"]
    assert ["keypoints" in entry for entry in entries] == [False, True, False]


def test_photos_that_are_all_missing_are_an_error_with_the_key_to_check(dataset, tmp_path):
    for path in (tmp_path / "data/images").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"none of the 3 test photos can be used.*check root_directory_path"):
        evaluate(perfect(dataset), spec(), dataset, tmp_path / "out")


def test_finding_nobody_is_reported_as_zero(dataset, tmp_path):
    outcome = evaluate(perfect(dataset), spec(heatmap_threshold=1.0), dataset, tmp_path / "out")
    assert (outcome.ap, outcome.people, outcome.empty) == (0, 0, 3)
    assert outcome.summary().startswith("AP 0.000: 0 people found in 3 photos (nobody in 3)")
    assert read(tmp_path / "out/detections_coco_format.json") == []
    assert [entry["keypoints"] for entry in read(tmp_path / "out/detections.json")["images"]] == [[], [], []]


@pytest.mark.parametrize(
    ("images", "people", "message"),
    [
        ([], [], "nobody is labelled in 0 photos\nthe file has no annotations of people"),
        (IMAGES[:1], [standing(1, 7, (0, 0, 9, 9), hidden=range(17))], "1 people have no labelled joint"),
        (
            IMAGES[:1],
            [standing(1, 7, (5, 5, 9, 9)) | {"keypoints": [7, 8, 0] * 17}],
            "1 people have places of joints, but only flags that mean not labelled: see visibility_flags",
        ),
        (
            IMAGES[:1],
            [standing(1, 7, (0, 0, 9, 9)) | {"category_id": 7}],
            "1 x category_id: .* no category has its number 7",
        ),
    ],
)
def test_a_set_with_nothing_to_measure_is_refused_with_the_reason(tmp_path, images, people, message):
    dataset = write_dataset(tmp_path / "data", images, people)
    with pytest.raises(UserError, match=message):
        evaluate(perfect(dataset), spec(), dataset, tmp_path / "out")


def test_a_network_of_other_joints_is_refused(dataset, tmp_path):
    runner = perfect(dataset)
    skeleton = make_skeleton("tool", ("grip", "tip"), ((0, 1),))
    runner = PerfectRunner(runner.truth, skeleton=skeleton)
    with pytest.raises(UserError, match="none of the annotations'"):
        evaluate(runner, spec(), dataset, tmp_path / "out")


def test_a_network_that_spells_joints_otherwise_is_refused(dataset, tmp_path):
    """It would be scored by its nose alone."""
    runner = perfect(dataset)
    joints = [name.title().replace("_", " ") if "_" in name else name for name in runner.truth.joints]
    runner = PerfectRunner(runner.truth, skeleton=make_skeleton("tool", joints, ((0, 1),)))
    with pytest.raises(UserError, match="its joint 'left_eye' is called 'Left Eye' by the network"):
        evaluate(runner, spec(), dataset, tmp_path / "out")


def test_only_the_test_half_is_used_and_only_its_visible_flags_are_read(tmp_path):
    odd = [person | {"keypoints": recoded(person["keypoints"])} for person in PEOPLE]
    data = tmp_path / "data"
    write_dataset(data, IMAGES, odd)
    write_annotations(data / "train.json", document([], []))
    flags = {
        "value": {"seen": 1, "covered": 2, "unknown": -1},
        "mapping": {"seen": "visible", "covered": "occluded", "unknown": "not_labeled"},
    }
    dataset = dataset_spec(data, train="train.json", visibility_flags=flags)
    truth = read_test_set(dataset)
    want = [np.reshape(person["keypoints"], (17, 3)) for person in PEOPLE]
    read_back = [person.keypoints for photo in truth.photos for person in photo.people]
    np.testing.assert_array_equal(np.array(read_back)[..., 2], np.array(want)[..., 2])
    outcome = evaluate(perfect(dataset), spec(), dataset, tmp_path / "out")
    plain = write_dataset(tmp_path / "plain", IMAGES, PEOPLE)
    assert outcome.metrics == evaluate(perfect(plain), spec(), plain, tmp_path / "out").metrics


def recoded(keypoints):
    """COCO's flags 2 and 0 as 1 and -1."""
    table = np.reshape(keypoints, (-1, 3)).copy()
    table[:, 2] = np.where(table[:, 2] == 2, 1, -1)
    return table.ravel().tolist()


@pytest.mark.data
def test_a_perfect_network_scores_the_ceiling_on_real_photos(data_folder, tmp_path):
    halves = {"annotation_root_dir_path": "annotations/person_keypoints_val.json"}
    halves |= {"images_root_dir_path": "images", "mask_root_dir_path": "masks"}
    root = data_folder / "coco_sample"
    dataset = dataset_spec(root, train_data=halves, test_data=halves)
    settings = spec(input_shape=[368, 368])
    outcome = evaluate(PerfectRunner(read_test_set(dataset)), settings, dataset, tmp_path)
    assert outcome.ap == pytest.approx(ceiling_ap(dataset, settings, BODYPOSENET_18), abs=1e-9)
    assert outcome.skipped == []


@pytest.mark.slow
def test_keras_and_onnx_files_of_one_network_find_the_same_people(tmp_path):
    from bodyposenet.common.deploy.export.keras_to_onnx import export_onnx
    from bodyposenet.common.model.files.model_file import save_model

    save_model(pose_net(), tmp_path / "model.tlt", CARD)
    export_onnx(tmp_path / "model.tlt", tmp_path / "model.onnx")
    dataset = write_dataset(tmp_path / "data", IMAGES, PEOPLE)
    settings = spec(input_shape=[64, 96], min_parts=1, max_people=3, paf_threshold=0.0)
    found = {}
    for name in ("model.tlt", "model.onnx"):
        outcome = evaluate(tmp_path / name, settings, dataset, tmp_path / f"out-{name}")
        assert outcome.people == 9  # noise is full of peaks
        found[name] = read(tmp_path / f"out-{name}" / "detections.json")["images"]
    for keras, onnx in zip(*found.values(), strict=True):
        np.testing.assert_allclose(keras["keypoints"], onnx["keypoints"], atol=0.5)
        np.testing.assert_allclose(keras["scores"], onnx["scores"], atol=1e-3)
        assert np.any(keras["keypoints"])
