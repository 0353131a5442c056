"""Augmentation held against TAO's own geometry, worked out another way: by quads and golden numbers.

TAO's coordinates count from the edge of the first pixel, ours from its centre: half a pixel lies between them. A zoom
above 1 zooms out in every mode, rotation is rigid, and a person's target size is a fraction of the input's height.
"""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.data.loading.affine import person_centric, whole_photo
from bodyposenet.common.spec.augmentation import SpatialAugParams

HALF = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
PHOTOS = [(480, 640), (640, 480), (427, 640), (300, 300)]
SIZES = [(256, 256), (224, 320), (320, 224)]


def from_edges(warp):
    """The matrix in coordinates that count from the edge of the first pixel, as TAO's."""
    return HALF @ warp.matrix @ np.linalg.inv(HALF)


def fixed(*, turn=0.0, zoom=1.0, shift=(0.0, 0.0), mirror=False, upside_down=False, **more):
    """Parameters that leave nothing to chance."""
    return SpatialAugParams(
        rotate_deg_max=turn, rotate_deg_min=turn, zoom_prob=1, zoom_ratio_max=zoom, zoom_ratio_min=zoom,
        translate_max_x=shift[0], translate_min_x=shift[0], translate_max_y=shift[1], translate_min_y=shift[1],
        flip_lr_prob=float(mirror), flip_tb_prob=float(upside_down), **more,
    )  # fmt: skip


def centred(params, *, centre, height, photo=(480, 640), size=(256, 256)):
    """The warp around a person whose centre counts from the edge of the first pixel."""
    rng = np.random.default_rng(0)
    return person_centric(rng, params, centre=np.array(centre) - 0.5, height=height, photo=photo, size=size)


def test_the_golden_example_of_the_person_centric_mode():
    """Centre (300, 200), 100 pixels tall; TAO adds 1e-5 to the height's share, which is worth 4e-5 of the scale."""
    matrix = from_edges(centred(SpatialAugParams(), centre=(300, 200), height=100))
    np.testing.assert_allclose(matrix[:2, :2], np.diag([1.53596, 1.53596]), rtol=5e-5)
    np.testing.assert_allclose(matrix[:2, 2], [-332.788, -179.192], rtol=5e-5)


