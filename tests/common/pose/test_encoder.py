"""Targets: heatmaps and part affinity fields, against numbers, a plain reference and laws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import targets_reference as reference

from bodyposenet.common.pose.encoder import encode
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18, make_skeleton

FORK = make_skeleton("fork", ("neck", "nose", "left_hip", "right_hip"), ((0, 1), (0, 2), (3, 0), (2, 3)))
NOSE, NECK = BODYPOSENET_18.joints.index("nose"), BODYPOSENET_18.joints.index("neck")
NECK_TO_NOSE = BODYPOSENET_18.limbs.index((NECK, NOSE))
GRID = (32, 32)


def drawn(places, size=GRID):
    """Maps of one person with joints ``{number: (x, y)}`` of TAO's skeleton."""
    joints, visible = np.zeros((1, 18, 2)), np.zeros((1, 18), bool)
    for joint, place in places.items():
        joints[0, joint], visible[0, joint] = place, True
    return encode(joints, visible, BODYPOSENET_18, size=size)


def hold(joints, visible, skeleton, **options):
    """Fail unless the targets are the reference's, but for cells where rounding decides; return how many those are."""
    heatmaps, pafs = encode(joints, visible, skeleton, **options)
    width = options.pop("paf_width", 1.0)
    wanted, near = reference.heatmaps(joints, visible, **options)
    excluded = np.count_nonzero(near)
    assert np.abs(np.where(near, 0, heatmaps - wanted)).max() <= 1e-5
    options.pop("sigma")
    wanted, near = reference.pafs(joints, visible, skeleton.limbs, paf_width=width, **options)
    assert np.abs(np.where(near, 0, pafs - wanted)).max() <= 1e-5
    return excluded + np.count_nonzero(near)


def test_a_joint_between_cells_peaks_below_one_and_the_background_is_the_rest():
    heatmaps, _ = drawn({NOSE: (128, 128)})
    nose, background = heatmaps[..., NOSE], heatmaps[..., -1]
    assert np.unravel_index(nose.argmax(), GRID) == (16, 16)
    assert nose.max() == pytest.approx(0.778801, abs=1e-6)
    assert background.min() == pytest.approx(0.221199, abs=1e-6)


def test_a_peak_falls_off_as_a_gaussian_and_ends_at_a_thousandth():
    nose = drawn({NOSE: (100, 60)})[0][..., NOSE]
    row = [0.002182, 0.062001, 0.477211, 0.994911, 0.561844, 0.085942, 0.003561]
    assert nose[7, 9:16] == pytest.approx(row, abs=1e-6)
    assert nose[7, [8, 16]].tolist() == [0, 0]
    assert nose.sum() == pytest.approx(4.808560, abs=1e-5)
    assert np.count_nonzero(nose) == 37


def test_an_upward_limb_covers_the_cells_within_a_cell_of_its_segment():
    _, pafs = drawn({NOSE: (100, 60), NECK: (100, 90)})
    along = pafs[..., 2 * NECK_TO_NOSE : 2 * NECK_TO_NOSE + 2]
    covered = np.zeros(GRID, bool)
    covered[7:12, 12:14] = True
    assert (along.any(axis=-1) == covered).all()
    assert (along[covered] == [0, -1]).all()
    assert np.count_nonzero(pafs) == np.count_nonzero(along)  # no other limb has both of its joints


def test_a_long_limb_covers_two_columns_from_end_to_end():
    _, pafs = drawn({NECK: (40, 40), NOSE: (40, 160)})
    rows, columns = np.nonzero(pafs[..., 2 * NECK_TO_NOSE + 1])
    assert (sorted(set(rows)), sorted(set(columns))) == (list(range(4, 21)), [4, 5])
    assert len(rows) == 17 * 2


def test_nobody_is_all_background():
    heatmaps, pafs = encode(np.zeros((0, 18, 2)), np.zeros((0, 18), bool), BODYPOSENET_18, size=(4, 6))
    assert (heatmaps.shape, pafs.shape) == ((4, 6, 19), (4, 6, 38))
    assert not heatmaps[..., :-1].any()
    assert not pafs.any()
    assert (heatmaps[..., -1] == 1).all()


def test_limbs_of_two_people_average_where_they_cross():
    cross = make_skeleton("stick", ("neck", "nose"), ((0, 1),))
    joints = np.array([[[40, 128], [200, 128]], [[128, 40], [128, 200]]], float)
    _, pafs = encode(joints, np.ones((2, 2), bool), cross, size=GRID)
    assert pafs[15, 15].tolist() == [0.5, 0.5]
    assert pafs[15, 5].tolist() == [1, 0]
    assert pafs[5, 15].tolist() == [0, 1]


def test_opposite_limbs_cancel_where_they_lie_on_each_other():
    joints = np.array([[[40, 128], [200, 128]], [[200, 128], [40, 128]]], float)
    _, pafs = encode(joints, np.ones((2, 2), bool), make_skeleton("stick", ("a", "b"), ((0, 1),)), size=GRID)
    assert not pafs.any()


