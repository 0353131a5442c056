"""OKS: to the last bit what pycocotools makes of a photo, only sooner."""

import contextlib
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from bodyposenet.common.data.annotations.coco import Person, Photo
from bodyposenet.common.evaluation.oks import KeypointEvaluation, compare_joints, match_people, match_photo
from bodyposenet.common.skeleton.skeleton import COCO_17, find_sigma

SIGMAS = np.array([find_sigma(joint) for joint in COCO_17.joints])


def make_person(generator, number):
    """An annotation on a grid, so that distances, scores and areas are often equal."""
    joints = np.c_[generator.integers(0, 12, (17, 2)) * 10.0, generator.integers(0, 3, 17)]
    if generator.random() < 0.2:
        joints[:] = 0
    left, top = generator.integers(0, 60, 2)
    return {
        "id": number,
        "image_id": int(generator.integers(1, 4)),
        "category_id": 1,
        "keypoints": joints.ravel().tolist(),
        "num_keypoints": int((joints[:, 2] > 0).sum()),
        "bbox": [float(left), float(top), 60.0, 80.0],
        "area": float(generator.choice([500.0, 32.0**2, 5000.0, 96.0**2, 90000.0])),
        "iscrowd": int(generator.random() < 0.15),
    }


def make_detection(generator, people):
    """Somebody near an annotation, or exactly there."""
    if people and generator.random() < 0.8:
        like = people[generator.integers(len(people))]
        joints, photo = np.reshape(like["keypoints"], (17, 3)).copy(), like["image_id"]
        joints[:, :2] += generator.choice([0, 1, 4, 10]) * generator.integers(-1, 2, (17, 2))
    else:
        joints, photo = generator.integers(0, 120, (17, 3)).astype(float), int(generator.integers(1, 4))
    score = float(generator.integers(0, 5)) / 4
    return {"image_id": photo, "category_id": 1, "keypoints": joints.ravel().tolist(), "score": score}


def evaluate(kind, people, detections, most):
    """A finished evaluation of one kind."""
    truth = COCO()
    truth.dataset = {
        "images": [{"id": number} for number in (1, 2, 3)],
        "categories": [{"id": 1, "name": "person"}],
        "annotations": [dict(person) for person in people],
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = kind(truth, truth.loadRes([dict(each) for each in detections]), "keypoints")
        found.params.kpt_oks_sigmas, found.params.maxDets = SIGMAS, [most]
        found.evaluate()
        found.accumulate()
    return found


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(1, 30), st.sampled_from([3, 20]))
def test_every_photo_is_matched_as_pycocotools_does(seed, annotated, found, most):
    generator = np.random.default_rng(seed)
    people = [make_person(generator, number) for number in range(1, annotated + 1)]
    detections = [make_detection(generator, people) for _ in range(found)]
    ours, theirs = (evaluate(kind, people, detections, most) for kind in (KeypointEvaluation, COCOeval))
    for photo, table in theirs.ious.items():
        np.testing.assert_allclose(ours.ious[photo], table, rtol=1e-13, atol=0)
    for mine, its in zip(ours.evalImgs, theirs.evalImgs, strict=True):
        np.testing.assert_equal(mine, its)
    np.testing.assert_equal(ours.eval["precision"], theirs.eval["precision"])
    np.testing.assert_equal(ours.eval["recall"], theirs.eval["recall"])


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(0, 9), st.integers(1, 30))
def test_whoever_matches_nobody_is_whom_pycocotools_matches_with_nobody(seed, annotated, found):
    generator = np.random.default_rng(seed)
    people = [make_person(generator, number) for number in range(1, annotated + 1)]
    detections = [make_detection(generator, people) for _ in range(found)]
    whole = evaluate(COCOeval, people, detections, found)
    with contextlib.redirect_stdout(io.StringIO()):
        whole.params.iouThrs, whole.params.areaRng, whole.params.areaRngLbl = np.array([0.5]), [[0, np.inf]], ["all"]
        whole.evaluate()
    for told in filter(None, whole.evalImgs):
        own = [person for person in people if person["image_id"] == told["image_id"]]
        some = [each for each in detections if each["image_id"] == told["image_id"]]
        photo = Photo(told["image_id"], "", 480, 640, tuple(map(as_person, own)))
        whose = match_photo(photo, some, SIGMAS.tolist(), 0.5).whose
        assert [0 if number is None else own[number]["id"] for number in whose] == told["dtMatches"][0].tolist()


def as_person(told):
    """An annotation as files are read."""
    joints, box = np.reshape(told["keypoints"], (17, 3)), np.array(told["bbox"])
    return Person(told["id"], joints, box, told["area"], bool(told["iscrowd"]), told["num_keypoints"], [])


def test_an_annotation_without_joints_is_met_by_whoever_is_around_its_box():
    people = np.full((2, 17, 2), [[[50.0]], [[500.0]]])
    table = compare_joints(people, np.zeros((1, 17, 3)), np.array([[40.0, 40, 20, 20]]), np.array([400.0]), SIGMAS)
    assert table[:, 0] == pytest.approx([1, 0], abs=1e-12)


def test_a_crowd_is_met_by_many_and_a_person_by_one():
    rows = [[0.9, 0.95], [0.8, 0.95], [0.8, 0.7]]
    assert match_people(rows, [False, True], [False, True], 0.5) == [0, 1, 1]
    assert match_people(rows, [False, True], [False, False], 0.5) == [0, 1, None]
