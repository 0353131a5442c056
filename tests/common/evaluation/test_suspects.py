"""Suspects: labels that are likely wrong come first in the list, and right ones are not in it."""

import csv
import json

import numpy as np
import pytest
from support.coco_files import JOINTS, document, image, write_annotations, write_dataset
from support.perfect import PerfectRunner, standing

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.evaluation.suspects import describe_suspects, find_exchange, find_suspects
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.inference.detector import find_people, open_model
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.location import locate

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

IMAGES = [image(7, size=(240, 320)), image(3, size=(320, 200))]
PEOPLE = [
    standing(1, 7, (20, 20, 90, 210)),
    standing(2, 7, (180, 10, 100, 200), hidden=(7, 9)),
    standing(3, 3, (30, 30, 110, 250)),
]


def swap(label):
    joints = np.reshape(label["keypoints"], (17, 3))[COCO_17.flip_order]
    return label | {"keypoints": joints.ravel().tolist()}


def shift(label, number, pixels):
    joints = np.reshape(label["keypoints"], (17, 3)).astype(float)
    joints[joints[:, 2] > 0, :2] += pixels
    return label | {"id": number, "keypoints": joints.ravel().tolist()}


def find(people, score=0.9):
    """What a perfect network finds: the people as they are."""
    flags = [[1, 1, 0.5]] * 17  # a detection's joints have the flag 1
    return [
        {"image_id": label["image_id"], "category_id": 1, "score": score}
        | {"keypoints": (np.reshape(label["keypoints"], (17, 3)) * flags).ravel().tolist()}
        for label in people
    ]


@pytest.fixture
def suspect(tmp_path):
    """Suspects among labels, by kind and number, where a perfect network finds the people."""

    def run(labels, found=None, skeleton=BODYPOSENET_18):
        truth = read_annotations(write_annotations(tmp_path / "people.json", document(IMAGES, labels)))
        return find_suspects(truth, find(PEOPLE) if found is None else found, skeleton)

    return run


def name(suspects):
    return [(one.kind, one.photo.image_id, one.annotation_id) for one in suspects]


def test_right_labels_are_not_suspected(suspect):
    assert suspect(PEOPLE) == []
    assert suspect([shift(label, label["id"], 2) for label in PEOPLE]) == []


def test_a_right_label_before_somebody_who_looks_the_other_way_is_not_suspected(suspect):
    behind = find([swap(shift(PEOPLE[0], 8, 4))])
    assert suspect(PEOPLE, [*find(PEOPLE), *behind]) == []


@pytest.mark.parametrize("number", range(3))
def test_a_label_with_left_and_right_exchanged_is_suspected_alone(suspect, number):
    labels = [swap(label) if at == number else label for at, label in enumerate(PEOPLE)]
    (one,) = suspect(labels)
    assert name([one]) == [("swapped", PEOPLE[number]["image_id"], number + 1)]
    assert "OKS 1.00 instead of 0." in one.reason
    np.testing.assert_array_equal(one.keypoints, np.reshape(labels[number]["keypoints"], (17, 3)))


def test_somebody_whom_nobody_labelled_is_told_with_the_joints_that_were_found(suspect):
    (one,) = suspect(PEOPLE[1:])
    assert name([one]) == [("missing", 7, None)]
    np.testing.assert_allclose(one.keypoints, np.reshape(PEOPLE[0]["keypoints"], (17, 3)))
    x, y = one.keypoints[:, :2].mean(axis=0)
    assert one.reason == f"somebody with 17 joints around {x:.0f}, {y:.0f} was found, and has no label"


@pytest.mark.parametrize(("joints", "suspected"), [(3, False), (4, True)])
def test_a_few_joints_are_nobody(suspect, joints, suspected):
    found = find([standing(1, 7, (20, 20, 90, 210), hidden=range(joints, 17))])
    assert bool(suspect(PEOPLE[1:], found)) == suspected


def test_the_surer_somebody_was_found_the_likelier_a_label_is_missing(suspect):
    scores = [suspect(PEOPLE[1:], find(PEOPLE[:1], score))[0].score for score in (0.3, 0.6, 0.9)]
    assert scores == sorted(scores)
    assert scores[0] < scores[2]


def test_crowds_and_people_without_joints_excuse_who_is_found_there(suspect):
    box = PEOPLE[0]["bbox"]
    blank = {"bbox": box, "keypoints": [0] * 51, "num_keypoints": 0}
    for regions in (PEOPLE[0] | blank | {"iscrowd": 1}, PEOPLE[0] | blank):
        assert suspect([regions, *PEOPLE[1:]]) == []
    elsewhere = PEOPLE[0] | blank | {"iscrowd": 1, "bbox": [250, 230, 5, 5], "area": 25}
    assert name(suspect([elsewhere, *PEOPLE[1:]])) == [("missing", 7, None)]


def test_the_second_label_of_one_person_is_named_once_with_the_first(suspect):
    for again in (PEOPLE[0] | {"id": 9}, shift(PEOPLE[0], 9, 3)):
        (one,) = suspect([*PEOPLE, again])
        assert name([one]) == [("doubled", 7, 9)]
        assert "annotation 1:" in one.reason
    three = suspect([*PEOPLE, PEOPLE[0] | {"id": 9}, PEOPLE[0] | {"id": 10}])
    assert sorted(name(three)) == [("doubled", 7, 9), ("doubled", 7, 10)]


