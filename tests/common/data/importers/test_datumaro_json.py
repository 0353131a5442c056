"""Datumaro's own JSON: the people of what Datumaro itself writes of the same data as COCO."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.coco_files import JOINTS
from support.exports import coco, shots
from support.tool_files import assert_same_people, people_in, pixels, write_files

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate

EXPORTS = Path(__file__).parents[3] / "exports/datumaro"


@pytest.fixture
def document():
    return json.loads((EXPORTS / "train.json").read_text())


@pytest.fixture
def album(tmp_path):
    """Datumaro tells no sizes of photos that it copies."""
    photos = write_files(tmp_path / "photos", {f"train/{shot.name}": pixels(shot) for shot in shots()})
    return Album(locate(photos))


@pytest.fixture
def read(tmp_path, album):
    def read_document(document):
        path = tmp_path / "train.json"
        path.write_text(json.dumps(document))
        return read_annotations(path, JOINTS, strict=False, album=album)

    return read_document


def tell(found):
    """What is left out; that sizes and boxes are taken from photos and joints is no loss."""
    return [problem.text for problem in found.problems if not problem.kept]


def test_an_export_gives_the_people_of_datumaros_coco_export(tmp_path, album, caplog):
    with caplog.at_level("INFO"):
        found = read_annotations(EXPORTS / "train.json", JOINTS, strict=False, album=album)
    assert tell(found) == []
    whole = people_in(read_annotations(EXPORTS / "person_keypoints_train.json", JOINTS))
    assert_same_people(people_in(found), whole)
    (tmp_path / "drawn.json").write_text(json.dumps(coco(shots())))
    assert_same_people(people_in(found), people_in(read_annotations(tmp_path / "drawn.json", JOINTS)))
    assert found.images.heights.tolist() == [shot.size[0] for shot in shots()]
    assert "train.json: read as Datumaro's JSON: 3 photos, 4 people" in caplog.text


def test_joints_are_put_in_order_by_name(read, document):
    whole = people_in(read(document))
    (points,) = document["categories"]["points"]["items"]
    points["labels"].reverse()
    for entry in (entry for item in document["items"] for entry in item["annotations"] if entry["type"] == "points"):
        pairs = np.reshape(entry["points"], (-1, 2))[::-1]
        entry |= {"points": pairs.ravel().tolist(), "visibility": entry["visibility"][::-1]}
    assert_same_people(people_in(read(document)), whole)


def test_without_a_box_of_the_group_that_of_the_joints_counts(read, document):
    whole = people_in(read(document))
    for item in document["items"]:
        item["annotations"] = [entry for entry in item["annotations"] if entry["type"] == "points"]
    found = read(document)
    assert_same_people(people_in(found), whole)
    assert {problem.kind for problem in found.problems} == {"bbox", "height"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"points": [1, 2, 3]}, "its label has 17 joints, and it 1.5 points and 17 visibilities"),
        ({"visibility": [2]}, "its label has 17 joints, and it 17 points and 1 visibilities"),
        ({"visibility": [7] * 17}, "the visibility of nose is 7, not 0, 1 or 2"),
    ],
)
def test_somebody_who_cannot_be_read_is_told_and_masked(tmp_path, read, document, change, told):
    whole = people_in(read(document))
    document["items"][1]["annotations"][0] |= change
    found = read(document)
    people = people_in(found)
    ((joints, box),) = people.pop("b.png")
    assert not joints.any()
    np.testing.assert_array_equal(box, whole["b.png"][0][1])
    assert_same_people(people, {name: whole[name] for name in people})
    assert tell(found)[0] == f"{tmp_path}/train.json: item 'b': annotation number 1: {told}"


def test_labels_without_joints_are_refused(read, document):
    document["categories"]["points"]["items"] = []
    with pytest.raises(UserError, match=r"no label of Datumaro's file has joints; .*PointsCategories"):
        read(document)


def test_a_photo_without_a_name_is_told_and_left_out(read, document):
    document["items"][0] |= {"image": {}, "id": None}
    found = read(document)
    assert set(people_in(found)) == {"b.png", "c.png"}
    assert tell(found)[0].endswith("an item names no photo")


def as_skeletons(document):
    """People as CVAT exports them: a skeleton whose points have labels of their own, in any order."""
    names = [entry["name"] for entry in document["categories"]["label"]["labels"]]
    document["categories"]["label"]["labels"] += [{"name": joint, "parent": "person"} for joint in JOINTS]
    for item in document["items"]:
        people = [entry for entry in item["annotations"] if entry["type"] == "points"]
        for entry in people:
            places = np.reshape(entry.pop("points"), (-1, 2)).tolist()
            parts = zip(range(len(names), len(names) + len(JOINTS)), places, entry.pop("visibility"), strict=True)
            elements = [
                {"type": "points", "label_id": label, "points": place, "visibility": [seen]}
                for label, place, seen in parts
            ]
            entry |= {"type": "skeleton", "elements": elements[::-1]}
        item["annotations"] = people
    return document


def test_skeletons_are_people_as_points_are(read, document):
    whole = people_in(read(document))
    assert_same_people(people_in(read(as_skeletons(document))), whole)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda elements: elements.append(elements[0]), "its point 'right_ankle' is there twice"),
        (lambda elements: elements[0].update(label_id=0), "its point 'car' is no joint of its label"),
        (lambda elements: elements[0].update(points=[1]), "its label has 1 joints, and it 0.5 points"),
    ],
)
def test_a_skeleton_that_cannot_be_read_is_told(read, document, change, told):
    change(as_skeletons(document)["items"][1]["annotations"][0]["elements"])
    assert told in tell(read(document))[0]


OUTLINE = {"type": "polygon", "points": [60, 40, 100, 40, 100, 120, 60, 120]}


@pytest.mark.parametrize("shape", [{"type": "bbox", "bbox": [60, 40, 40, 80]}, OUTLINE])
@pytest.mark.parametrize("group", [0, 7])
@pytest.mark.parametrize("crowd", [False, True])
def test_a_person_without_points_and_a_crowd_are_masked(read, document, shape, group, crowd):
    """Else a network would be taught that nobody is there; so are people of CVAT's XML without a skeleton."""
    whole = people_in(read(document))
    label = document["items"][1]["annotations"][0]["label_id"]
    other = {"type": "bbox", "bbox": [1, 2, 3, 4], "group": group, "label_id": 0, "attributes": {}}
    entry = shape | {"group": group, "label_id": label, "attributes": {"is_crowd": crowd}}
    document["items"][1]["annotations"] += [other, entry]
    found = read(document)
    assert tell(found) == []
    joints, box = people_in(found)["b.png"].pop()
    assert not joints.any()
    np.testing.assert_array_equal(box, [60, 40, 40, 80])
    people = people_in(found)
    people["b.png"].pop()
    assert_same_people(people, whole)
    assert found.annotations.crowds.tolist() == [False, False, False, crowd, False]


def test_points_of_a_crowd_are_one(read, document):
    document["items"][0]["annotations"][1]["attributes"]["is_crowd"] = True  # the box of the first
    assert read(document).annotations.crowds.tolist() == [True, False, False, False]
