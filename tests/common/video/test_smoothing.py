"""Smoothing: laws of the One-Euro filter, and what it does to people who stand and walk."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.walkers import WALKING
from bodyposenet.common.pose.people import People
from bodyposenet.common.video.smoothing import EAGER, GONE, Smoother

FEW = settings(max_examples=20)
RATE = 30
SIZE = float(np.hypot(*np.ptp(WALKING, axis=0)))


def person(joints, found=True):
    scores = np.broadcast_to(found, 18).astype(float)
    return People(np.c_[joints * scores[:, None], scores].astype(np.float32)[None], np.ones(1, np.float32))


def smooth(clip, rate=RATE, ids=(1,)):
    """Joints ``(F, 18, 2)`` of a clip of joints."""
    smoother = Smoother()
    frames = [smoother.smooth(person(joints), ids, frame / rate) for frame, joints in enumerate(clip)]
    return np.array([found.keypoints[0, :, :2] for found in frames])


@FEW
@given(st.floats(-500, 500), st.floats(0.1, 4), st.sampled_from([5, 30, 120]))
def test_who_does_not_move_is_left_as_they_are(shift, scale, rate):
    clip = np.repeat(WALKING[None] * scale + shift, 20, axis=0).astype(np.float32)
    np.testing.assert_array_equal(smooth(clip, rate), clip)


@FEW
@given(st.floats(-20, 20), st.floats(-20, 20), st.sampled_from([10, 30, 60]))
def test_joints_lag_by_a_small_part_of_the_person_however_fast_they_are(right, down, rate):
    clip = WALKING + np.arange(2 * rate)[:, None, None] * np.array([right, down]) * 30 / rate
    lag = np.linalg.norm(smooth(clip, rate) - clip, axis=-1)
    assert lag[rate:].max() <= SIZE / (2 * np.pi * EAGER) + 0.01
    assert lag.max() <= 0.06 * SIZE, "the speed is not known at once"


@FEW
@given(st.integers(0, 2**32 - 1))
def test_who_stands_trembles_less(seed):
    noise = np.random.default_rng(seed).normal(0, 2, (90, 18, 2))
    done = smooth(WALKING + noise) - WALKING
    assert done[10:].std() < 0.6 * noise[10:].std()
    assert np.diff(done[10:], axis=0).std() < 0.4 * np.diff(noise[10:], axis=0).std()


@FEW
@given(st.floats(0.2, 5), st.integers(0, 100))
def test_a_video_of_another_size_has_the_same_joints(scale, seed):
    clip = WALKING + np.random.default_rng(seed).normal(0, 3, (20, 18, 2)).cumsum(axis=0)
    if np.ptp(clip, axis=1).min() * scale < 2:
        return
    np.testing.assert_allclose(smooth(clip * scale), smooth(clip) * scale, atol=0.01 * scale, rtol=1e-3)


def test_joints_that_were_not_found_stay_so_and_begin_anew_after_a_while():
    smoother = Smoother()
    smoother.smooth(person(WALKING), (1,), 0.0)
    hidden = smoother.smooth(person(WALKING, np.arange(18) != 4), (1,), 0.1)
    assert not hidden.keypoints[0, 4].any()
    late = smoother.smooth(person(WALKING + 50), (1,), GONE + 0.05)
    np.testing.assert_allclose(late.keypoints[0, 4, :2], WALKING[4] + 50)
    assert (late.keypoints[0, 5, :2] < WALKING[5] + 50).all(), "the others were seen in between"


def test_people_are_smoothed_each_by_themselves_and_forgotten_when_they_are_not_expected():
    smoother = Smoother()
    smoother.smooth(person(WALKING), (1,), 0.0)
    other = smoother.smooth(person(WALKING + 50), (2,), 0.1)
    np.testing.assert_allclose(other.keypoints[0, :, :2], WALKING + 50)
    smoother.forget({2})
    again = smoother.smooth(person(WALKING + 90), (1,), 0.2)
    np.testing.assert_allclose(again.keypoints[0, :, :2], WALKING + 90)
    before = person(WALKING)
    smoother.smooth(before, (2,), 0.3)
    np.testing.assert_array_equal(before.keypoints[0, :, :2], WALKING)
