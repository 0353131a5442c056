"""Suspects: labels that are likely wrong come first in the list, and right ones are not in it."""

import csv
import json

import numpy as np
import pytest
from support.coco_files import document, image, write_annotations, write_dataset
from support.page import Page
from support.perfect import PerfectRunner, standing
from support.seeded_errors import shift, swap, triplets

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.suspects.suspect import describe_suspects
from bodyposenet.common.data.suspects.write import SuspectChoice
from bodyposenet.common.data.synthetic.dataset import synthesize
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.evaluation.suspects import find_suspects
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.inference.detections import to_coco
from bodyposenet.common.inference.detector import find_people, open_model
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17
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
    assert "the left eye is where the right one should be; fits who was found better" in one.reason
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


def test_a_photo_without_found_people_tells_what_geometry_does(suspect):
    labels = [swap(PEOPLE[0]), *PEOPLE[1:], PEOPLE[1] | {"id": 9}]
    assert sorted(name(suspect(labels, []))) == [("doubled", 7, 9), ("swapped", 7, 1)]


def test_a_swapped_label_comes_before_somebody_found_with_doubts(suspect):
    doubtful = find([standing(8, 3, (60, 100, 80, 200))], 0.5)
    kinds = [one.kind for one in suspect([PEOPLE[0], swap(PEOPLE[1]), PEOPLE[2]], [*find(PEOPLE), *doubtful])]
    assert kinds == ["swapped", "missing"]


def test_evaluate_lists_suspects_and_writes_their_photos_as_a_tool_takes_them(tmp_path):
    right = write_dataset(tmp_path / "right", IMAGES, PEOPLE)
    wrong = write_dataset(tmp_path / "wrong", IMAGES, [swap(PEOPLE[0]), PEOPLE[2]])
    spec = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
    runner = PerfectRunner(read_test_set(right), shape=(184, 184))
    done = evaluate(runner, spec, wrong, tmp_path / "out", suspects=True)
    assert describe_suspects(done.suspects) == "2 likely wrong labels: 1 swapped, 1 missing"
    rows = list(csv.DictReader((tmp_path / "out/suspects.csv").read_text().splitlines()))
    assert sorted((row["photo"], row["image_id"], row["annotation_id"], row["kind"]) for row in rows) == [
        ("007.png", "7", "", "missing"),
        ("007.png", "7", "1", "swapped"),
    ]
    assert [float(row["score"]) for row in rows] == [round(one.score, 3) for one in done.suspects]
    given, proposed = (read_annotations(tmp_path / f"out/{name}.json") for name in ("suspects", "suspects_proposed"))
    for written, people in ((given, 1), (proposed, 2)):
        (photo,) = written.photos
        assert (photo.image_id, photo.file_name, written.joints) == (7, "007.png", COCO_17.joints)
        assert len(photo.people) == people
    np.testing.assert_allclose(given.photos[0].people[0].keypoints, triplets(swap(PEOPLE[0])), atol=1e-3)
    np.testing.assert_allclose(proposed.photos[0].people[0].keypoints, triplets(PEOPLE[0]), atol=1e-3)
    page = Page((tmp_path / "out/suspects.html").read_text(encoding="utf-8"))
    assert "2 labels of 2 people are likely wrong" in " ".join(page.text)
    assert len(page.all("img")) == 3


@pytest.mark.parametrize("form", ["label-studio", "yolo"])
def test_evaluate_writes_the_photos_of_suspects_for_the_tool_that_is_asked_for(form, tmp_path):
    right = write_dataset(tmp_path / "right", IMAGES, PEOPLE)
    wrong = write_dataset(tmp_path / "wrong", IMAGES, [swap(PEOPLE[0]), *PEOPLE[1:]])
    runner = PerfectRunner(read_test_set(right), shape=(184, 184))
    spec = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
    evaluate(runner, spec, wrong, tmp_path / "out", suspects=SuspectChoice(form))
    wanted = {"label-studio": "suspects_tasks.json", "yolo": "suspects_proposed/labels/train/007.txt"}[form]
    assert (tmp_path / "out" / wanted).exists()
    assert not (tmp_path / "out/suspects.json").exists()


def test_joints_found_on_another_person_are_told_and_those_of_this_one_are_proposed(suspect):
    label = PEOPLE[0]
    own, other = triplets(label), triplets(PEOPLE[1])
    moved = own.copy()
    moved[10, :2] = other[10, :2] + 1  # the wrist of whom the network knows, and nobody labelled
    (one, *more) = suspect([label | {"keypoints": moved.ravel().tolist()}, PEOPLE[2]])
    assert [each.kind for each in more] == ["missing"]
    assert (one.kind, one.annotation_id, one.joints) == ("stray", 1, (10,))
    np.testing.assert_allclose(one.proposal, own)


def test_a_box_that_leaves_out_who_was_found_is_told_even_if_it_fits_the_labelled_joints(suspect):
    half = standing(1, 7, (20, 20, 90, 210), hidden=range(11, 17)) | {"bbox": [30, 25, 70, 60]}
    (one,) = suspect([half, *PEOPLE[1:]])
    assert (one.kind, one.annotation_id) == ("box", 1)
    assert one.reason.endswith("joints that were found of this person lie outside the box")


def test_what_geometry_suspects_is_none_where_the_network_found_the_person_as_labelled(suspect):
    twisted = triplets(PEOPLE[0])
    legs = range(11, 17)
    twisted[legs] = twisted[COCO_17.flip_order[legs]]
    label = PEOPLE[0] | {"keypoints": twisted.ravel().tolist()}
    assert [one.kind for one in suspect([label, *PEOPLE[1:]], [])] == ["swapped"]
    assert suspect([label, *PEOPLE[1:]], find([label, *PEOPLE[1:]])) == []


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
            hits += one.annotation_id in {"swapped": swapped, "doubled": doubled}.get(one.kind, ())
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
