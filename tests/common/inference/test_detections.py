"""Detections: what a file says of people is read back as them."""

import json
from pathlib import Path

import numpy as np
import pytest

from bodyposenet.common.inference.detections import (
    dump_coco,
    dump_entry,
    dump_photo,
    entry,
    read_people,
    summarize,
    to_coco,
)
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17


def draw_people(count, skeleton=COCO_17):
    rng = np.random.default_rng(7)
    keypoints = rng.uniform(1, 500, (count, skeleton.num_joints, 3)).astype(np.float32)
    keypoints[:, 4] = 0  # a joint that was not found
    return People(keypoints, rng.uniform(0, 1, count).astype(np.float32))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_people_are_read_back_from_their_entry(count):
    people = draw_people(count)
    keypoints = people.keypoints
    found = read_people(entry(Path("a.jpg"), people), COCO_17)
    np.testing.assert_allclose(found.keypoints[..., :2], keypoints[..., :2], atol=6e-4)
    np.testing.assert_allclose(found.scores, people.scores, atol=6e-7)
    assert (found.keypoints[:, 4] == 0).all()
    assert (np.delete(found.keypoints[..., 2], 4, axis=1) == 1).all()


@pytest.mark.parametrize("count", [0, 1, 3])
def test_entries_and_people_are_written_letter_for_letter_as_pythons_encoder_does(count):
    people = draw_people(count, BODYPOSENET_18)
    found = entry('a "b".jpg', people, {"image_meta": {"id": 7, "file_name": "ä"}, "\t": [None, 1e-7]})
    plain = found | {"keypoints": found["keypoints"].tolist()}
    assert dump_entry(found) == dump_entry(plain) == json.dumps(plain)
    crowd = [json.dumps(person) for person in to_coco(people, BODYPOSENET_18, COCO_17.joints, 7)]
    assert dump_coco(people, BODYPOSENET_18, COCO_17.joints, 7) == crowd
    assert [len(dump_photo(each, BODYPOSENET_18)) for each in (found, plain)] == [1 + count] * 2
    assert "\t" not in "".join(dump_photo(found, BODYPOSENET_18))


def test_a_photo_that_could_not_be_read_shows_nobody():
    found = read_people(entry(Path("a.jpg"), None, {"problem": "is no photo"}), COCO_17)
    assert (len(found), found.keypoints.shape) == (0, (0, COCO_17.num_joints, 3))


def test_a_summary_counts_in_singular_and_plural():
    assert summarize(1, 1, 0, 1) == "1 person found in 1 photo (nobody in 0). 1 photo could not be used."
    assert (
        summarize(0, 1200, 1200, 0, ", 3 labelled") == "0 people found in 1,200 photos (nobody in 1,200), 3 labelled."
    )