@given(
    turn=st.floats(-180, 180), zoom=st.floats(0.5, 2), x=st.floats(-40, 40), y=st.floats(-40, 40),
    mirror=st.booleans(), upside_down=st.booleans(), size=st.sampled_from(SIZES), height=st.floats(20, 400),
)  # fmt: skip
def test_the_person_centric_mode_is_taos_chain_of_matrices(turn, zoom, x, y, mirror, upside_down, size, height):
    params = fixed(turn=turn, zoom=zoom, shift=(x, y), mirror=mirror, upside_down=upside_down, target_person_scale=0.5)
    warp = centred(params, centre=(310, 170), height=height, size=size)
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    to_origin = np.array([[1, 0, -(310 + x)], [0, 1, -(170 + y)], [0, 0, 1]])
    rotate = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    scale = 0.5 * size[0] / height / zoom
    flip = np.diag([-1.0 if mirror else 1.0, -1.0 if upside_down else 1.0, 1.0])
    to_middle = np.array([[1, 0, size[1] // 2], [0, 1, size[0] // 2], [0, 0, 1]])
    chain = to_middle @ flip @ np.diag([scale, scale, 1]) @ rotate @ to_origin
    np.testing.assert_allclose(from_edges(warp), chain, atol=1e-8)
    assert warp.mirrored == mirror


def quad_of(photo, size, *, stretch, zoom, shift, mirror, upside_down):
    """TAO's four corners in the photo that the input's corners show, and the map through them; no rotation."""
    height, width = photo
    target = size[1] / size[0]
    a = 1.0 if stretch else width / height / target
    left, right, top, bottom = 0.0, 1.0, 0.0, 1.0
    if a > 1:
        top, bottom = 0.5 - 0.5 * a, 0.5 + 0.5 * a
    elif a < 1:
        left, right = 0.5 - 0.5 / a, 0.5 + 0.5 / a
    quad = np.array([(left, top), (right, top), (right, bottom), (left, bottom)]) - 0.5
    quad = quad * zoom + np.array(shift) / (width, height) + 0.5
    if mirror:
        quad = quad[[1, 0, 3, 2]]
    if upside_down:
        quad = quad[[3, 2, 1, 0]]
    corners = np.float32([(0, 0), (size[1], 0), (size[1], size[0]), (0, size[0])])
    return cv2.getPerspectiveTransform(np.float32(quad * (width, height)), corners)


@pytest.mark.parametrize("stretch", [False, True])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize(
    "moved",
    [
        {},
        {"zoom": 1.5},
        {"zoom": 0.7, "shift": (31.0, -17.0)},
        {"mirror": True, "shift": (25.0, 10.0)},
        {"upside_down": True, "zoom": 1.2},
        {"mirror": True, "upside_down": True},
    ],
)
def test_the_whole_photo_modes_are_the_map_through_taos_quad(stretch, size, photo, moved):
    moved = {"zoom": 1.0, "shift": (0.0, 0.0), "mirror": False, "upside_down": False} | moved
    warp = whole_photo(np.random.default_rng(0), fixed(**moved), photo=photo, size=size, stretch=stretch)
    np.testing.assert_allclose(from_edges(warp), quad_of(photo, size, stretch=stretch, **moved), atol=2e-3)


@pytest.mark.parametrize(
    ("stretch", "scale", "offset"), [(False, (0.4, 0.4), (0, 32)), (True, (0.4, 0.5333333), (0, 0))]
)
def test_the_reference_s_numbers_of_the_whole_photo_modes(stretch, scale, offset):
    warp = whole_photo(np.random.default_rng(0), fixed(), photo=(480, 640), size=(256, 256), stretch=stretch)
    np.testing.assert_allclose(from_edges(warp)[:2], np.c_[np.diag(scale), offset], atol=1e-6)


@given(turn=st.floats(-180, 180), photo=st.sampled_from(PHOTOS), size=st.sampled_from(SIZES))
def test_a_whole_photo_turns_rigidly_about_its_middle(turn, photo, size):
    """Distances from the photo's middle are those of the unturned photo, whatever the aspects."""
    rng = np.random.default_rng(0)
    turned = whole_photo(rng, fixed(turn=turn), photo=photo, size=size)
    still = whole_photo(rng, fixed(), photo=photo, size=size)
    points = rng.uniform(0, 400, (20, 2))
    middle = (np.array(size[::-1]) - 1) / 2
    away = [warp.points(points) - middle for warp in (turned, still)]
    np.testing.assert_allclose(np.hypot(*away[0].T), np.hypot(*away[1].T), atol=1e-6)
    angle = np.deg2rad(turn)
    np.testing.assert_allclose(away[0] @ [1, 1j], (away[1] @ [1, 1j]) * np.exp(1j * angle), atol=1e-6)


def test_upside_down_and_mirrored_is_half_a_turn_whose_sides_change_names():
    both = centred(fixed(mirror=True, upside_down=True), centre=(300, 200), height=100)
    turned = centred(fixed(turn=180.0), centre=(300, 200), height=100)
    np.testing.assert_allclose(both.matrix, turned.matrix, atol=1e-9)
    assert both.mirrored
    assert not turned.mirrored


def test_flips_come_as_often_as_their_shares_and_independently():
    params = SpatialAugParams(flip_lr_prob=0.3, flip_tb_prob=0.6)
    flips = np.array([np.sign(np.diag(whole_photo(np.random.default_rng(seed), params, photo=(300, 300), size=(64, 64))
                                      .matrix)[:2]) < 0 for seed in range(600)])  # fmt: skip
    assert np.abs(flips.mean(axis=0) - (0.3, 0.6)).max() < 0.06
    assert abs((flips[:, 0] & flips[:, 1]).mean() - 0.18) < 0.05
