"""People drawn on photos."""

import numpy as np

from bodyposenet.common.pose.draw import draw_people, limb_colour, line_width
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18 as SKELETON

GREY = np.full((200, 300, 3), 90, np.uint8)


def people(*persons, scores=None):
    """Each person a dict of joint name to (x, y)."""
    keypoints = np.zeros((len(persons), SKELETON.num_joints, 3), np.float32)
    for person, joints in zip(keypoints, persons, strict=True):
        for name, place in joints.items():
            person[SKELETON.joints.index(name)] = [*place, 0.9]
    return People(keypoints, np.float32(scores or [0.5] * len(persons)))


def changed(image, before=GREY):
    return (image != before).any(axis=2)


def test_a_limb_has_its_colour_between_its_joints_and_leaves_the_rest():
    ends = {"left_knee": (100, 40), "left_ankle": (100, 160)}
    drawn = draw_people(GREY, people(ends), SKELETON)
    assert tuple(drawn[100, 100]) == limb_colour("left_knee", "left_ankle")
    rows, columns = np.nonzero(changed(drawn))
    assert 30 < rows.min() < 40
    assert 160 < rows.max() < 170
    assert 90 < columns.min() < columns.max() < 110
    assert (GREY == 90).all()


def test_left_and_right_differ_and_so_do_arms_and_legs():
    left, right = limb_colour("left_hip", "left_knee"), limb_colour("right_hip", "right_knee")
    assert left[0] > left[2]  # warm
    assert right[2] > right[0]  # cool
    assert limb_colour("left_elbow", "left_wrist") not in (left, right)
    assert limb_colour("neck", "left_hip") != limb_colour("neck", "right_hip")


def test_edges_are_smooth():
    drawn = draw_people(GREY, people({"left_knee": (60.3, 40.7), "left_ankle": (201.1, 143.4)}), SKELETON)
    limb, seen = limb_colour("left_knee", "left_ankle"), {tuple(map(int, c)) for c in drawn.reshape(-1, 3)}
    assert limb in seen
    assert len(seen) > 30  # blends of limb, edge and photo


def test_a_limb_with_one_end_is_a_dot_and_a_joint_not_found_is_nothing():
    lone = draw_people(GREY, people({"left_knee": (100, 40)}), SKELETON)
    rows, columns = np.nonzero(changed(lone))
    assert (abs(rows - 40) < 8).all()
    assert (abs(columns - 100) < 8).all()
    assert changed(lone)[40, 100]
    assert not changed(lone)[:8, :8].any()  # where (0, 0) is


def test_a_guessed_joint_is_not_drawn():
    guessed = people({"left_knee": (100, 40), "left_ankle": (100, 160)})
    guessed.keypoints[0, SKELETON.joints.index("left_ankle"), 2] = 0
    assert not changed(draw_people(GREY, guessed, SKELETON))[100].any()


def test_nobody_leaves_the_photo_as_it_is():
    drawn = draw_people(GREY, people(), SKELETON)
    assert (drawn == GREY).all()
    assert drawn is not GREY


def test_large_people_have_thicker_limbs_than_small_ones():
    small, large = np.array([[10, 10], [20, 60]]), np.array([[10, 10], [200, 600]])
    assert line_width(small) < line_width(large) <= 14
    assert line_width(small[:1]) == line_width(small[:0]) > 0


def test_the_best_person_lies_on_top_whatever_the_order():
    down = {"left_knee": (100, 40), "left_ankle": (100, 160)}
    across = {"right_knee": (40, 100), "right_ankle": (160, 100)}
    for persons, scores in (((down, across), (0.9, 0.4)), ((across, down), (0.4, 0.9))):
        drawn = draw_people(GREY, people(*persons, scores=scores), SKELETON)
        assert tuple(drawn[100, 100]) == limb_colour("left_knee", "left_ankle")


def test_people_partly_or_far_outside_are_drawn_as_far_as_they_show():
    drawn = draw_people(GREY, people({"left_knee": (100, 40), "left_ankle": (100, 1e7)}), SKELETON)
    assert tuple(drawn[195, 100]) == limb_colour("left_knee", "left_ankle")


def test_people_may_have_one_colour_and_hidden_joints_a_dark_centre():
    pair = people({"left_knee": (100, 40), "left_ankle": (100, 160)})
    hidden = np.zeros((1, SKELETON.num_joints), bool)
    hidden[0, SKELETON.joints.index("left_knee")] = True
    drawn = draw_people(GREY, pair, SKELETON, colour=(1, 200, 3), hidden=hidden)
    assert tuple(drawn[100, 100]) == (1, 200, 3)
    assert drawn[40, 100].max() < 60
    assert drawn[160, 100].min() > 200
