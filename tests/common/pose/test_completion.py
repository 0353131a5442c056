"""Completion: joints that were not found are where the body's build has them."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyposenet.common.pose import People, fill_missing
from bodyposenet.common.pose.completion import lay_out
from bodyposenet.common.skeleton.prior import BodyPrior
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton

SEEDS = st.integers(0, 2**32 - 1)
JOINTS = {name: number for number, name in enumerate(BODYPOSENET_18.joints)}


def people_of(places, known):
    """People at complex places ``(N, K)``, of which some joints were found."""
    found = np.where(known, places, 0)
    return People(
        np.stack([found.real, found.imag, known], axis=-1).astype(np.float32), np.ones(len(places), np.float32)
    )


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, people=st.integers(0, 3), mirrored=st.booleans())
def test_a_body_that_is_turned_mirrored_and_scaled_is_completed_exactly(seed, people, mirrored):
    rng = np.random.default_rng(seed)
    body = lay_out(BODYPOSENET_18.prior)
    sizes = rng.uniform(20, 200, (people, 1)) * np.exp(1j * rng.uniform(0, 7, (people, 1)))
    places = sizes * (body.conj() if mirrored else body) + rng.uniform(0, 500) + 300j
    known = rng.random((people, 18)) < 0.5
    known[:, [JOINTS["neck"], JOINTS["right_elbow"], JOINTS["left_hip"]]] = True
    before = people_of(places, known)
    filled = fill_missing(before, BODYPOSENET_18).keypoints
    np.testing.assert_array_equal(filled[known], before.keypoints[known])
    assert (filled[..., 2] == known).all()
    np.testing.assert_allclose(filled[..., 0] + 1j * filled[..., 1], places, atol=0.01)


def test_the_body_is_as_far_apart_as_the_prior_says_and_even():
    means, spreads = (np.array(rows) for rows in (BODYPOSENET_18.prior.means, BODYPOSENET_18.prior.spreads))
    body = lay_out(BODYPOSENET_18.prior)
    pairs = np.tril_indices(18, -1)
    off = (np.log(np.abs(body[:, None] - body)[pairs]) - means[pairs]) / spreads[pairs]
    assert np.sqrt((off**2).mean()) < 1
    mirrored = body[list(BODYPOSENET_18.flip_order)]
    apart, across = (np.abs(each[:, None] - each) for each in (body, mirrored))
    np.testing.assert_allclose(apart, across, atol=0.01)
    head, hips, feet = (
        body[JOINTS["nose"]],
        *((body[JOINTS[f"left_{part}"]] + body[JOINTS[f"right_{part}"]]) / 2 for part in ("hip", "ankle")),
    )
    assert abs(head - feet) == pytest.approx(abs(head - hips) + abs(hips - feet), rel=0.01)  # it stands upright


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, joints=st.integers(1, 8))
def test_a_body_that_lies_flat_is_laid_out_as_it_is(seed, joints):
    rng = np.random.default_rng(seed)
    places = rng.permutation(joints) + 1j * rng.uniform(0, 1, joints)
    apart = np.abs(places[:, None] - places) + np.eye(joints)
    means = tuple(map(tuple, np.log(apart)))
    body = lay_out(BodyPrior(means, tuple(map(tuple, np.ones((joints, joints))))))
    np.testing.assert_allclose(np.abs(body[:, None] - body) + np.eye(joints), apart, atol=1e-6)


@pytest.mark.parametrize("skeleton", [BODYPOSENET_18, replace(BODYPOSENET_18, prior=None)])
def test_of_few_joints_the_others_are_at_the_nearest_one(skeleton):
    places = (np.arange(18) * (10 + 1j))[None]
    known = np.zeros((1, 18), bool)
    known[0, [JOINTS["right_shoulder"], JOINTS["left_knee"]]] = True
    filled = fill_missing(people_of(places, known), skeleton).keypoints[0]
    for name in ("neck", "right_elbow", "right_wrist", "nose", "left_ear"):
        assert filled[JOINTS[name], 0] == pytest.approx(10 * JOINTS["right_shoulder"]), name
    for name in ("left_ankle", "left_hip"):
        assert filled[JOINTS[name], 0] == pytest.approx(10 * JOINTS["left_knee"]), name


def test_joints_that_no_limb_reaches_stay():
    apart = make_skeleton("apart", ("a", "b", "c"), ((0, 1),))
    keypoints = np.float32([[[5, 6, 1], [0, 0, 0], [0, 0, 0]]])
    filled = fill_missing(People(keypoints, np.float32([1])), apart).keypoints
    assert filled.tolist() == [[[5, 6, 1], [5, 6, 0], [0, 0, 0]]]
