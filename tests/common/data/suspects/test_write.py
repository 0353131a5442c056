"""Suspects for a labelling tool: the labels as they are, number by number, and what is proposed instead of them."""

import csv
import json

import cv2
import numpy as np
import pytest
from support.coco_files import document, image, write_annotations
from support.perfect import standing
from support.seeded_errors import shift, swap, triplets

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.data.suspects.find import find_by_geometry
from bodyposenet.common.data.suspects.suspect import MISSING, Suspect, describe_suspects, rank
from bodyposenet.common.data.suspects.write import SuspectChoice, choose_limbs, write_suspects
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton
from bodyposenet.common.storage.location import locate

IMAGES = [image(70, size=(400, 500), name="a b.png"), image(30, size=(400, 500)), image(5, size=(400, 500))]
FIRST, SECOND = standing(11, 70, (20, 20, 120, 300)), standing(12, 70, (250, 30, 130, 310))
OTHER, ALONE = standing(13, 30, (60, 30, 110, 280)), standing(14, 5, (60, 30, 110, 280))
OUTLINE = [[300, 300, 380, 300, 380, 380, 300, 380]]
CROWD = {"id": 15, "image_id": 70, "category_id": 1, "bbox": [300, 300, 80, 80], "area": 6000.0, "iscrowd": 1}
CROWD |= {"keypoints": [0] * 51, "num_keypoints": 0, "segmentation": OUTLINE}
LABELS = [swap(FIRST), SECOND, CROWD, OTHER, shift(OTHER, 99, 3) | {"num_keypoints": 17}, ALONE]


@pytest.fixture
def made(tmp_path):
    coco = read_annotations(write_annotations(tmp_path / "people.json", document(IMAGES, LABELS)))
    suspects = find_by_geometry(coco)
    assert sorted(one.kind for one in suspects) == ["doubled", "swapped"]
    keypoints = np.add(triplets(FIRST), [0, 60, 0])
    missing = Suspect(coco.photos[1], None, MISSING, 0.3, "somebody", keypoints)
    return rank([*suspects, missing])


def test_joints_that_were_left_out_are_in_no_category(tmp_path):
    """Those of the files are the spec's: a category names as many joints as its people have."""
    content = document(IMAGES, [entry | {"keypoints": [9, 9, 2, *entry["keypoints"]]} for entry in LABELS])
    content["categories"][0] |= {"keypoints": ["neck", *COCO_17.joints]}
    coco = read_annotations(write_annotations(tmp_path / "people.json", content), {"person": COCO_17.joints})
    suspects = rank(find_by_geometry(coco))
    write_suspects(locate(tmp_path / "out"), suspects, COCO_17, kinds=coco.kinds)
    people, written = read_people(tmp_path / "out/suspects.json")
    (category,) = written["categories"]
    assert category["keypoints"] == list(COCO_17.joints)
    assert people[11]["keypoints"] == LABELS[0]["keypoints"]


def read_people(path):
    content = json.loads(path.read_text())
    return {entry["id"]: entry for entry in content["annotations"]}, content


def test_the_list_has_a_row_for_each_suspect_the_likeliest_first(made, tmp_path):
    path = write_suspects(locate(tmp_path / "out"), made, COCO_17)
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert [row["annotation_id"] for row in rows] == [str(one.annotation_id or "") for one in made]
    assert [row["kind"] for row in rows][-1] == "missing"
    assert {(row["photo"], row["image_id"]) for row in rows} == {("a b.png", "70"), ("030.png", "30")}
    assert describe_suspects(made) == "3 likely wrong labels: 1 swapped, 1 missing, 1 doubled"


def test_labels_as_they_are_keep_numbers_boxes_areas_crowds_and_outlines(made, tmp_path):
    write_suspects(locate(tmp_path), made, COCO_17)
    people, content = read_people(tmp_path / "suspects.json")
    assert {entry["id"] for entry in content["images"]} == {70, 30}
    assert people.keys() == {11, 12, 13, 15, 99}
    for label in LABELS[:5]:
        written = people[label["id"]]
        for key in ("image_id", "bbox", "area", "iscrowd", "segmentation", "num_keypoints"):
            assert written[key] == label[key], key
        np.testing.assert_array_equal(triplets(written), triplets(label))
    assert content["categories"][0]["keypoints"] == list(COCO_17.joints)
    again = read_annotations(tmp_path / "suspects.json")
    assert [photo.image_id for photo in again.photos] == [one["id"] for one in content["images"]]


