"""Identities: laws of the numbers that people go by, and how often they are right where people cross."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.walkers import HIDDEN, WALKING, draw_walk, score_identities
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.video.identities import Identities

FEW = settings(max_examples=20)
PLACES = st.lists(st.tuples(st.floats(0, 1000), st.floats(0, 500)), max_size=6, unique_by=lambda at: round(at[0] / 20))
RATE = 30  # frames a second
CLIPS = st.lists(PLACES, min_size=1, max_size=6)


def people(places):
    keypoints = np.array([np.c_[WALKING + place, np.ones(18)] for place in places], np.float32).reshape(-1, 18, 3)
    return People(keypoints, np.ones(len(places), np.float32))


def number(frames):
    identities = Identities(BODYPOSENET_18)
    return [identities.follow(people(places), frame / RATE) for frame, places in enumerate(frames)]


@FEW
@given(CLIPS)
def test_everybody_has_one_number_which_nobody_else_in_the_frame_has(frames):
    for places, ids in zip(frames, number(frames), strict=True):
        assert len(ids) == len(places)
        assert len(set(ids)) == len(ids)
        assert all(each >= 1 for each in ids)


@FEW
@given(CLIPS, st.randoms(use_true_random=False))
def test_the_order_in_which_people_are_given_does_not_matter(frames, random):
    orders = [random.sample(range(len(places)), len(places)) for places in frames]
    shuffled = number([[places[each] for each in order] for places, order in zip(frames, orders, strict=True)])
    for ids, order, other in zip(number(frames), orders, shuffled, strict=True):
        assert [ids[each] for each in order] == list(other)


@FEW
@given(PLACES, st.integers(1, 30))
def test_who_stands_still_keeps_the_number(places, frames):
    first, *others = number([places] * frames)
    assert list(first) == [1 + sorted(places).index(place) for place in places], "from left to right"
    assert all(ids == first for ids in others)


@FEW
@given(st.floats(-12, 12), st.floats(-6, 6), st.integers(0, HIDDEN))
def test_who_walks_on_while_hidden_keeps_the_number(right, down, hidden):
    walk = [[(400 + right * frame, 200 + down * frame)] for frame in range(40)]
    ids = number([*walk[:20], *([[]] * hidden), *walk[20 + hidden :]])
    assert {each for frame in ids for each in frame} == {1}


@FEW
@given(st.floats(20, 100), st.integers(30, 90))
def test_who_turns_again_and_again_keeps_the_number(far, frames):
    turns = far * np.sin(2 * np.pi * np.arange(60) / frames)
    assert {each for frame in number([[(400 + right, 200)] for right in turns]) for each in frame} == {1}


@FEW
@given(st.floats(2, 8), st.integers(2, 8), st.integers(0, 2**32 - 1))
def test_bodies_put_together_of_two_people_who_pass_draw_neither_along(step, frames, seed):
    rng, identities, ids = np.random.default_rng(seed), Identities(BODYPOSENET_18), []
    for frame in range(-20, 21):
        found = people([(300 + step * frame, 200), (300 - step * frame, 205)])
        if abs(frame) < frames:  # one of the two is found, with joints of the other
            mixed = np.where(rng.random((18, 1)) < 0.5, found.keypoints[0], found.keypoints[1])
            found = People(mixed[None], found.scores[:1])
        ids.append(identities.follow(found, frame / RATE))
    assert ids[0] == (1, 2)
    assert ids[-1] == (1, 2)


@pytest.mark.parametrize(
    ("rate", "longest"),
    [(120, 60), (60, 30), (30, 15), (29.97, 15), (25, 12), (10, 5), (2, 1), (1, 1), (0.1, 1)],
)
def test_how_long_somebody_may_be_hidden_is_a_time_whatever_the_rate_and_one_frame_at_least(rate, longest):
    start = 100.0
    for hidden, number in ((longest, 1), (longest + 1, 2)):
        identities = Identities(BODYPOSENET_18)
        assert identities.follow(people([(100, 100)]), start) == (1,)
        for frame in range(1, hidden + 1):
            assert identities.expected == {1}
            assert identities.follow(people([]), start + frame / rate) == ()
        assert identities.expected == ({1} if number == 1 else frozenset())
        assert identities.follow(people([(100, 100)]), start + (hidden + 1) / rate) == (number,)


def test_a_few_joints_of_somebody_are_enough():
    part = people([(401, 101), (101, 101)])
    part.keypoints[:, 4:] = 0
    identities = Identities(BODYPOSENET_18)
    identities.follow(people([(100, 100), (400, 100)]), 0)
    assert identities.follow(part, 1 / RATE) == (2, 1)


def test_somebody_without_a_joint_is_numbered_too():
    nobody = People(np.zeros((2, 18, 3), np.float32), np.zeros(2, np.float32))
    identities = Identities(BODYPOSENET_18)
    assert set(identities.follow(nobody, 0)) == {1, 2}
    assert len(set(identities.follow(nobody, 1 / RATE))) == 2


def test_six_people_who_cross_ten_times_and_are_hidden_are_told_apart():
    """trackeval 1.3.0, fed with the same similarities, gives the same IDF1: .9726027."""
    walk = draw_walk()
    assert walk.crossings == 10
    assert 40 < (~walk.seen).sum() < 150
    identities = Identities(BODYPOSENET_18)
    numbered = [identities.follow(found, frame / RATE) for frame, found in enumerate(walk.frames)]
    assert score_identities(walk, numbered) >= 0.95
    by_position = [tuple(range(len(found))) for found in walk.frames]
    assert score_identities(walk, by_position) < 0.5, "the score tells who is mixed up"
