"""CVAT's "COCO Keypoints 1.0": skeletons are read, and what is left of other shapes is recognised."""

import copy
import json

import pytest
from support.coco_files import JOINTS
from support.exports import cvat, shots, zipped

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.load import load_document
from bodyposenet.common.errors import UserError

FIX = 'label each person with a skeleton in CVAT, and export "COCO Keypoints 1.0"'


@pytest.fixture
def load(tmp_path):
    def load_content(content):
        path = tmp_path / "export.zip"
        path.write_bytes(
            zipped({"annotations/person_keypoints_default.json": content, "images/default/a.png": b"\x89"})
        )
        return load_document(path)

    return load_content


@pytest.fixture
def export():
    return cvat(shots())


def without_joints(document):
    """Every label as CVAT describes it that is no skeleton."""
    return document | {"categories": [entry | {"keypoints": []} for entry in document["categories"]]}


def test_an_export_of_skeletons_comes_back_as_it_is(load, export):
    assert load(copy.deepcopy(export)) == export


def test_occluded_and_outside_joints_keep_their_flags(load, export, tmp_path):
    """An outside joint keeps its place in the file; its flag 0 says that it is not labelled."""
    path = tmp_path / "people.json"
    path.write_text(json.dumps(load(export)))
    people = read_annotations(path, {"person": JOINTS}).photos[0].people
    flags = dict(zip(JOINTS, people[0].keypoints[:, 2].tolist(), strict=True))
    assert (flags["left_wrist"], flags["right_ear"], flags["nose"]) == (1, 0, 2)
    assert [person.num_keypoints for person in people] == [16, 15]


def test_points_are_not_exported_and_the_empty_file_says_so(load, export):
    expected = "it has no annotations, and no label has joints: CVAT does not export points or rectangles this way"
    with pytest.raises(UserError) as caught:
        load(without_joints(export) | {"annotations": []})
    assert str(caught.value).endswith(f"person_keypoints_default.json: {expected}; {FIX}")


def test_points_of_old_versions_are_known_by_their_number(load, export):
    """They stand there as keypoints of a label that names none: as many as somebody clicked."""
    for entry, count in zip(export["annotations"], (3, 5, 4, 1), strict=True):
        entry["keypoints"] = entry["keypoints"][: 3 * count]
    with pytest.raises(UserError, match=r'people have 1, 3, 4, 5 … points each.*CVAT\'s "points"') as caught:
        load(without_joints(export))
    assert caught.value.fix == FIX


def test_labels_without_joints_do_when_all_people_have_as_many(load, export):
    """The dataset spec names the joints then."""
    assert load(without_joints(export))["annotations"] == export["annotations"]


def test_boxes_without_keypoints_are_refused(load, export):
    for entry in export["annotations"]:
        del entry["keypoints"]
    with pytest.raises(UserError, match="it holds boxes without keypoints") as caught:
        load(export)
    assert caught.value.fix == FIX


def test_empty_skeletons_of_tracks_are_recognised(load, export):
    """https://github.com/cvat-ai/cvat/issues/7021."""
    for entry in export["annotations"]:
        entry |= {"keypoints": [], "num_keypoints": 0, "bbox": [0, 0, 0, 0]}
    with pytest.raises(UserError, match="of all its 4 people are empty: old versions of CVAT lose skeleton tracks"):
        load(export)


def test_a_skeleton_in_a_group_counts_under_its_own_label(load, export):
    """Grouped with a rectangle, it is filed under the rectangle's label, which has no joints."""
    export["annotations"][1]["category_id"] = 1
    assert [entry["category_id"] for entry in load(export)["annotations"]] == [2, 2, 2, 2]


def test_a_skeleton_in_a_group_stays_where_two_labels_could_be_meant(load, export):
    export["categories"].append(export["categories"][1] | {"id": 3, "name": "child"})
    export["annotations"][1]["category_id"] = 1
    assert [entry["category_id"] for entry in load(export)["annotations"]] == [2, 1, 2, 2]
