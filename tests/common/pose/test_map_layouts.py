"""Map layouts: the same people to the bit however maps lie in memory; peaks and limbs held to their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyposenet.common.pose import decode
from bodyposenet.common.pose.limbs import find_limbs, lay_flat
from bodyposenet.common.pose.peaks import find_peaks
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18 as SKELETON

SEEDS = st.integers(0, 2**32 - 1)
SIZES = st.tuples(st.integers(0, 12), st.integers(0, 12))
NONSENSE = [np.nan, np.inf, -np.inf, 6e4, -6e4, 0.0, -0.0, 0.5, 1e-7]
THRESHOLD = 0.1
# Of scenes: people, the sum of their joints' x, y and scores, and that of their own scores
SCENES = {
    "scene_N1_s0": (1, 6207.927507, 0.9636231065),
    "scene_N5_s0": (5, 25791.03936, 4.803524375),
    "scene_N10_s0": (10, 53900.26926, 9.622216225),
    "scene_N20_s1": (21, 134372.1123, 19.68424183),
    "scene_N50_s0": (53, 289652.3097, 49.55076912),
}


def draw_maps(seed, size, channels):
    """Noise; or plateaus and ties; with some numbers that are none, all of which float16 holds as well."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 0.5, (*size, channels))
    noise = np.round(4 * noise) / 4 if seed % 2 else noise
    some = rng.random(noise.shape) < rng.choice([0, 0.02, 0.3])
    return np.where(some, rng.choice(NONSENSE, noise.shape), noise).astype(np.float16).astype(np.float32)


def in_planes(maps):
    """Return the same maps, one channel after another in memory, as a view ``(H, W, C)``."""
    return np.ascontiguousarray(maps.transpose(2, 0, 1)).transpose(1, 2, 0)


def assert_same(one, other):
    np.testing.assert_array_equal(one.keypoints, other.keypoints)
    np.testing.assert_array_equal(one.scores, other.scores)


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=SIZES, channels=st.sampled_from([18, 19]))
def test_any_maps_give_the_same_people_in_either_layout_and_as_halves(seed, size, channels):
    maps = draw_maps(seed, size, channels), draw_maps(seed + 1, size, 38)
    wanted = decode(*maps, SKELETON, min_parts=1)
    for lay in (in_planes, np.asfortranarray, lambda each: each.astype(np.float16)):
        assert_same(decode(*map(lay, maps), SKELETON, min_parts=1), wanted)
    assert_same(decode(*(in_planes(each.astype(np.float16)) for each in maps), SKELETON, min_parts=1), wanted)


def test_fields_of_either_layout_are_read_where_they_lie():
    maps = np.zeros((2, 5, 7, 4), np.float32)
    halves = maps[0].astype(np.float16)
    for view in (maps[1], in_planes(maps[0]), halves, in_planes(halves)):
        numbers, bits, shape, steps = lay_flat(view)
        assert np.shares_memory(bits if view.dtype == np.float16 else numbers, view)
        assert [shape, *(step * view.itemsize for step in steps)] == [(5, 7, 4), *view.strides]


def list_maxima(plane):
    """The values of the cells above the threshold that are higher than all neighbours before, as high as all after."""
    framed = np.pad(np.where(np.isnan(plane), -np.inf, plane), 1, constant_values=-np.inf)
    found = []
    for row, column in np.argwhere((plane > THRESHOLD) & np.isfinite(plane)):
        around = framed[row : row + 3, column : column + 3].ravel()
        if (around[:4] < plane[row, column]).all() and (around[5:] <= plane[row, column]).all():
            found.append(plane[row, column])
    return found


@settings(max_examples=60, deadline=None)
@given(seed=SEEDS, size=SIZES)
def test_peaks_are_the_local_maxima_up_to_the_border_and_what_they_hide(seed, size):
    heatmaps = draw_maps(seed, size, 4)
    _, values, bounds, _ = find_peaks(heatmaps, 3, np.float32(THRESHOLD), 0.875)
    for joint in range(3):
        peaks, maxima = values[bounds[joint] : bounds[joint + 1]].tolist(), list_maxima(heatmaps[..., joint])
        assert len(maxima) <= len(peaks) <= 2 * len(maxima)
        for value in maxima:
            peaks.remove(value)


def read_between(plane, places):
    """Bilinear values ``(N,)`` of a plane at x, y ``(N, 2)``."""
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, np.array(plane.shape[::-1]) - 1)
    (fx, fy), ((x, y), (right, down)) = (places - low).T, (low.T, high.T)
    upper, lower = (plane[row, x] * (1 - fx) + plane[row, right] * fx for row in (y, down))
    return upper * (1 - fy) + lower * fy


def integrate(field, start, end):
    """The mean of ten samples of a field ``(H, W, 2)`` along the way, if nine are above .05; else 0."""
    most = np.array(field.shape[1::-1]) - 1.0
    start, end = np.clip(start, 0, most), np.clip(end, 0, most)
    way = end - start
    places = start + np.linspace(0, 1, 10)[:, None] * way
    samples = np.stack([read_between(field[..., part], places) for part in (0, 1)], axis=1) @ way
    good = samples > 0.05 * np.linalg.norm(way)
    return samples[good].mean() / np.linalg.norm(way) if good.sum() >= 9 else 0.0


@pytest.mark.parametrize("lay", [np.ascontiguousarray, in_planes])
@pytest.mark.parametrize("seed", range(4))
def test_the_score_of_every_pair_is_the_integral_along_it(seed, lay):
    rng = np.random.default_rng(seed)
    counts, limbs = rng.integers(2, 6, 4), np.array([(0, 1), (2, 1), (3, 0)])
    bounds = np.concatenate([[0], np.cumsum(counts)])
    points = rng.uniform(-2, (15, 11), (bounds[-1], 2)).astype(np.float32)  # some lie outside the grid
    pafs = rng.normal(0.25, 0.2, (9, 13, 6)).astype(np.float32)
    *_, tables = find_limbs(lay_flat(lay(pafs)), points, bounds, limbs, np.float32(0.05))
    wanted = [
        integrate(pafs[..., 2 * limb : 2 * limb + 2].astype(float), points[a].astype(float), points[b].astype(float))
        for limb, (start, end) in enumerate(limbs)
        for a in range(bounds[start], bounds[start + 1])
        for b in range(bounds[end], bounds[end + 1])
    ]
    assert np.count_nonzero(wanted) > 0
    np.testing.assert_allclose(tables, wanted, atol=1e-5)


@pytest.mark.data
@pytest.mark.parametrize("name", SCENES)
def test_scenes_hold_the_people_that_they_held_before(name, data_folder):
    with np.load(data_folder / "maps" / f"{name}.npz") as scene:
        maps = [scene[kind].transpose(1, 2, 0) for kind in ("heat", "paf")]
    people = decode(*maps, SKELETON)
    count, keypoints, scores = SCENES[name]
    assert len(people) == count
    assert people.keypoints.sum(dtype=float) == pytest.approx(keypoints, rel=1e-6)
    assert people.scores.sum(dtype=float) == pytest.approx(scores, rel=1e-6)
