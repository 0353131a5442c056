"""Skeletons: names decide what moves where when joints are reordered, mirrored or computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, Skeleton, make_skeleton

BOTH = pytest.mark.parametrize("skeleton", [COCO_17, BODYPOSENET_18], ids=lambda skeleton: skeleton.name)


def numbered(people=1, joints=17):
    """Keypoints that tell their own place: joint k is at (100 k, 100 k + 1), all visible."""
    keypoints = np.full((people, joints, 3), 2.0)
    keypoints[..., 0] = 100 * np.arange(joints)
    keypoints[..., 1] = 100 * np.arange(joints) + 1
    return keypoints


def test_the_built_in_skeletons_are_those_of_coco_and_of_tao():
    assert (COCO_17.num_joints, COCO_17.num_limbs) == (17, 19)
    assert (BODYPOSENET_18.num_joints, BODYPOSENET_18.num_limbs) == (18, 19)
    named = [tuple(BODYPOSENET_18.joints[end] for end in limb) for limb in BODYPOSENET_18.limbs]
    assert named[0] == ("neck", "right_hip")
    assert named[9] == ("right_shoulder", "right_ear")
    assert named[14] == ("neck", "nose")


def test_spreads_are_pycocotools_own():
    from pycocotools.cocoeval import Params

    assert COCO_17.sigmas == pytest.approx(Params("keypoints").kpt_oks_sigmas)
    assert BODYPOSENET_18.sigmas[1] == 0.079  # a neck, which nobody measured


def test_limb_array_holds_the_limbs_also_when_there_are_none():
    assert BODYPOSENET_18.limb_array.tolist() == [list(limb) for limb in BODYPOSENET_18.limbs]
    assert make_skeleton("dots", ("a", "b"), ()).limb_array.shape == (0, 2)


@BOTH
def test_mirroring_swaps_left_and_right_and_leaves_the_middle(skeleton):
    for joint, other in zip(skeleton.joints, np.array(skeleton.joints)[skeleton.flip_order], strict=True):
        swapped = joint.replace("left", "?").replace("right", "left").replace("?", "right")
        assert other == swapped


@BOTH
def test_mirroring_twice_changes_nothing_and_keeps_every_limb_a_limb(skeleton):
    order = skeleton.flip_order
    assert order[order].tolist() == list(range(skeleton.num_joints))
    limbs = {frozenset(limb) for limb in skeleton.limbs}
    assert {frozenset(int(order[end]) for end in limb) for limb in skeleton.limbs} == limbs


def test_a_joint_without_a_partner_stays_where_it_is():
    assert make_skeleton("one-sided", ("left_hand", "right_foot"), ((0, 1),)).flip_order.tolist() == [0, 1]


def test_joints_are_taken_by_name_whatever_their_order():
    taken = BODYPOSENET_18.take(COCO_17.joints, numbered())
    for index, joint in enumerate(BODYPOSENET_18.joints):
        if joint != "neck":
            place = COCO_17.joints.index(joint)
            assert taken[0, index].tolist() == [100 * place, 100 * place + 1, 2]


def test_joints_that_a_dataset_does_not_know_are_not_labelled():
    taken = BODYPOSENET_18.take(("nose", "left_wrist"), numbered(joints=2))
    labelled = [joint for joint, flag in zip(BODYPOSENET_18.joints, taken[0, :, 2], strict=True) if flag]
    assert labelled == ["nose", "left_wrist"]
    assert not taken[0][taken[0, :, 2] == 0].any()


@given(left=st.sampled_from([0, 1, 2]), right=st.sampled_from([0, 1, 2]))
def test_the_neck_is_midway_between_labelled_shoulders_and_as_visible_as_the_worse(left, right):
    keypoints = numbered()
    keypoints[0, [5, 6], 2] = left, right
    neck = BODYPOSENET_18.take(COCO_17.joints, keypoints)[0, 1]
    assert neck.tolist() == ([550, 551, min(left, right)] if left and right else [0, 0, 0])


def test_a_neck_that_the_dataset_labels_is_taken_as_it_is():
    names = (*COCO_17.joints, "neck")
    assert BODYPOSENET_18.take(names, numbered(joints=18))[0, 1].tolist() == [1700, 1701, 2]


def test_taking_leaves_what_it_was_given_alone_and_works_on_nobody():
    keypoints = numbered(people=3)
    before = keypoints.copy()
    assert BODYPOSENET_18.take(COCO_17.joints, keypoints).shape == (3, 18, 3)
    assert (keypoints == before).all()
    assert BODYPOSENET_18.take(COCO_17.joints, np.zeros((0, 17, 3))).shape == (0, 18, 3)


@BOTH
def test_a_skeleton_survives_json(skeleton):
    import json

    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))) == skeleton


def test_a_joint_named_twice_is_an_error_that_names_it():
    with pytest.raises(UserError, match="'elbow' is named twice"):
        make_skeleton("double", ("elbow", "wrist", "elbow"), ())


@pytest.mark.parametrize("limb", [(0, 2), (-1, 0), (0, 1, 1), (0,)])
def test_a_limb_that_ends_nowhere_is_an_error(limb):
    with pytest.raises(UserError, match="ends at no joint"):
        make_skeleton("loose", ("elbow", "wrist"), (limb,))
