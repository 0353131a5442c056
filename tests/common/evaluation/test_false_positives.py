"""False positives per photo, against a count that shares nothing with pycocotools."""

import math

import numpy as np
import pytest
from support.coco_files import document, image, write_annotations
from support.perfect import STANDING, standing

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.evaluation.false_positives import FalsePositives, count_false_positives
from bodyposenet.common.evaluation.ground_truth import sigmas_for
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

BOX = (20, 30, 200, 400)
ELSEWHERE = (400, 20, 200, 400)
PER_PHOTO, NOBODY = "false_positives_per_photo", "false_positives_per_photo_nobody_labelled"


def found(image_id, box=BOX, score=0.9):
    x, y, width, height = box
    joints = np.c_[STANDING * [width, height] + [x, y], np.ones(17)]
    return {"image_id": image_id, "category_id": 1, "keypoints": joints.ravel().tolist(), "score": score}


@pytest.fixture
def count(tmp_path):
    def count(people, detections, photos, looked_at=None):
        content = document([image(number, size=(480, 640)) for number in photos], people)
        truth = read_annotations(write_annotations(tmp_path / "people.json", content))
        sigmas = sigmas_for(truth.joints, BODYPOSENET_18)
        made = count_false_positives(truth, detections, sigmas=sigmas, photos=looked_at or photos)
        return made, truth, sigmas

    return count


def test_who_is_found_where_nobody_is_counts_and_who_is_there_does_not(count):
    detections = [found(1), found(1, ELSEWHERE), found(2), found(2, ELSEWHERE, 0.1)]
    made, _, _ = count([standing(1, 1, BOX)], detections, (1, 2, 3, 4))
    assert made == FalsePositives(people=3, photos=4, blank_people=2, blank_photos=3)
    assert made.numbers() == {PER_PHOTO: 0.75, NOBODY: pytest.approx(2 / 3)}


def test_a_person_who_is_found_twice_is_a_false_positive(count):
    made, _, _ = count([standing(1, 1, BOX)], [found(1), found(1, score=0.8)], (1,))
    assert made.numbers() == {PER_PHOTO: 1.0}


def test_more_than_twenty_in_a_photo_count_all(count):
    made, _, _ = count([standing(1, 1, BOX)], [found(1, ELSEWHERE, 0.01 * n) for n in range(1, 31)], (1,))
    assert made.people == 30


def test_a_crowd_excuses_everybody_in_it_and_a_person_without_joints_one(count):
    crowd = standing(1, 1, ELSEWHERE, hidden=range(17), iscrowd=1)
    crowd["segmentation"] = {"size": [480, 640], "counts": [480 * 640]}
    bare = standing(2, 2, BOX, hidden=range(17))
    crowded = [found(1, ELSEWHERE, 0.5 + n / 10) for n in range(3)]
    made, _, _ = count([crowd, bare], [*crowded, found(2), found(2, score=0.5)], (1, 2))
    assert made == FalsePositives(people=1, photos=2, blank_people=1, blank_photos=2)


def test_photos_that_could_not_be_used_are_not_counted(count):
    made, _, _ = count([standing(1, 1, BOX)], [found(2)], (1, 2, 3), looked_at=(1, 2))
    assert made.numbers() == {PER_PHOTO: 0.5, NOBODY: 1.0}


def test_nobody_found_is_none_a_photo(count):
    assert count([standing(1, 1, BOX)], [], (1,))[0].numbers() == {PER_PHOTO: 0.0}


def similarity(joints, area, person, sigmas):
    """OKS as COCO defines it, joint by joint."""
    terms = [
        math.exp(-((x - u) ** 2 + (y - v) ** 2) / (8 * sigma**2 * area))
        for (x, y, _), (u, v, flag), sigma in zip(joints, person, sigmas, strict=True)
        if flag > 0
    ]
    return sum(terms) / len(terms)


def recount(truth, detections, sigmas):
    """Each who was found, best first, takes the most similar person of the photo who is still free."""
    wrong = {}
    for photo in truth.photos:
        free = list(photo.people)
        mine = [detection for detection in detections if detection["image_id"] == photo.image_id]
        for detection in sorted(mine, key=lambda detection: -detection["score"]):
            joints = np.reshape(detection["keypoints"], (17, 3))
            scored = [(similarity(joints, person.area, person.keypoints, sigmas), n) for n, person in enumerate(free)]
            best, place = max(scored, default=(0, -1))
            if best >= 0.5:
                free.pop(place)
            else:
                wrong[photo.image_id] = wrong.get(photo.image_id, 0) + 1
    return wrong


@pytest.mark.parametrize("seed", range(5))
def test_a_count_of_ones_own_agrees(count, seed):
    rng = np.random.default_rng(seed)
    photos, people, detections = range(1, 21), [], []
    for photo in photos:
        for _ in range(rng.integers(0, 4)):
            x, y, width, height = rng.uniform((0, 0, 80, 150), (300, 150, 300, 320))
            hidden = rng.choice(17, rng.integers(0, 10), replace=False)
            people.append(standing(len(people) + 1, photo, (x, y, width, height), hidden=hidden))
            for _ in range(rng.integers(1, 4)):
                box = np.array([x, y, width, height]) + rng.normal(0, 14, 4)
                detections.append(found(photo, box.tolist(), float(rng.random())))
        detections += [found(photo, ELSEWHERE, float(rng.random())) for _ in range(rng.integers(1, 3))]
    made, truth, sigmas = count(people, detections, photos)
    wrong = recount(truth, detections, sigmas)
    blank = set(photos) - {person["image_id"] for person in people}
    assert made.blank_people >= len(blank) > 0
    assert 10 < made.people < len(detections) - 10
    assert made == FalsePositives(
        sum(wrong.values()), 20, sum(wrong.get(photo, 0) for photo in blank), len(blank)
    )  # fmt: skip