def test_a_joint_outside_the_picture_reaches_in_with_its_tail():
    heatmaps, _ = drawn({NOSE: (-6, 128)})
    assert heatmaps[16, 0, NOSE] == pytest.approx(np.exp(-(9.5**2 + 3.5**2) / 98), abs=1e-6)
    assert not drawn({NOSE: (-400, 128)})[0][..., NOSE].any()


@pytest.mark.parametrize("place", [np.nan, np.inf, -np.inf, 1e30, -1e30])
def test_a_joint_that_is_nowhere_draws_nothing(place):
    heatmaps, pafs = drawn({NOSE: (place, 60), NECK: (100, 90)})
    alone, no_field = drawn({NECK: (100, 90)})
    if not np.isfinite(place):
        assert (pafs == no_field).all()
    assert (heatmaps == alone).all()
    assert np.isfinite(pafs).all()


def test_two_joints_at_one_place_draw_no_limb():
    _, pafs = drawn({NOSE: (100, 60), NECK: (100, 60)})
    assert not pafs.any()


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_targets_are_those_of_the_reference(data):
    people = data.draw(st.integers(0, 4))
    near = st.integers(-60 * 256, 180 * 256).map(lambda steps: steps / 256)  # no limb of 1e-45 pixels
    place = near | st.just(float("nan")) | st.sampled_from([0.0, 3.5, 11.5, 64.0])
    joints = data.draw(hnp.arrays(np.float32, (people, 4, 2), elements=place))
    visible = data.draw(hnp.arrays(bool, (people, 4)))
    options = {
        "size": data.draw(st.tuples(st.integers(1, 16), st.integers(1, 16))),
        "stride": data.draw(st.sampled_from([4, 8, 16])),
        "sigma": data.draw(st.sampled_from([2.5, 7.0, 12.0])),
        "paf_width": data.draw(st.sampled_from([0.5, 1.0, 2.0])),
    }
    hold(joints, visible, FORK, **options)


def test_a_thousand_scenes_of_tao_skeletons_are_those_of_the_reference(record_property):
    excluded = 0
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        people = int(rng.integers(0, 5))
        joints = rng.uniform(-20, 200, (people, 1, 2)) + rng.normal(0, 30, (people, 18, 2))
        visible = rng.random((people, 18)) < 0.8
        excluded += hold(joints.astype(np.float32), visible, BODYPOSENET_18, size=(20, 24), stride=8, sigma=7.0)
    record_property("excluded_cells", int(excluded))
    assert excluded <= 2e-4 * 1000 * 20 * 24 * 57  # 3,195 of 27 million cells


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), people=st.integers(2, 5))
def test_the_order_of_people_does_not_matter(seed, people):
    rng = np.random.default_rng(seed)
    joints, visible = rng.uniform(0, 128, (people, 4, 2)), rng.random((people, 4)) < 0.8
    order = rng.permutation(people)
    before = encode(joints, visible, FORK, size=(16, 16))
    after = encode(joints[order], visible[order], FORK, size=(16, 16))
    assert (before[0] == after[0]).all()
    np.testing.assert_allclose(before[1], after[1], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_an_absent_joint_is_as_if_it_were_nowhere(seed):
    rng = np.random.default_rng(seed)
    joints, visible = rng.uniform(0, 128, (3, 4, 2)), rng.random((3, 4)) < 0.5
    elsewhere = np.where(visible[..., None], joints, rng.uniform(-1e4, 1e4, joints.shape))
    nowhere = np.where(visible[..., None], joints, np.nan)
    wanted = encode(joints, visible, FORK, size=(16, 16))
    for changed, flags in ((elsewhere, visible), (nowhere, np.ones_like(visible))):
        for one, other in zip(wanted, encode(changed, flags, FORK, size=(16, 16)), strict=True):
            assert (one == other).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), down=st.integers(-5, 5), right=st.integers(-5, 5))
def test_moving_everybody_by_cells_moves_the_maps(seed, down, right):
    rng = np.random.default_rng(seed)
    joints = rng.integers(0, 16 * 128, (2, 4, 2)) / 16  # sums of sixteenths are exact
    visible = np.ones((2, 4), bool)
    still, moved = (
        encode(joints + shift, visible, FORK, size=(48, 48)) for shift in (128, 128 + 8 * np.array([right, down]))
    )
    for one, other in zip(still, moved, strict=True):
        assert (np.roll(one, (down, right), axis=(0, 1)) == other).all()


@settings(max_examples=60, deadline=None)
@given(x=st.floats(0, 127), y=st.floats(0, 127), stride=st.sampled_from([4, 8]))
def test_a_lone_joint_peaks_in_its_own_cell(x, y, stride):
    dot = make_skeleton("dot", ("nose",), ())
    heatmaps, pafs = encode(np.array([[[x, y]]]), np.ones((1, 1), bool), dot, size=(128 // stride,) * 2, stride=stride)
    own = heatmaps[int((y + 0.5) // stride), int((x + 0.5) // stride), 0]
    assert heatmaps[..., 0].max() <= own + 1e-6
    assert pafs.shape[-1] == 0
