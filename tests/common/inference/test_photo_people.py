"""The people of a photo with the names of their joints, and in the forms that other tools take."""

import doctest
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.photo_people import PhotoPeople
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17

NOSE, EYE = BODYPOSENET_18.joints.index("nose"), BODYPOSENET_18.joints.index("left_eye")
HIP = BODYPOSENET_18.joints.index("right_hip")


@pytest.fixture
def found():
    """Two people on a grey photo of 100 x 200 pixels: one of three joints, one of two."""
    keypoints = np.zeros((2, 18, 3), np.float32)
    keypoints[0, [NOSE, EYE, HIP]] = [(50, 20, 0.9), (54.5, 16, 0.75), (40, 80, 0.5)]
    keypoints[1, [NOSE, HIP]] = [(150, 30, 0.7), (150, 90, 0.25)]
    people = People(keypoints, np.array([0.9, 0.6], np.float32))
    photo = np.full((100, 200, 3), 90, np.uint8)
    return PhotoPeople("photo.jpg", (100, 200), BODYPOSENET_18, people, photo=photo)


def test_a_person_has_the_joints_that_were_found_by_name(found):
    first, second = found
    assert (len(found), found[1]) == (2, second)
    assert list(first.joints) == [BODYPOSENET_18.joints[each] for each in sorted((NOSE, EYE, HIP))]
    assert (first.joints["left_eye"].x, first.joints["left_eye"].y) == (54.5, 16)
    assert first.joints["nose"].score == pytest.approx(0.9)
    assert first.score == pytest.approx(0.9)
    assert "left_eye" not in second.joints
    assert first.box == (40, 16, 14.5, 64)


def test_the_class_has_an_example_that_runs(found, capsys):
    (test,) = doctest.DocTestFinder(recurse=False).find(PhotoPeople, "PhotoPeople", globs={"people": found})
    assert test.examples
    assert not doctest.DocTestRunner().run(test).failed, capsys.readouterr().out


def test_arrays_are_in_the_skeletons_order(found):
    assert found.keypoints.shape == (2, 18, 3)
    assert found.scores.tolist() == pytest.approx([0.9, 0.6])


def test_cocos_results_have_cocos_joints(found):
    first, second = found.to_coco(7)
    assert (first["image_id"], first["category_id"]) == (7, 1)
    assert first["score"] == pytest.approx(0.9)
    triplets = dict(zip(COCO_17.joints, np.reshape(second["keypoints"], (-1, 3)).tolist(), strict=True))
    assert triplets["nose"] == [150, 30, 1]
    assert triplets["left_eye"] == [150, 30, 0]  # a guess: two joints do not tell how a body lies


def test_a_table_has_a_row_a_joint(found):
    table = found.to_pandas()
    assert list(table.columns) == ["photo", "person", "person_score", "joint", "x", "y", "score"]
    assert table.groupby("person").size().tolist() == [3, 2]
    (row,) = table[(table["person"] == 1) & (table["joint"] == "right_hip")].itertuples()
    assert (row.photo, row.x, row.y, row.score) == ("photo.jpg", 150, 90, 0.25)


def test_people_are_drawn_on_a_copy(found):
    drawn = found.draw()
    assert drawn.shape == (100, 200, 3)
    assert (drawn != 90).any()
    assert (found.photo == 90).all()
    with pytest.raises(UserError, match=r"photo\.jpg: is not the photo any more"):
        replace(found, photo=found.photo[1:]).draw()


def take(**given):
    """A stand-in for another library's class: what it is made of."""
    return SimpleNamespace(**given)


def test_supervision_gets_places_confidences_and_who_is_visible(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(KeyPoints=take))
    made = found.to_supervision()
    assert made.xy.shape == (2, 18, 2)
    assert made.xy[0, EYE].tolist() == [54.5, 16]
    assert made.keypoint_confidence[1, HIP] == 0.25
    assert made.detection_confidence.tolist() == found.scores.tolist()
    assert made.visible.sum(axis=1).tolist() == [3, 2]
    assert (made.class_id.tolist(), made.data["class_name"].tolist()) == ([0, 0], ["person", "person"])


def test_fiftyone_gets_fractions_of_the_photo_and_nan_where_nothing_was_found(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "fiftyone", SimpleNamespace(Keypoint=take, Keypoints=take))
    first, second = found.to_fiftyone().keypoints
    assert first.label == "person"
    assert first.points[NOSE] == pytest.approx((0.25, 0.2))
    assert second.points[HIP] == pytest.approx((0.75, 0.9))
    assert np.isnan(second.points[EYE]).all()
    assert (second.confidence[HIP], second.confidence[EYE]) == (0.25, 0)


@pytest.mark.parametrize("library", ["pandas", "supervision", "fiftyone"])
def test_a_library_that_is_missing_is_named_with_what_installs_it(found, library, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UserError, match=f"{library} is not installed; pip install {library}"):
        getattr(found, f"to_{library}")()


def test_nobody_is_no_rows_no_results_and_the_photo_as_it_is(found):
    nobody = replace(found, found=found.found.keep(np.zeros(2, bool)))
    assert (len(nobody), list(nobody), nobody.to_coco()) == (0, [], [])
    assert nobody.to_pandas().empty
    assert (nobody.draw() == 90).all()
