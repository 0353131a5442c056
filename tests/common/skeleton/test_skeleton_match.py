"""Skeletons that share joints: by which names they are found, which way round limbs run, and what is said of it."""

import numpy as np
import pytest

from bodyposenet.common.skeleton.joint_names import match_spellings, split_names
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton
from bodyposenet.common.skeleton.skeleton_match import NEW, match_skeletons


def test_a_skeleton_keeps_all_of_itself():
    match = match_skeletons(COCO_17, COCO_17)
    assert match.joints == tuple(range(17))
    assert match.limbs == tuple(range(19))
    assert not any(match.turned)
    assert match.heatmaps.places.tolist() == list(range(18))
    assert match.fields.places.tolist() == list(range(38))
    assert (match.fields.signs == 1).all()
    assert match.summary() == "keeps 17 of 17 joints and 19 of 19 limbs of skeleton 'coco_17_joints'"


def test_a_limb_that_runs_the_other_way_round_is_kept_with_its_sign_turned():
    old = make_skeleton("old", ("a", "b", "c"), ((0, 1), (1, 2)))
    new = make_skeleton("new", ("c", "d", "b", "a"), ((0, 2), (1, 0), (3, 2)))
    match = match_skeletons(old, new)
    assert match.joints == (2, NEW, 1, 0)
    assert match.heatmaps.places.tolist() == [2, NEW, 1, 0, 3]
    assert match.heatmaps.signs.tolist() == [1, 0, 1, 1, 1]
    assert match.fields.places.tolist() == [2, 3, NEW, NEW, 0, 1]
    assert match.fields.signs.tolist() == [-1, -1, 0, 0, 1, 1]
    assert match.summary() == (
        "keeps 3 of 4 joints and 2 of 3 limbs of skeleton 'old' (1 of them turned round); new joints: d; new limbs: d-c"
    )
    assert match.drop_turned().fields.places.tolist() == [NEW, NEW, NEW, NEW, 0, 1]


@pytest.mark.parametrize("style", ["LElbow RElbow", "elbow_L elbow_R", "left-elbow right-elbow", "lelbow relbow",
                                   "Left Elbow,Right Elbow"])  # fmt: skip
def test_names_of_another_style_mean_the_same_joints(style):
    names = ("Nose", *(style.split(",") if "," in style else style.split()))
    old = make_skeleton("old", ("left_elbow", "right_elbow", "nose"), ((0, 2),))
    assert match_skeletons(old, make_skeleton("new", names, ((0, 2),))).joints == (2, 0, 1)


def test_a_name_that_only_looks_like_a_side_stays_whole():
    assert split_names(("lelbow", "rump")) == [("", "lelbow"), ("", "rump")]


def test_a_joint_is_taken_once_by_the_one_that_has_its_very_name():
    old = make_skeleton("old", ("nose",), ())
    assert match_skeletons(old, make_skeleton("new", ("Nose", "nose"), ())).joints == (NEW, 0)


def test_coco_in_taos_18_joints_lacks_the_neck_and_its_limbs():
    match = match_skeletons(COCO_17, BODYPOSENET_18)
    assert [name for name, place in zip(BODYPOSENET_18.joints, match.joints, strict=True) if place == NEW] == ["neck"]
    for number, (start, end) in enumerate(BODYPOSENET_18.limbs):
        if match.limbs[number] == NEW:
            continue
        ends = [COCO_17.joints[joint] for joint in COCO_17.limbs[match.limbs[number]]]
        ours = [BODYPOSENET_18.joints[joint] for joint in (start, end)]
        assert ours == (ends[::-1] if match.turned[number] else ends)
    assert "new joints: neck; new limbs: neck-right_hip" in match.summary()
    assert np.array_equal(match.fields.places == NEW, match.fields.signs == 0)


@pytest.mark.parametrize(
    ("joints", "others", "pairs"),
    [
        (("nose", "Left Wrist"), ("nose", "left_wrist"), [("Left Wrist", "left_wrist")]),
        (("LElbow", "RElbow"), ("left_elbow", "right_elbow"), [("LElbow", "left_elbow"), ("RElbow", "right_elbow")]),
        (("nose", "left_hip"), ("nose", "left_knee"), []),
        (("Nose", "nose"), ("nose",), []),
        (("?",), ("!",), []),
    ],
)
def test_joints_that_are_called_otherwise_are_found_by_their_words(joints, others, pairs):
    assert match_spellings(joints, others) == pairs