def test_the_proposal_has_sides_back_no_second_label_and_who_was_missed(made, tmp_path):
    write_suspects(locate(tmp_path), made, COCO_17)
    people, _ = read_people(tmp_path / "suspects_proposed.json")
    assert people.keys() == {11, 12, 13, 15, 16}  # 99 is gone, and somebody new
    np.testing.assert_allclose(triplets(people[11]), triplets(FIRST), atol=1e-3)
    np.testing.assert_array_equal(triplets(people[12]), triplets(SECOND))
    assert people[16]["image_id"] == 30
    np.testing.assert_allclose(triplets(people[16]), np.add(triplets(FIRST), [0, 60, 0]), atol=1e-3)


def test_in_label_studio_the_labels_are_annotations_and_the_proposal_is_a_prediction(made, tmp_path):
    choice = SuspectChoice("label-studio", "gs://bucket/")
    write_suspects(locate(tmp_path), made, COCO_17, choice)
    tasks = json.loads((tmp_path / "suspects_tasks.json").read_text())
    assert {task["data"]["image"] for task in tasks} == {"gs://bucket/a b.png", "gs://bucket/030.png"}
    first = next(task for task in tasks if task["data"]["image"].endswith("a b.png"))
    assert first["data"]["note"].startswith("left and right swapped: annotation 11: the face is seen")
    people = load_document(tmp_path / "suspects_tasks.json", joints=list(COCO_17.joints))["annotations"]
    assert len(people) == 4  # as annotated: two in each photo, without the crowd
    given, told = (
        {tuple(np.reshape(each["keypoints"], -1).round(2)) for each in entries}
        for entries in (people, [one for one in LABELS[:5] if not one["iscrowd"]])
    )
    assert given == told
    assert len(first["predictions"][0]["result"]) == len(first["annotations"][0]["result"])
    assert (tmp_path / "suspects_interface.xml").exists()


def test_for_yolo_there_are_two_datasets(made, tmp_path):
    write_suspects(locate(tmp_path), made, COCO_17, SuspectChoice("yolo"))
    counts = {}
    for name in ("suspects", "suspects_proposed"):
        files = sorted((tmp_path / name / "labels/train").iterdir())
        counts[name] = [len(path.read_text().splitlines()) for path in files]
        for path in files:
            photo = tmp_path / name / "images/train" / f"{path.stem}.png"
            photo.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(photo), np.zeros((400, 500, 3), np.uint8))
        document = load_document(tmp_path / name / "data.yaml", joints=list(COCO_17.joints))
        assert len(document["annotations"]) == sum(counts[name])
    assert counts == {"suspects": [2, 2], "suspects_proposed": [2, 2]}


@pytest.mark.parametrize(("form", "file"), [("yolo", "suspects/data.yaml"), ("label-studio", "suspects_tasks.json")])
def test_somebody_without_joints_goes_to_every_tool_and_comes_back(form, file, tmp_path):
    box = standing(16, 70, (400, 50, 60, 200), hidden=range(17))
    coco = read_annotations(write_annotations(tmp_path / "people.json", document(IMAGES, [*LABELS, box])))
    write_suspects(locate(tmp_path), find_by_geometry(coco), COCO_17, SuspectChoice(form))
    for number in (70, 30, 5):
        cv2.imwrite(str(tmp_path / ("a b.png" if number == 70 else f"{number:03d}.png")), np.zeros((400, 500, 3)))
    found = read_annotations(tmp_path / file, COCO_17.joints, album=Album(locate(tmp_path)))
    (people,) = (photo.people for photo in found.photos if photo.file_name == "a b.png")
    assert sorted(person.num_keypoints for person in people) == [0, 17, 17]
    (alone,) = (person for person in people if not person.labelled)
    np.testing.assert_allclose(alone.box, box["bbox"], atol=1e-3)


KINDS = [("suspects.json", "coco"), ("suspects_tasks.json", "label-studio"), ("suspects/data.yaml", "yolo")]


