"""The AP of perfect maps: what the codec itself loses."""

import numpy as np
import pytest
from support.coco_files import annotation, dataset_spec, document, image, write_annotations
from support.perfect import standing

from bodyposenet.common.evaluation.ceiling import ceiling_ap, compute_ceiling_ap
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec


def ceiling(path, **options):
    return compute_ceiling_ap(path, BODYPOSENET_18, **{"input_shape": (368, 368), **options})


@pytest.fixture
def annotations(tmp_path):
    def write(*people, name="people.json"):
        return write_annotations(tmp_path / name, document([image(1, size=(480, 640))], people))

    return write


@pytest.mark.parametrize("mode", ["adjust_network_input", "pad_image_input", None])
def test_large_whole_people_far_apart_lose_nothing(annotations, mode):
    path = annotations(standing(1, 1, (20, 30, 200, 400)), standing(2, 1, (350, 30, 200, 400)))
    assert ceiling(path, mode=mode) == pytest.approx(1)


def test_people_with_fewer_joints_than_the_minimum_are_lost(annotations):
    shin = standing(2, 1, (350, 30, 200, 400), hidden=(*range(13), 14, 16))
    path = annotations(standing(1, 1, (20, 30, 200, 400)), shin)
    assert ceiling(path, min_parts=3) == pytest.approx(51 / 101)  # one of two, at 101 recalls from 0 to 1
    assert ceiling(path, min_parts=2) == pytest.approx(1)


def test_people_closer_than_the_cells_are_lost_at_low_resolution(annotations):
    path = annotations(*[standing(n, 1, (20 + 45 * n, 30 + 5 * n, 60, 140)) for n in range(1, 6)])
    at = {side: ceiling(path, input_shape=(side, side)) for side in (96, 184, 256)}
    assert at[96] < 0.2 < at[184] < 0.9 < at[256]


def test_a_dataset_specs_test_half_is_measured_with_the_inference_specs_settings(tmp_path):
    people = [standing(1, 1, (20, 30, 200, 400)), standing(2, 1, (350, 30, 200, 400), hidden=range(2, 17))]
    write_annotations(tmp_path / "train.json", document([image(1)], [annotation(1, 1, (0, 0, 9, 9))]))
    path = write_annotations(tmp_path / "test.json", document([image(1, size=(480, 640))], people))
    dataset = dataset_spec(tmp_path, train="train.json", test="test.json")
    for keys in ({"min_parts": 1}, {"min_parts": 2}, {"min_parts": 3, "input_shape": [96, 128]}):
        spec = parse_spec({"input_shape": [368, 368], **keys}, InferenceSpec)
        shape = spec.input_shape
        assert ceiling_ap(dataset, spec, BODYPOSENET_18) == ceiling(path, input_shape=shape, min_parts=spec.min_parts)


def test_hidden_joints_that_the_dataset_counts_as_unlabelled_are_not_looked_for(tmp_path):
    person = standing(1, 1, (20, 30, 200, 400))
    keypoints = np.reshape(person["keypoints"], (17, 3))
    keypoints[5:, 2] = 1
    person["keypoints"] = keypoints.ravel().tolist()
    write_annotations(tmp_path / "a.json", document([image(1, size=(480, 640))], [person]))
    words = {"visible": "visible", "not_labeled": "not_labeled"}
    flags = {"value": {"visible": 2, "occluded": 1, "not_labeled": 0}}
    spec = parse_spec({"input_shape": [368, 368], "min_parts": 8}, InferenceSpec)
    for meaning, ap in (("occluded", 1.0), ("not_labeled", 0.0)):
        visibility = flags | {"mapping": words | {"occluded": meaning}}
        dataset = dataset_spec(tmp_path, train="a.json", test="a.json", visibility_flags=visibility)
        assert ceiling_ap(dataset, spec, BODYPOSENET_18) == pytest.approx(ap)


@pytest.mark.data
def test_perfect_maps_of_real_photos_reach_the_bar(data_folder):
    path = data_folder / "coco_sample/annotations/person_keypoints_val.json"
    assert ceiling(path, min_parts=3) >= 0.75  # 0.7628 measured; the issue asks for 0.72
    assert ceiling(path, min_parts=1) >= 0.81  # 0.8222 measured; 0.75
