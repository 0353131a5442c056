"""Label order: hard photos first, and of photos that look alike one before the others."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.inference.label_order import (
    NOBODY,
    describe_photo,
    measure_difficulty,
    order_photos,
    shrink_photo,
)
from bodyposenet.common.pose.people import People


def crowd(*joint_scores, score=0.8):
    """People whose joints have these scores; joints lie on a diagonal."""
    scores = np.array(joint_scores, np.float32).reshape(len(joint_scores), len(joint_scores[0]) if joint_scores else 3)
    places = np.broadcast_to(np.arange(1, scores.shape[1] + 1)[None, :, None] * 10.0, (*scores.shape, 2))
    keypoints = np.dstack([np.where(scores[..., None] > 0, places, 0), scores]).astype(np.float32)
    return People(keypoints, np.full(len(scores), score, np.float32))


def test_lower_scores_of_joints_or_people_and_missing_joints_each_make_a_photo_harder():
    sure = measure_difficulty(crowd([0.9, 0.9]), 0.3)
    assert measure_difficulty(crowd([0.9, 0.5]), 0.3) > sure
    assert measure_difficulty(crowd([0.9, 0.9], score=0.4), 0.3) > sure
    assert measure_difficulty(crowd([0.9, 0.0]), 0.3) > sure
    assert measure_difficulty(crowd([0.9, 0.9], [0.2, 0.2]), 0.3) > sure
    assert measure_difficulty(crowd(), 0.3) == NOBODY > sure


def test_the_measure_is_the_mean_of_three_shares():
    expected = ((1 - 0.8) + (1 - (0.9 + 0.2) / 2) + 2 / 3) / 3  # one joint is uncertain, one was not found
    np.testing.assert_allclose(measure_difficulty(crowd([0.9, 0.2, 0]), 0.3), expected, rtol=1e-6)


@given(
    difficulties=st.lists(st.floats(0.01, 1), min_size=1, max_size=20),
    limit=st.integers(0, 25),
    seed=st.integers(0, 99),
)
def test_each_photo_comes_once_the_hardest_first_and_a_limit_cuts_the_end_off(difficulties, limit, seed):
    descriptions = np.random.default_rng(seed).random((len(difficulties), 3))
    order = order_photos(np.array(difficulties), descriptions)
    assert sorted(order) == [*range(len(difficulties))]
    assert difficulties[order[0]] >= max(difficulties) - 1e-9
    assert order_photos(np.array(difficulties), descriptions, limit) == order[: limit or None]


def test_copies_of_a_photo_come_after_all_that_look_differently():
    descriptions = np.array([[0.0], [0.0], [0.0], [1.0], [2.0]])
    order = order_photos(np.array([0.9, 0.89, 0.88, 0.2, 0.2]), descriptions)
    assert order == [0, 4, 3, 1, 2]


def test_of_photos_that_are_equally_far_the_harder_one_comes_next():
    assert order_photos(np.array([0.9, 0.3, 0.4]), np.array([[0.0], [1.0], [-1.0]])) == [0, 2, 1]


def test_beyond_those_that_are_chosen_by_distance_difficulty_alone_decides():
    difficulties = np.array([0.9, 0.5, 0.8, 0.7])
    assert order_photos(difficulties, np.array([[0.0], [9.0], [0.0], [0.0]]), most=2) == [0, 1, 2, 3]


def test_photos_differ_by_their_look_by_poses_and_by_how_many_people_there_are():
    bright, dark = (shrink_photo(np.full((60, 90, 3), value, np.uint8)) for value in (250, 5))
    one, two = crowd([0.9, 0.9, 0.9]), crowd([0.9, 0.9, 0.9], [0.9, 0.9, 0.9])
    bent = People(one.keypoints * np.float32([[[1, 1, 1], [3, 1, 1], [1, 1, 1]]]), one.scores)
    plain = describe_photo(one, bright)
    for other in (describe_photo(one, dark), describe_photo(two, bright), describe_photo(bent, bright)):
        assert np.linalg.norm(plain - other) > 0.05
    moved = People(one.keypoints + np.float32([100, 50, 0]), one.scores)
    np.testing.assert_allclose(describe_photo(moved, bright), plain, atol=1e-6)
    assert len(bright) == 64
    assert set(bright) == {250}
