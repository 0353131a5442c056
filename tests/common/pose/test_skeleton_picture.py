"""Skeleton picture: both figures look alike where left and right are right, and not where they are wrong."""

from dataclasses import replace

import numpy as np
import pytest
from support.spec_files import STICK

from bodyposenet.common.errors import UserError
from bodyposenet.common.pose.skeleton_picture import MOST_JOINTS, PANEL, draw_skeleton, place_joints
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, COCO_17, make_skeleton

FOX = make_skeleton(
    "fox", ("back", "nose", "tail", "LFore", "RFore", "LHind", "RHind"), [(0, end) for end in range(1, 7)]
)
HAND = make_skeleton("hand", tuple(f"joint{number}" for number in range(6)), [(0, end) for end in range(1, 6)])
UNSIDED = replace(
    make_skeleton("boat", ("mast", "port", "starboard"), ((0, 1), (0, 2))), flip_pairs=(("port", "starboard"),)
)
SKELETONS = {each.name: each for each in (BODYPOSENET_18, COCO_17, FOX, HAND, UNSIDED)}


def figures(skeleton):
    """The two figures of a picture, without their titles."""
    picture = draw_skeleton(skeleton)
    return picture[32:, :PANEL], picture[32:, PANEL : 2 * PANEL]


@pytest.mark.parametrize("name", SKELETONS)
def test_no_two_joints_are_in_one_place(name):
    places = place_joints(SKELETONS[name])
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    assert apart[~np.eye(len(places), dtype=bool)].min() > 0.02
    assert (place_joints(SKELETONS[name]) == places).all()


@pytest.mark.parametrize("name", sorted({*SKELETONS} - {"hand"}))
def test_a_mirror_makes_each_joint_its_partner(name):
    skeleton = SKELETONS[name]
    places = place_joints(skeleton)
    assert np.allclose((places * [-1, 1])[skeleton.flip_order], places)
    one, other = figures(skeleton)
    assert np.abs(one.astype(int) - other).mean() < 0.5  # a pixel is rounded to the other side here and there


def test_left_is_on_the_right_as_of_somebody_who_looks_at_us():
    places = dict(zip(COCO_17.joints, place_joints(COCO_17), strict=True))
    assert places["left_wrist"][0] > 0 > places["right_wrist"][0]
    assert place_joints(UNSIDED)[1, 0] > 0 > place_joints(UNSIDED)[2, 0]


@pytest.mark.parametrize(
    ("skeleton", "pairs"),
    [
        (COCO_17, ()),
        (COCO_17, (("left_shoulder", "right_hip"), ("left_hip", "right_shoulder"))),
        (FOX, (("LFore", "RFore"),)),
        (FOX, (("LFore", "RHind"), ("LHind", "RFore"))),
    ],
)
def test_a_wrong_pair_and_a_missing_one_show(skeleton, pairs):
    wrong = replace(skeleton, flip_pairs=pairs)
    places = place_joints(wrong)
    assert np.allclose(places, place_joints(skeleton))
    assert np.abs((places * [-1, 1])[wrong.flip_order] - places).max() > 0.1
    one, other = figures(wrong)
    assert (one != other).any()


def test_a_joint_without_a_side_may_be_anywhere_where_none_has_one():
    assert np.abs(place_joints(HAND)[:, 0]).max() > 0.1


def test_names_that_are_not_in_the_font_and_long_ones_are_drawn():
    odd = make_skeleton("\N{SNOWMAN}", ("\N{FOX FACE}" * 9, "a" * 900), ((0, 1),))
    assert draw_skeleton(odd).shape[1] < 3000


def test_too_many_joints_are_told():
    many = make_skeleton("many", tuple(f"j{number}" for number in range(MOST_JOINTS + 1)), ((0, 1),))
    with pytest.raises(UserError, match="are too many for a picture"):
        draw_skeleton(many)


def test_a_category_without_limbs_is_drawn_as_joints():
    stick = make_skeleton("stick", tuple(STICK["keypoints"]), ())
    assert draw_skeleton(stick).any()
