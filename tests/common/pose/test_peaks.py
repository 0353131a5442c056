"""Crowds: joints that lie on each other, pictures full of people or of nothing, and the same without compilation."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.crowds import crowd

from bodyposenet.common.errors import UserError
from bodyposenet.common.pose import decode
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.pose.peaks import CELLS_A_PEAK, warn_of_crowd
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton

DOT = make_skeleton("dot", ("nose",), ())
STICK = make_skeleton("stick", ("a", "b"), ((0, 1),))


@settings(max_examples=60, deadline=None)
@example(x=64.0, y=63.0, away=1.625, turn=3.75)  # both are local maxima, one of them halfway between two cells
@given(
    x=st.floats(60, 68), y=st.floats(60, 68), away=st.floats(1.6, 2.2), turn=st.floats(0, 2 * np.pi),
)  # fmt: skip
def test_two_joints_under_two_cells_apart_are_both_found(x, y, away, turn):
    other = (x + 8 * away * np.cos(turn), y + 8 * away * np.sin(turn))
    joints = np.array([[(x, y)], [other]])
    maps = encode(joints, np.ones((2, 1), bool), DOT, size=(16, 16))
    found = decode(*maps, DOT, min_parts=1).keypoints[:, 0, :2]
    assert len(found) == 2
    errors = np.linalg.norm(found[:, None] - joints[:, 0], axis=-1).min(axis=0)
    assert errors.max() < 4  # pixels, half a cell; they are apart by at least 12.8


@settings(max_examples=40, deadline=None)
@given(x=st.floats(60, 68), y=st.floats(60, 68), wide=st.floats(4.0, 10.0))
def test_a_lone_peak_is_one_joint_however_wide(x, y, wide):
    maps = encode(np.array([[(x, y)]]), np.ones((1, 1), bool), DOT, size=(16, 16), sigma=wide)
    assert len(decode(*maps, DOT, min_parts=1)) == 1


def test_a_joint_that_hides_another_is_given_to_both_people():
    bones = make_skeleton("bones", ("a", "b", "c", "d"), ((0, 1), (1, 2), (2, 3)))
    joints = np.array(
        [[(20, 60), (60, 60), (100, 60), (140, 60)], [(100, 180), (100, 140), (100, 100), (140, 61)]], float
    )
    maps = encode(joints, np.ones((2, 4), bool), bones, size=(24, 24))
    people = decode(*maps, bones, min_parts=4)
    assert len(people) == 2
    assert np.abs(people.keypoints[:, 3, :2] - [140, 60.5]).max() < 1


@pytest.mark.parametrize("people", [50, 200, 1000])
def test_any_number_of_people_is_read_in_order_and_repeatably(people):
    joints = crowd(people, np.random.default_rng(people))
    maps = encode(joints, np.ones(joints.shape[:2], bool), BODYPOSENET_18, size=(64, 80))
    found = decode(*maps, BODYPOSENET_18)
    assert (np.diff(found.scores) <= 0).all()
    again = decode(*maps, BODYPOSENET_18)
    assert (again.keypoints == found.keypoints).all()


def test_the_strongest_peaks_of_a_crowded_joint_are_kept_with_one_warning(caplog):
    warn_of_crowd.cache_clear()
    rng = np.random.default_rng(0)
    heatmaps, pafs = np.zeros((60, 60, 2), np.float32), np.zeros((60, 60, 0), np.float32)
    values = rng.uniform(0.2, 1, 900).astype(np.float32)
    heatmaps[::2, ::2, 0] = values.reshape(30, 30)
    with caplog.at_level(logging.WARNING):
        found = decode(heatmaps, pafs, DOT, min_parts=1)
        decode(heatmaps, pafs, DOT, min_parts=1)
    assert len(caplog.records) == 1
    most = 60 * 60 // CELLS_A_PEAK
    assert np.allclose(found.keypoints[:, 0, 2], np.sort(values)[::-1][:most])


def test_maps_of_another_skeleton_are_refused():
    heatmaps, pafs = np.zeros((4, 5, 19), np.float32), np.zeros((4, 5, 38), np.float32)
    for wrong in ((heatmaps[..., :7], pafs), (heatmaps, pafs[..., :2]), (heatmaps[:3], pafs), (heatmaps[0], pafs)):
        with pytest.raises(UserError, match="18 joints and 19 limbs"):
            decode(*wrong, BODYPOSENET_18)


SCENES = """
import json, sys
import numpy as np
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.pose import decode
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
sys.path.insert(0, sys.argv[1])
from support.crowds import crowd
answers = []
for people, size in ((4, (20, 24)), (5, (20, 24)), (24, (46, 62))):  # the last has more peaks than eight bits count
    rng = np.random.default_rng(people)
    joints = crowd(people, rng, size=size)
    maps = encode(joints, rng.random(joints.shape[:2]) < 0.8, BODYPOSENET_18, size=size)
    people = decode(*(each + rng.normal(0, 0.02, each.shape).astype("f4") for each in maps), BODYPOSENET_18)
    answers.append([float(maps[0].sum()), float(abs(maps[1]).sum()), people.keypoints.tolist(), people.scores.tolist()])
print(json.dumps(answers))
"""
CROWDS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from support.map_scenes import read_scenes
found = [scene.decode() for scene in read_scenes(Path(sys.argv[2]), "N[25]0_s0")]
print(json.dumps([(people.keypoints.tolist(), people.scores.tolist()) for people in found]))
"""


def test_the_same_functions_run_uncompiled_with_the_same_result():
    compare_with_uncompiled(SCENES)


@pytest.mark.data
def test_a_crowd_in_a_network_s_own_maps_is_the_same_uncompiled(data_folder):
    compare_with_uncompiled(CROWDS, data_folder)


def compare_with_uncompiled(script, *words):
    """Hold the arrays that a script prints to those that it prints without the compiler."""
    answers = []
    for off in ("0", "1"):
        environment = os.environ | {"NUMBA_DISABLE_JIT": off}
        command = [sys.executable, "-W", "error", "-c", script, str(Path(__file__).parents[2]), *map(str, words)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        answers.append(json.loads(done.stdout))
    for compiled, plain in zip(*answers, strict=True):
        for one, other in zip(compiled, plain, strict=True):
            np.testing.assert_allclose(np.array(one), np.array(other), atol=1e-3)