@pytest.mark.parametrize(("file", "form"), KINDS)
def test_people_keep_their_categories(file, form, tmp_path):
    content = document(IMAGES, [one | {"category_id": 9 if one is SECOND else 7} for one in LABELS])
    (own,) = content["categories"]
    content["categories"] = [{"id": 1, "name": "chair"}, own | {"id": 7, "name": "guest"}, own | {"id": 9}]
    people = {"person": COCO_17.joints, "guest": COCO_17.joints}
    coco = read_annotations(write_annotations(tmp_path / "people.json", content), people)
    write_suspects(locate(tmp_path), find_by_geometry(coco), COCO_17, SuspectChoice(form), coco.kinds)
    for number in (70, 30):
        cv2.imwrite(str(tmp_path / ("a b.png" if number == 70 else f"{number:03d}.png")), np.zeros((400, 500, 3)))
    found = read_annotations(tmp_path / file, people, album=Album(locate(tmp_path)))
    (photo,) = (photo for photo in found.photos if photo.file_name == "a b.png")
    named = [[*found.kinds.names.values()][person.category] for person in photo.people if person.labelled]
    assert named == ["guest", "person"]
    if form == "coco":
        written, content = read_people(tmp_path / "suspects.json")
        assert {category["id"]: category["name"] for category in content["categories"]} == {7: "guest", 9: "person"}
        assert {number: entry["category_id"] for number, entry in written.items()} == {
            11: 7,
            12: 9,
            13: 7,
            15: 7,
            99: 7,
        }


def test_of_categories_with_joints_of_their_own_each_has_its_own(tmp_path):
    names = [*COCO_17.joints[:3]]
    content = document(IMAGES, [*LABELS, ALONE | {"id": 17, "image_id": 70, "category_id": 2, "keypoints": [50] * 9}])
    content["annotations"][-1]["keypoints"][2::3] = [2, 0, 1]
    content["categories"] += [{"id": 2, "name": "face", "keypoints": names}]
    people = {"person": COCO_17.joints, "face": names}
    coco = read_annotations(write_annotations(tmp_path / "people.json", content), people, strict=False)
    write_suspects(locate(tmp_path), find_by_geometry(coco), COCO_17, kinds=coco.kinds)
    written, content = read_people(tmp_path / "suspects.json")
    assert content["categories"][1]["keypoints"] == names
    assert sorted(content["categories"][1]["skeleton"]) == [[1, 2], [1, 3], [2, 3]]
    assert written[17]["keypoints"] == [50, 50, 2, 0, 0, 0, 50, 50, 1]
    assert written[17]["num_keypoints"] == 2


def test_photos_that_would_share_a_label_file_are_told_and_the_others_written(tmp_path, caplog):
    images = [image(70, size=(400, 500), name="a.png"), image(30, size=(400, 500), name="a.jpg")]
    people = [swap(FIRST), swap(OTHER)]
    coco = read_annotations(write_annotations(tmp_path / "people.json", document(images, people)))
    write_suspects(locate(tmp_path), find_by_geometry(coco), COCO_17, SuspectChoice("yolo"))
    for name in ("suspects", "suspects_proposed"):
        assert [path.name for path in (tmp_path / name / "labels/train").iterdir()] == ["a.txt"]
    assert len((tmp_path / "suspects.csv").read_text().splitlines()) == 3
    assert "is left out: of YOLO's files its labels' is that of a." in caplog.text


def test_no_suspects_are_an_empty_list_and_photos_of_the_likeliest_are_enough(made, tmp_path):
    write_suspects(locate(tmp_path), made, COCO_17, SuspectChoice(most=1))
    assert len(read_people(tmp_path / "suspects.json")[1]["images"]) == 1
    assert len((tmp_path / "suspects.csv").read_text().splitlines()) == 4
    write_suspects(locate(tmp_path), [], COCO_17)
    assert read_people(tmp_path / "suspects.json")[1]["images"] == []
    assert len((tmp_path / "suspects.csv").read_text().splitlines()) == 1


def test_limbs_are_the_network_s_between_the_labels_joints():
    hand = make_skeleton("hand", ("tip", "root", "wrist"), ((0, 1), (1, 2)))
    assert choose_limbs(("wrist", "root"), hand).limbs == ((1, 0),)
    assert choose_limbs(COCO_17.joints, BODYPOSENET_18) is COCO_17
