"""COCO's ten numbers, recomputed by hand where a hand can."""

import gzip
import json

import numpy as np
import pytest
from pycocotools.cocoeval import Params
from support.coco_files import JOINTS, document, image, write_annotations
from support.perfect import STANDING, standing

from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.coco_metrics import NAMES, coco_metrics
from bodyposenet.common.evaluation.ground_truth import sigmas_for
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.pose.completion import lay_out
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton

BOX = (20, 30, 200, 400)  # of area 40,000 (area field): a large person


@pytest.fixture
def annotations(tmp_path):
    def write(people, images=(1,), name="people.json"):
        return write_annotations(tmp_path / name, document([image(n, size=(480, 640)) for n in images], people))

    return write


def detection(image_id=1, box=BOX, shift=(0.0, 0.0), score=0.9):
    x, y, width, height = box
    joints = np.c_[STANDING * [width, height] + [x, y] + shift, np.ones(17)]
    return {"image_id": image_id, "category_id": 1, "keypoints": joints.ravel().tolist(), "score": score}


def test_exact_people_score_one_in_everything_there_is(annotations):
    people = [standing(1, 1, BOX), standing(2, 2, (0, 0, 40, 80))]
    metrics = coco_metrics(annotations(people, (1, 2)), [detection(), detection(2, (0, 0, 40, 80))])
    assert list(metrics) == [
        "AP_0.50:0.95_all", "AP_0.5", "AP_0.75", "AP_0.50:0.95_medium", "AP_0.50:0.95_large",
        "AR_0.50:0.95_all", "AR_0.5", "AR_0.75", "AR_0.50:0.95_medium", "AR_0.50:0.95_large",
    ]  # fmt: skip
    assert metrics == pytest.approx(dict.fromkeys(NAMES, 1.0))


@pytest.mark.parametrize("similarity", [0.52, 0.6251, 0.775, 0.93, 0.97, 0.4])
def test_a_shifted_person_counts_at_the_thresholds_below_its_oks(annotations, similarity):
    area, sigmas = 40_000.0, np.array([0.026, *[0.025] * 2, *[0.035] * 2, *[0.079] * 2, *[0.072] * 2, *[0.062] * 2,
                                       *[0.107] * 2, *[0.087] * 2, *[0.089] * 2])  # fmt: skip
    reach = 2 * area * (2 * sigmas) ** 2  # OKS = mean exp(-d^2 / reach)
    low, high = 0.0, 200.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.exp(-(middle**2) / reach).mean() > similarity else (low, middle)
    metrics = coco_metrics(annotations([standing(1, 1, BOX, area=area)]), [detection(shift=(low, 0))])
    below = sum(threshold <= similarity for threshold in np.arange(0.5, 0.96, 0.05))
    assert metrics["AP_0.50:0.95_all"] == pytest.approx(below / 10)
    assert metrics["AR_0.50:0.95_large"] == pytest.approx(below / 10)
    assert metrics["AP_0.75"] == pytest.approx(float(similarity > 0.75))
    assert metrics["AP_0.50:0.95_medium"] == -1  # nobody of that size


def test_a_better_scored_false_alarm_halves_the_precision(annotations):
    wrong = detection(box=(400, 20, 200, 400), score=0.95)
    metrics = coco_metrics(annotations([standing(1, 1, BOX)]), [wrong, detection()])
    assert metrics["AP_0.5"] == pytest.approx(0.5)
    assert metrics["AR_0.5"] == 1


def test_only_twenty_people_a_photo_count(annotations):
    wrong = [detection(box=(400, 20, 100, 400), score=0.95)] * 20
    path = annotations([standing(1, 1, BOX)])
    assert coco_metrics(path, [*wrong, detection()])["AR_0.5"] == 0
    assert coco_metrics(path, [*wrong[:19], detection()])["AR_0.5"] == 1


def test_finding_nobody_is_zero_and_having_nobody_to_find_is_minus_one(annotations):
    someone = annotations([standing(1, 1, BOX)])
    assert coco_metrics(someone, []) == {name: -1.0 if "medium" in name else 0.0 for name in NAMES}
    nobody = annotations([], name="nobody.json")
    assert coco_metrics(nobody, []) == dict.fromkeys(NAMES, -1.0)
    assert coco_metrics(nobody, [detection()]) == dict.fromkeys(NAMES, -1.0)
    assert coco_metrics(annotations([], images=(), name="empty.json"), []) == dict.fromkeys(NAMES, -1.0)


def test_people_in_a_crowd_or_without_joints_are_neither_missed_nor_false(annotations):
    crowd = standing(2, 1, (300, 30, 300, 400), iscrowd=1, segmentation={"size": [480, 640], "counts": [480 * 640]})
    bare = standing(3, 2, BOX, hidden=range(17))
    path = annotations([standing(1, 1, BOX), crowd, bare], (1, 2))
    inside = detection(1, (300, 30, 300, 400), score=0.99)
    assert coco_metrics(path, [detection(), inside, detection(2, score=0.99)])["AP_0.50:0.95_all"] == pytest.approx(1)


