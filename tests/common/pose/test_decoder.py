"""Pose: what decoding makes of perfect maps, of maps that were moved or mirrored, and of nonsense."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyposenet.common.pose import People, decode, fill_missing
from bodyposenet.common.pose.completion import lay_out
from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.pose.group import count_once, lend
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton

SEEDS = st.integers(0, 2**32 - 1)
GRID = (46, 56)  # cells of 8 pixels
CELL = 8
# A standing person of TAO's 18 joints, x and y in pixels from the top left corner of its box.
STANDING = np.array(
    [(40, 10), (40, 34), (24, 35), (14, 62), (9, 88), (56, 35), (66, 62), (71, 88), (30, 90),
     (28, 124), (27, 157), (50, 90), (52, 124), (53, 157), (36, 6), (45, 5), (30, 11), (51, 10)], float
)  # fmt: skip
STICK = make_skeleton("stick", ("a", "b"), ((0, 1),))


def crowd(rng, *, most=4):
    """People of different poses, each in its own quarter of the picture: joints ``(N, 18, 2)``."""
    corners = np.array([(16, 12), (250, 12), (16, 196), (250, 196)], float)
    chosen = corners[rng.permutation(4)[: rng.integers(1, most + 1)]]
    poses = STANDING * rng.uniform(0.75, 1.0) + rng.uniform(-3, 3, (len(chosen), 18, 2))
    return chosen[:, None] + rng.uniform(0, 60, (len(chosen), 1, 2)) * [1, 0.05] + poses


def maps_of(joints, visible=None, skeleton=BODYPOSENET_18, size=GRID):
    visible = np.ones(joints.shape[:2], bool) if visible is None else visible
    return encode(joints, visible, skeleton, size=size)


def by_place(people):
    """Keypoints, people in an order that does not depend on their scores."""
    keypoints = people.keypoints
    return keypoints[np.lexsort(np.round(keypoints[:, 1, :2]).T)] if len(keypoints) else keypoints


def expected(joints):
    return joints[np.lexsort(np.round(joints[:, 1]).T)]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS)
def test_decoding_what_was_encoded_gives_the_people_back(seed):
    joints = crowd(np.random.default_rng(seed))
    people = decode(*maps_of(joints), BODYPOSENET_18)
    assert people.keypoints.shape == (len(joints), 18, 3)
    ours = people.keypoints[[np.abs(people.keypoints[..., :2] - each).sum(axis=(1, 2)).argmin() for each in joints]]
    assert np.abs(ours[..., :2] - joints).max() < 0.5
    assert (ours[..., 2] > 0.72).all()  # in the corner of a cell: exp(-2 * 4**2 / (2 * 7**2)) = .7214


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS)
def test_joints_that_were_not_drawn_are_not_found(seed):
    rng = np.random.default_rng(seed)
    joints = crowd(rng)
    visible = np.ones(joints.shape[:2], bool)
    for leaf in ("right_wrist", "left_ankle", "left_ear"):  # ends of the tree: the rest stays one piece
        visible[:, BODYPOSENET_18.joints.index(leaf)] = rng.random(len(joints)) < 0.5
    people = decode(*maps_of(joints, visible), BODYPOSENET_18)
    nearest = [np.abs(joints[:, 1] - neck[:2]).sum(axis=1).argmin() for neck in people.keypoints[:, 1]]
    assert sorted(nearest) == list(range(len(joints)))
    assert ((people.keypoints[..., 2] > 0) == visible[nearest]).all()
    assert not people.keypoints[people.keypoints[..., 2] == 0].any()


@settings(max_examples=40, deadline=None)
@given(place=st.tuples(st.floats(0, 127), st.floats(0, 127)), sigma=st.sampled_from([4.0, 7.0, 11.0]))
def test_a_lone_joint_is_found_to_a_fraction_of_a_pixel_up_to_the_border(place, sigma):
    dot = make_skeleton("dot", ("nose",), ())
    heatmaps, pafs = encode(np.array([[place]]), np.ones((1, 1), bool), dot, size=(16, 16), sigma=sigma)
    (found,) = decode(heatmaps, pafs, dot, sigma=sigma, min_parts=1).keypoints[:, 0]
    assert np.abs(found[:2] - place).max() < 0.02
    assert found[2] == pytest.approx(heatmaps[..., 0].max())


def test_cells_of_any_size_map_back_to_pixels():
    joints = np.array([[[37.25, 61.5], [90.75, 20.0]]])
    for stride in (4, 8, 16):
        size = (128 // stride, 128 // stride)
        maps = encode(joints, np.ones((1, 2), bool), STICK, size=size, stride=stride, sigma=stride * 0.9)
        people = decode(*maps, STICK, stride=stride, sigma=stride * 0.9, min_parts=2)
        assert np.abs(people.keypoints[0, :, :2] - joints[0]).max() < 0.5


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, down=st.integers(-3, 3), right=st.integers(-3, 3))
def test_moving_the_maps_by_cells_moves_the_people(seed, down, right):
    joints = crowd(np.random.default_rng(seed)) + 4 * CELL
    size = (GRID[0] + 8, GRID[1] + 8)
    heatmaps, pafs = maps_of(joints, size=size)
    moved = [np.roll(maps, (down, right), axis=(0, 1)) for maps in (heatmaps, pafs)]
    still, after = decode(heatmaps, pafs, BODYPOSENET_18), decode(*moved, BODYPOSENET_18)
    assert len(after) == len(still) == len(joints)
    shift = CELL * np.array([right, down])
    np.testing.assert_allclose(by_place(after)[..., :2], by_place(still)[..., :2] + shift, atol=1e-3)
    np.testing.assert_allclose(np.sort(after.scores), np.sort(still.scores), atol=1e-6)


def mirrored(heatmaps, pafs, skeleton):
    """Maps of the mirrored picture: columns reversed, sides swapped, x components negated."""
    order = skeleton.flip_order
    limbs = {limb: number for number, limb in enumerate(skeleton.limbs)}
    swap = [limbs[int(order[a]), int(order[b])] for a, b in skeleton.limbs]
    channels = [channel for limb in swap for channel in (2 * limb, 2 * limb + 1)]
    signs = np.tile([-1, 1], skeleton.num_limbs).astype(np.float32)
    background = skeleton.num_joints
    return heatmaps[:, ::-1][..., [*order, background]], pafs[:, ::-1][..., channels] * signs


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_mirroring_the_maps_swaps_the_sides_of_everybody(seed):
    joints = crowd(np.random.default_rng(seed))
    maps = maps_of(joints)
    people = decode(*mirrored(*maps, BODYPOSENET_18), BODYPOSENET_18)
    wanted = joints[:, BODYPOSENET_18.flip_order]
    wanted[..., 0] = GRID[1] * CELL - 1 - wanted[..., 0]
    assert len(people) == len(joints)
    assert np.abs(by_place(people)[..., :2] - expected(wanted)).max() < 0.5


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS)
def test_the_order_of_limbs_in_the_skeleton_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    joints = crowd(rng)
    visible = rng.random(joints.shape[:2]) < 0.85
    order = rng.permutation(BODYPOSENET_18.num_limbs)
    shuffled = replace(BODYPOSENET_18, limbs=tuple(BODYPOSENET_18.limbs[limb] for limb in order))
    heatmaps, pafs = maps_of(joints, visible)
    again = pafs.reshape(*GRID, -1, 2)[:, :, order].reshape(*GRID, -1)
    one, other = decode(heatmaps, pafs, BODYPOSENET_18), decode(heatmaps, again, shuffled)
    assert sorted(map(repr, one.keypoints.tolist())) == sorted(map(repr, other.keypoints.tolist()))


def test_two_people_who_cross_are_told_apart_by_their_limbs():
    joints = np.array([[[40, 40], [200, 200]], [[200, 48], [40, 208]]], float)
    people = decode(*maps_of(joints, skeleton=STICK, size=(32, 32)), STICK, min_parts=2)
    found = people.keypoints[people.keypoints[:, 0, 0].argsort(), :, :2]
    assert np.abs(found - joints).max() < 0.5


def test_a_limb_must_point_from_its_start_to_its_end():
    joints = np.array([[[40, 40], [120, 90]]], float)
    heatmaps, pafs = maps_of(joints, skeleton=STICK, size=(16, 20))
    assert len(decode(heatmaps, pafs, STICK, min_parts=2)) == 1
    assert len(decode(heatmaps, -pafs, STICK, min_parts=2)) == 0


@pytest.mark.parametrize("cells", [1, 2])
def test_fields_that_lie_elsewhere_than_the_heatmaps_are_read_there(cells):
    joints = np.array([[[40, 40], [130, 90]]], float)
    heatmaps, pafs = maps_of(joints, skeleton=STICK, size=(20, 24))
    moved = np.roll(pafs, (cells, cells), axis=(0, 1))
    people = decode(heatmaps, pafs, STICK, min_parts=2)
    assert len(people) == 1
    same = decode(heatmaps, moved, STICK, min_parts=2, paf_shift=(8 * cells, 8 * cells))
    np.testing.assert_array_equal(same.keypoints, people.keypoints)
    np.testing.assert_array_equal(same.scores, people.scores)


def field_with_gap(cells):
    """Maps of one horizontal limb, 20 cells long, of which the field is missing in a run of cells."""
    heatmaps, pafs = maps_of(np.array([[[27.5, 43.5], [187.5, 43.5]]]), skeleton=STICK, size=(12, 28))
    pafs[:, 10 : 10 + cells] = 0
    return heatmaps, pafs


def test_a_limb_survives_one_sample_of_ten_without_a_field():
    assert len(decode(*field_with_gap(2), STICK, min_parts=2)) == 1
    assert len(decode(*field_with_gap(6), STICK, min_parts=2)) == 0


def test_a_peak_serves_one_limb_of_a_kind_and_the_best_pair_wins():
    joints = np.array([[[40, 40], [120, 40]], [[40, 90], [120, 90]]], float)
    heatmaps, pafs = maps_of(joints, skeleton=STICK, size=(16, 20))
    pafs[9:13] *= 0.6  # the lower limb
    pafs[..., 0] += 0.2  # crosswise pairs are possible too, and weaker
    people = decode(heatmaps, pafs, STICK, min_parts=2)
    assert np.round(people.keypoints[:, :, 1]).tolist() == [[40, 40], [90, 90]]


def test_people_of_too_few_parts_are_left_out():
    joints = crowd(np.random.default_rng(5), most=1)
    visible = np.zeros((1, 18), bool)
    visible[0, :5] = True  # nose, neck and the right arm
    maps = maps_of(joints, visible)
    assert [len(decode(*maps, BODYPOSENET_18, min_parts=parts)) for parts in (1, 3, 5, 6)] == [1, 1, 1, 0]


def test_a_single_peak_is_a_person_where_one_part_is_enough():
    visible = np.zeros((1, 18), bool)
    visible[0, [0, 10]] = True  # a nose and an ankle, which no limb joins
    maps = maps_of(crowd(np.random.default_rng(5), most=1), visible)
    assert [len(decode(*maps, BODYPOSENET_18, min_parts=parts)) for parts in (1, 2)] == [2, 0]


def test_the_best_people_stay_when_there_are_too_many():
    rng = np.random.default_rng(3)
    joints = np.stack([STANDING + corner for corner in ((10, 12), (130, 12), (250, 12))])
    visible = rng.random((3, 18)) < [[1.1], [0.9], [0.7]]
    visible[:, 1] = True
    everybody = decode(*maps_of(joints, visible), BODYPOSENET_18)
    for most in (1, 2, 3, 9):
        some = decode(*maps_of(joints, visible), BODYPOSENET_18, max_people=most)
        assert (some.keypoints == everybody.keypoints[:most]).all()
        assert len(some) == min(most, len(everybody))
    assert everybody.scores[0] > everybody.scores[-1]


@pytest.mark.parametrize(("height", "found"), [(0.24, 0), (0.26, 1)])
def test_peaks_below_the_heatmap_threshold_are_no_joints(height, found):
    heatmaps, pafs = maps_of(np.array([[[43.5, 43.5], [123.5, 43.5]]]), skeleton=STICK, size=(12, 20))
    people = decode(heatmaps * height, pafs, STICK, heatmap_threshold=0.25, min_parts=1)
    assert len(people) == found


@pytest.mark.parametrize(("strength", "found"), [(0.29, 0), (0.31, 1)])
def test_fields_below_the_paf_threshold_join_nothing(strength, found):
    heatmaps, pafs = maps_of(np.array([[[43.5, 43.5], [123.5, 43.5]]]), skeleton=STICK, size=(12, 20))
    people = decode(heatmaps, pafs * strength, STICK, paf_threshold=0.3, min_parts=2)
    assert len(people) == found


def test_a_score_is_the_sum_of_peaks_and_limbs_brought_below_one():
    heatmaps, pafs = maps_of(np.array([[[43.5, 43.5], [123.5, 43.5]]]), skeleton=STICK, size=(12, 20))
    (score,) = decode(heatmaps * 0.8, pafs * 0.5, STICK, min_parts=2).scores
    total = 0.8 + 0.8 + 0.5
    assert score == pytest.approx(total / (1 + total), rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, people=st.integers(0, 5))
def test_a_peak_counts_for_the_best_of_those_who_share_it(seed, people):
    rng = np.random.default_rng(seed)
    groups = np.where(rng.random((people, 6)) < 0.7, rng.integers(0, 3, (people, 6)) + 3 * np.arange(6), -1)
    groups[:, 0] = rng.integers(0, 3, people)  # nobody is without joints
    totals = rng.permutation(people) + rng.random(people)
    counted = totals.copy()
    count_once(groups, counted, 18)
    for one in range(people):
        own = set(groups[one][groups[one] >= 0])
        better = {peak for other in range(people) if totals[other] > totals[one] for peak in groups[other]}
        assert counted[one] == pytest.approx(totals[one] * (len(own - better) / len(own)) ** 2)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, shared=st.integers(0, 4), away=st.sampled_from([0, 40]))
def test_who_shares_two_joints_lends_the_better_one_what_it_lacks_if_likely(seed, shared, away):
    rng = np.random.default_rng(seed)
    body = lay_out(BODYPOSENET_18.prior) * 20
    order = rng.permutation(18)
    better, lesser = np.full(18, -1), np.full(18, -1)
    better[order[:9]], lesser[order[9 - shared : 15]] = order[:9], order[9 - shared : 15]
    lacking = order[9:15]
    body[lacking] += away  # as far off as two people of its height are tall
    groups, totals = np.stack([lesser, better]), np.array([5.0, 9.0])
    points = np.stack([body.real, body.imag], axis=1).astype(np.float32)
    lend(groups, totals, 18, points, *BODYPOSENET_18.prior.arrays)
    assert (groups[0] == lesser).all()
    assert totals.tolist() == [5, 9]
    wanted = np.maximum(better, lesser) if shared >= 2 and not away else better
    assert (groups[1] == wanted).all()


def test_a_second_person_made_of_the_first_ones_joints_scores_little():
    place = np.add(STANDING, 40)
    legs = np.isin(np.arange(18), range(8, 14))
    second = np.where(legs[:, None], np.add(place, [60, -25]), place)  # other legs below the same head and arms
    heatmaps, pafs = encode(np.stack([place, second]), np.stack([np.ones(18, bool), legs]), BODYPOSENET_18, size=GRID)
    whole = encode(second[None], np.ones((1, 18), bool), BODYPOSENET_18, size=GRID)
    hips = [2 * BODYPOSENET_18.limbs.index((1, hip)) + way for hip in (8, 11) for way in (0, 1)]
    pafs[..., hips] += whole[1][..., hips]
    found = decode(heatmaps, pafs, BODYPOSENET_18)
    assert len(found) == 2
    for joints, wanted in zip(found.keypoints, (place, second), strict=True):
        seen = joints[:, 2] > 0
        assert seen.sum() >= 14
        assert np.abs(joints[seen, :2] - wanted[seen]).max() < 0.5
    alone = decode(*whole, BODYPOSENET_18).scores[0]
    odds = found.scores / (1 - found.scores)
    assert odds[0] == pytest.approx(alone / (1 - alone), rel=0.1)
    assert odds[1] < odds[0] / 4


def test_of_equal_neighbours_the_first_is_the_peak():
    heatmaps = np.zeros((5, 6, 2), np.float32)
    heatmaps[2, 2:4, 0] = heatmaps[3, 2, 0] = 0.5
    (found,) = decode(
        heatmaps, np.zeros((5, 6, 0), np.float32), make_skeleton("dot", ("a",), ()), min_parts=1
    ).keypoints
    assert found[0, 0] == pytest.approx(2.5 * 8 + 3.5)  # between the two, to which both neighbours agree
    assert found[0, 1] == pytest.approx(2.5 * 8 + 3.5)


def hold_sane(people, size):
    """Fail unless an answer is one that other code can rely on."""
    assert isinstance(people, People)
    assert people.keypoints.dtype == people.scores.dtype == np.float32
    assert np.isfinite(people.keypoints).all()
    assert ((people.keypoints[..., 2] >= 0) & (people.keypoints[..., 2] <= 1)).all()
    assert np.isfinite(people.scores).all()
    assert ((people.scores >= 0) & (people.scores < 1)).all()
    assert (np.diff(people.scores) <= 0).all()
    found = people.keypoints[people.keypoints[..., 2] > 0]
    assert (np.abs(found[:, :2] - CELL * np.array(size[::-1]) / 2) <= CELL * (np.array(size[::-1]) / 2 + 1)).all()


NONSENSE = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0, 0.5, 3.0]


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=st.tuples(st.integers(1, 12), st.integers(1, 12)), share=st.sampled_from([0.0, 0.1, 0.6, 1.0]))
def test_nonsense_gives_an_ordered_answer_that_repeats(seed, size, share):
    rng = np.random.default_rng(seed)
    maps = []
    for channels in (19, 38):
        noise = rng.normal(0, 0.5, (*size, channels))
        maps.append(
            np.where(rng.random(noise.shape) < share, rng.choice(NONSENSE, noise.shape), noise).astype(np.float32)
        )
    before = [each.copy() for each in maps]
    people = decode(*maps, BODYPOSENET_18, min_parts=1)
    hold_sane(people, size)
    again = decode(*maps, BODYPOSENET_18, min_parts=1)
    assert (people.keypoints == again.keypoints).all()
    assert (people.scores == again.scores).all()
    for one, other in zip(before, maps, strict=True):
        np.testing.assert_array_equal(one, other)


def test_noise_on_a_full_grid_is_read_in_bounded_time_and_order():
    rng = np.random.default_rng(0)
    maps = [rng.random((64, 80, channels)).astype(np.float32) for channels in (19, 38)]
    hold_sane(decode(*maps, BODYPOSENET_18), (64, 80))


@pytest.mark.parametrize("size", [(0, 0), (1, 1), (1, 9), (9, 1)])
@pytest.mark.parametrize("value", [0.0, 1.0, np.nan, np.inf])
def test_flat_maps_of_any_size_are_read(size, value):
    heatmaps, pafs = np.full((*size, 19), value, np.float32), np.full((*size, 38), value, np.float32)
    hold_sane(decode(heatmaps, pafs, BODYPOSENET_18, min_parts=1), size)


def test_empty_maps_hold_nobody():
    heatmaps, pafs = encode(np.zeros((0, 18, 2)), np.zeros((0, 18), bool), BODYPOSENET_18, size=GRID)
    people = fill_missing(decode(heatmaps, pafs, BODYPOSENET_18, min_parts=1), BODYPOSENET_18)
    assert people.keypoints.shape == (0, 18, 3)
    assert len(people) == 0


def test_a_damaged_cell_does_not_hide_the_people_elsewhere():
    joints = STANDING[None] + [20, 20]
    heatmaps, pafs = maps_of(joints)
    heatmaps[40, 50], pafs[40, 50] = np.nan, np.inf
    people = decode(heatmaps, pafs, BODYPOSENET_18)
    assert np.abs(people.keypoints[0, :, :2] - joints[0]).max() < 0.5


def test_maps_without_background_and_of_any_layout_give_the_same_people():
    heatmaps, pafs = maps_of(crowd(np.random.default_rng(1)))
    wanted = decode(heatmaps, pafs, BODYPOSENET_18)
    for one, other in ((heatmaps[..., :18], pafs), (np.asfortranarray(heatmaps), pafs.astype(np.float64))):
        found = decode(one, other, BODYPOSENET_18)
        assert (found.keypoints == wanted.keypoints).all()