def test_a_photo_without_found_people_tells_doubled_labels_only(suspect):
    labels = [swap(PEOPLE[0]), *PEOPLE[1:], PEOPLE[1] | {"id": 9}]
    assert name(suspect(labels, [])) == [("doubled", 7, 9)]


def test_a_swapped_label_comes_before_somebody_found_with_doubts(suspect):
    doubtful = find([standing(8, 3, (60, 100, 80, 200))], 0.5)
    kinds = [one.kind for one in suspect([PEOPLE[0], swap(PEOPLE[1]), PEOPLE[2]], [*find(PEOPLE), *doubtful])]
    assert kinds == ["swapped", "missing"]


def test_sides_are_those_of_the_skeleton_and_a_joint_without_another_side_stays():
    assert find_exchange(JOINTS, BODYPOSENET_18) == COCO_17.flip_order.tolist()
    assert find_exchange(["left_hip", "nose"], BODYPOSENET_18) == [0, 1]
    plain = make_skeleton("fins", ("port", "starboard", "bow"), ())
    assert find_exchange(("port", "starboard", "bow"), plain) == [0, 1, 2]


def test_evaluate_lists_suspects_and_writes_their_photos_as_a_tool_takes_them(tmp_path):
    right = write_dataset(tmp_path / "right", IMAGES, PEOPLE)
    wrong = write_dataset(tmp_path / "wrong", IMAGES, [swap(PEOPLE[0]), PEOPLE[2]])
    spec = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
    runner = PerfectRunner(read_test_set(right), shape=(184, 184))
    done = evaluate(runner, spec, wrong, tmp_path / "out", suspects=True)
    assert describe_suspects(done.suspects) == "2 likely wrong labels: 1 swapped, 1 missing, 0 doubled"
    rows = list(csv.DictReader((tmp_path / "out/suspects.csv").read_text().splitlines()))
    assert sorted((row["photo"], row["image_id"], row["annotation_id"], row["kind"]) for row in rows) == [
        ("007.png", "7", "", "missing"),
        ("007.png", "7", "1", "swapped"),
    ]
    assert [float(row["score"]) for row in rows] == [round(one.score, 3) for one in done.suspects]
    written = read_annotations(tmp_path / "out/suspects.json")
    (photo,) = written.photos
    assert (photo.file_name, written.joints) == ("007.png", COCO_17.joints)
    assert len(photo.people) == 2
    for person, one in zip(photo.people, done.suspects, strict=True):
        np.testing.assert_allclose(person.keypoints, one.keypoints, atol=1e-3)


def test_evaluate_lists_nothing_unasked(tmp_path):
    dataset = write_dataset(tmp_path / "data", IMAGES, PEOPLE)
    runner = PerfectRunner(read_test_set(dataset), shape=(184, 184))
    done = evaluate(runner, parse_spec({"input_shape": [184, 184]}, InferenceSpec), dataset, tmp_path / "out")
    assert done.suspects is None
    assert not list((tmp_path / "out").glob("suspects*"))


def seed_errors(content, rng):
    """Swap 100 labels, drop 50 and write 50 twice; returns the labels and the numbers of each kind."""
    able = [label for label in content["annotations"] if label["num_keypoints"] >= 5]
    chosen = [able[at] for at in rng.permutation(len(able))[:200]]
    swapped, dropped = ({label["id"] for label in part} for part in (chosen[:100], chosen[100:150]))
    labels = [swap(one) if one["id"] in swapped else one for one in content["annotations"] if one["id"] not in dropped]
    again = {1_000_000 + at: label for at, label in enumerate(chosen[150:])}
    for number, label in again.items():
        labels.append(shift(label, number, rng.normal(0, 0.02 * label["area"] ** 0.5, 2)))
    return labels, swapped, chosen[100:150], set(again)


def count_hits(suspects, swapped, dropped, doubled):
    """Count the seeded errors that are named; of dropped people, by somebody found in their box, each once."""
    left, hits = list(dropped), 0
    for one in suspects:
        if one.annotation_id is not None:
            hits += one.annotation_id in (swapped if one.kind == "swapped" else doubled)
            continue
        x, y = one.keypoints[one.keypoints[:, 2] > 0, :2].mean(axis=0)
        for label in left:
            at, top, width, height = label["bbox"]
            if label["image_id"] == one.photo.image_id and at <= x <= at + width and top <= y <= top + height:
                left.remove(label)
                hits += 1
                break
    return hits


@pytest.mark.heavy
@pytest.mark.slow
def test_four_of_five_seeded_errors_are_among_the_first_250(tmp_path):
    synthesize(tmp_path, train=150, val=1, seed=11)
    path = tmp_path / "annotations/person_keypoints_train.json"
    content = json.loads(path.read_text())
    runner, spec = open_model(weights_path("pretrained:drawn_people"), None)
    detections = []
    for entry in content["images"]:
        people = find_people(runner, read_image(locate(tmp_path / "images" / entry["file_name"])), spec)
        detections += to_coco(people, runner.card.skeleton, COCO_17.joints, entry["id"])
    labels, *seeded = seed_errors(content, np.random.default_rng(0))
    path.write_text(json.dumps(content | {"annotations": labels}))
    suspects = find_suspects(read_annotations(path, strict=False), detections, runner.card.skeleton)
    hits = count_hits(suspects[:250], *seeded)
    print(f"{hits} of 200 in the first 250 of {describe_suspects(suspects)}")
    assert hits >= 160