def test_annotation_number_zero_counts(annotations):
    assert coco_metrics(annotations([standing(0, 1, BOX)]), [detection()])["AP_0.50:0.95_all"] == pytest.approx(1)


def test_gzipped_annotations_score_the_same_in_silence(annotations, capfd):
    path = annotations([standing(1, 1, BOX)])
    zipped = path.with_suffix(".json.gz")
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    given = [detection(shift=(6, 0))]
    before = json.dumps(given)
    assert coco_metrics(zipped, given) == coco_metrics(path, given)
    assert json.dumps(given) == before
    assert capfd.readouterr() == ("", "")


def test_a_detection_in_a_photo_that_is_not_annotated_is_refused(annotations):
    with pytest.raises(UserError, match=r"people\.json: 1 photos with detections are not annotated, such as image 7"):
        coco_metrics(annotations([standing(1, 1, BOX)]), [detection(7)])


def test_other_joints_have_their_own_spread(tmp_path):
    joints = ["hand", "foot"]
    person = {"id": 1, "image_id": 1, "bbox": [0, 0, 100, 100], "area": 10_000, "iscrowd": 0, "num_keypoints": 2}
    content = {
        "images": [image(1)],
        "annotations": [person | {"keypoints": [10, 10, 2, 60, 60, 2], "category_id": 1}],
        "categories": [{"id": 1, "name": "person", "keypoints": joints}],
    }
    path = write_annotations(tmp_path / "a.json", content)
    found = [{"image_id": 1, "category_id": 1, "keypoints": [22, 10, 1, 72, 60, 1], "score": 1}]
    for sigma in (0.05, 0.1, 0.2):
        similarity = np.exp(-(12**2) / (2 * 10_000 * (2 * sigma) ** 2))
        below = sum(threshold <= similarity for threshold in np.arange(0.5, 0.96, 0.05))
        assert coco_metrics(path, found, joints, sigmas=[sigma] * 2)["AP_0.50:0.95_all"] == pytest.approx(below / 10)
    with pytest.raises(UserError, match="3 OKS sigmas for 2 joints"):
        coco_metrics(path, found, sigmas=[0.1] * 3)


def test_spreads_are_cocos_for_cocos_joints_and_the_skeletons_for_others():
    np.testing.assert_allclose(sigmas_for(COCO_17.joints, BODYPOSENET_18), Params("keypoints").kpt_oks_sigmas)
    skeleton = make_skeleton("tool", ("grip", "tip"), ((0, 1),))
    assert sigmas_for(("tip", "left_hip"), skeleton) == [skeleton.sigmas[1], 0.107]


def test_eighteen_joints_become_cocos_seventeen_by_name():
    keypoints = np.zeros((1, 18, 3), np.float32)
    for index in range(18):
        keypoints[0, index] = [index + 0.25, 100 + index + 0.125, 0.5]
    keypoints[0, BODYPOSENET_18.joints.index("left_ear")] = 0
    (made,) = to_coco(People(keypoints, np.float32([0.75])), BODYPOSENET_18, JOINTS, 42)
    assert (made["image_id"], made["category_id"], made["score"]) == (42, 1, 0.75)
    triplets = dict(zip(JOINTS, np.reshape(made["keypoints"], (17, 3)).tolist(), strict=True))
    assert triplets["left_ear"][2] == 0
    assert triplets["nose"] == [0.25, 100.125, 1]
    assert triplets["left_ankle"] == [13.25, 113.125, 1]  # not cut to whole pixels
    assert triplets["right_eye"] == [14.25, 114.125, 1]


def test_a_joint_that_was_not_found_has_the_place_that_the_body_suggests():
    body = 60j + 100 + 30 * lay_out(BODYPOSENET_18.prior)
    keypoints = np.stack([body.real, body.imag, np.ones(18)], axis=-1)[None].astype(np.float32)
    whole, hidden = keypoints.copy(), keypoints.copy()
    hidden[:, BODYPOSENET_18.joints.index("left_wrist")] = 0
    all_found, one_less = (
        np.reshape(to_coco(People(each, np.float32([1])), BODYPOSENET_18, JOINTS, 1)[0]["keypoints"], (17, 3))
        for each in (whole, hidden)
    )
    np.testing.assert_allclose(one_less[:, :2], all_found[:, :2], atol=0.01)
    assert [JOINTS[number] for number in np.flatnonzero(one_less[:, 2] == 0)] == ["left_wrist"]


def test_a_joint_that_the_network_does_not_know_is_not_found():
    people = People(np.full((1, 2, 3), 5, np.float32), np.float32([1]))
    (made,) = to_coco(people, make_skeleton("two", ("nose", "left_eye"), ()), ("left_eye", "tail"), 1)
    assert made["keypoints"] == [5, 5, 1, 0, 0, 0]
