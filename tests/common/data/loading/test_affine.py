"""Augmentation: one matrix for image, mask and joints; golden numbers, directions and agreement."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bodyposenet.common.data.annotations.ignore_masks import encode_mask
from bodyposenet.common.data.loading.affine import GREY, Warp, person_centric, whole_photo
from bodyposenet.common.imaging.bitmask_png import read_bitmap
from bodyposenet.common.spec.train import SpatialAugParams

PHOTO, SIZE = (400, 600), (256, 256)
CENTRE = np.array([300.0, 200.0])
WILD = SpatialAugParams(
    flip_lr_prob=0.5, flip_tb_prob=0.3, rotate_deg_max=40, zoom_prob=0.7, zoom_ratio_min=0.6, zoom_ratio_max=1.6,
    translate_max_x=40, translate_max_y=40,
)  # fmt: skip


def warp_of(seed=0, *, centre=CENTRE, height=100.0, photo=PHOTO, size=SIZE, **params):
    rng = np.random.default_rng(seed)
    return person_centric(rng, SpatialAugParams(**params), centre=centre, height=height, photo=photo, size=size)


def linear(warp):
    return warp.matrix[:2, :2]


def test_a_person_comes_to_the_middle_at_six_tenths_of_the_inputs_height():
    warp = warp_of()
    np.testing.assert_allclose(linear(warp), 1.536 * np.eye(2), atol=1e-12)
    np.testing.assert_allclose(warp.points(CENTRE), [127.5, 127.5])
    assert warp.matrix[2].tolist() == [0, 0, 1]
    assert not warp.mirrored


def test_the_target_scale_is_a_fraction_of_the_height_whatever_the_width():
    warp = warp_of(size=(256, 512), target_person_scale=0.5)
    np.testing.assert_allclose(linear(warp), 1.28 * np.eye(2))
    np.testing.assert_allclose(warp.points(CENTRE), [255.5, 127.5])


@pytest.mark.parametrize(("zoom", "scale"), [(2.0, 0.768), (0.5, 3.072)])
def test_a_zoom_above_one_zooms_out(zoom, scale):
    warp = warp_of(zoom_prob=1, zoom_ratio_min=zoom, zoom_ratio_max=zoom)
    np.testing.assert_allclose(linear(warp), scale * np.eye(2))


def test_zoom_comes_as_often_as_it_should_and_stays_in_its_range():
    zooms = [
        1.536 / linear(warp_of(seed, zoom_prob=0.4, zoom_ratio_min=1.1, zoom_ratio_max=1.5))[0, 0]
        for seed in range(400)
    ]
    zoomed = [zoom for zoom in zooms if zoom > 1.0001]
    assert 0.3 < len(zoomed) / 400 < 0.5
    assert 1.1 <= min(zoomed) < 1.15
    assert 1.45 < max(zoomed) <= 1.5


def test_a_positive_angle_turns_clockwise_and_keeps_shapes():
    warp = warp_of(rotate_deg_min=30, rotate_deg_max=30)
    right = warp.points(CENTRE + np.array([100, 0])) - warp.points(CENTRE)
    np.testing.assert_allclose(right, 153.6 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)]))  # y points down
    np.testing.assert_allclose(linear(warp) @ linear(warp).T, 1.536**2 * np.eye(2), atol=1e-12)


def test_angles_are_spread_over_the_whole_range():
    warps = [warp_of(seed, rotate_deg_max=40) for seed in range(200)]
    angles = np.rad2deg([np.arctan2(linear(warp)[1, 0], linear(warp)[0, 0]) for warp in warps])
    assert -40 <= angles.min() < -35
    assert 35 < angles.max() <= 40
    assert abs(angles.mean()) < 5


def test_mirroring_swaps_the_sides_of_the_picture_and_says_so():
    warp = warp_of(flip_lr_prob=1)
    assert warp.mirrored
    np.testing.assert_allclose(warp.points(CENTRE + np.array([10, 5])), 127.5 + 1.536 * np.array([-10, 5]))


def test_upside_down_alone_does_not_swap_names():
    warp = warp_of(flip_tb_prob=1)
    assert not warp.mirrored
    np.testing.assert_allclose(warp.points(CENTRE + np.array([10, 5])), 127.5 + 1.536 * np.array([10, -5]))


def test_a_translation_is_in_pixels_of_the_photo():
    fixed = {"translate_min_x": 30, "translate_max_x": 30, "translate_min_y": -12, "translate_max_y": -12}
    np.testing.assert_allclose(warp_of(**fixed).points(CENTRE + np.array([30, -12])), [127.5, 127.5])


def test_a_translation_by_ratio_is_a_share_of_the_photos_width_and_height():
    fixed = {"use_translate_ratio": True, "translate_ratio_min": 0.1, "translate_ratio_max": 0.1, "translate_max_x": 99}
    np.testing.assert_allclose(warp_of(**fixed).points(CENTRE + np.array([60, 40])), [127.5, 127.5])


def test_x_and_y_move_independently():
    shifts = np.array([warp_of(seed, translate_max_x=40, translate_max_y=40).points(CENTRE) for seed in range(300)])
    offsets = (127.5 - shifts) / 1.536
    assert (np.abs(offsets) <= 40).all()
    assert (np.abs(offsets).max(axis=0) > 37).all()
    assert abs(np.corrcoef(offsets.T)[0, 1]) < 0.2


def test_the_same_generator_state_gives_the_same_warp():
    warps = [warp_of(7, **WILD.model_dump(exclude_defaults=True)) for _ in range(2)]
    assert (warps[0].matrix == warps[1].matrix).all()


def test_a_box_without_height_gives_a_finite_warp():
    assert np.isfinite(warp_of(height=0.0).matrix).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.floats(40, 390))
def test_every_warp_is_rigid_and_names_its_mirroring(seed, height):
    warp = person_centric(np.random.default_rng(seed), WILD, centre=CENTRE, height=height, photo=PHOTO, size=SIZE)
    square = linear(warp) @ linear(warp).T
    np.testing.assert_allclose(square, square[0, 0] * np.eye(2), atol=1e-9)
    points = np.array([[0, 0], [599, 0], [123.4, 56.7]])
    back = (warp.points(points) - warp.matrix[:2, 2]) @ np.linalg.inv(linear(warp)).T
    np.testing.assert_allclose(back, points, atol=1e-6)


def centroid(image):
    weight = image.astype(float).sum(axis=-1)
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


def test_image_and_joints_agree():
    """A disc on an even grey photo is found where its centre's joint goes."""
    seen = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        warp = person_centric(rng, WILD, centre=CENTRE, height=rng.uniform(80, 300), photo=PHOTO, size=SIZE)
        place = rng.integers([60, 60], [540, 340])
        photo = np.full((*PHOTO, 3), GREY, np.uint8)
        cv2.circle(photo, place.tolist(), 6, (255, 255, 255), -1)
        expected = warp.points(place.astype(float))
        if (expected > 30).all() and (expected < 225).all():
            seen += 1
            assert np.abs(centroid(warp.image(photo, SIZE) - GREY) - expected).max() < 0.1
    assert seen > 20


def test_the_middle_of_a_pixel_stays_the_middle_of_a_pixel():
    """No half-pixel slip: a whole-number shift copies the photo exactly."""
    photo = np.random.default_rng(0).integers(0, 255, (40, 50, 3), np.uint8)
    shifted = Warp(np.array([[1, 0, 3], [0, 1, -2], [0, 0, 1.0]])).image(photo, (40, 50))
    assert (shifted[:38, 3:] == photo[2:, :47]).all()
    assert (shifted[38:] == GREY).all()
    assert (shifted[:, :3] == GREY).all()


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.floats(20, 900), aside=st.floats(-900, 900))
def test_what_is_not_shown_of_a_photo_changes_nothing(seed, height, aside):
    """A crop of any size, at any angle, anywhere, even beside the photo, is that which OpenCV cuts out of the whole."""
    rng = np.random.default_rng(seed)
    photo = cv2.GaussianBlur(rng.integers(0, 256, (*PHOTO, 3), np.uint8), (5, 5), 1)
    warp = person_centric(rng, WILD, centre=CENTRE + aside, height=height, photo=PHOTO, size=(200, 248))
    cut = cv2.warpAffine(photo, warp.matrix[:2], (248, 200), flags=cv2.INTER_LINEAR, borderValue=(GREY,) * 3)
    apart = cv2.absdiff(warp.image(photo, (200, 248)), cut)
    assert apart.max() <= 1
    assert np.mean(apart > 0) < 0.005  # where a place is rounded to the other 32nd of a pixel


def test_outside_the_photo_everything_counts():
    mask = np.zeros((40, 40), np.uint8)
    shifted = Warp(np.array([[1, 0, 24], [0, 1, 0], [0, 0, 1.0]])).mask(mask, (5, 8), 8)
    assert (shifted[:, :3] == 1).all()
    assert (shifted[:, 3:] == 0).all()
    assert shifted.dtype == np.float32


def test_without_a_mask_everything_counts():
    assert (Warp(np.eye(3)).mask(None, (3, 4), 8) == np.ones((3, 4))).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_cell_of_the_mask_is_the_pixel_at_the_cells_centre(seed):
    rng = np.random.default_rng(seed)
    warp = person_centric(rng, WILD, centre=CENTRE, height=150, photo=PHOTO, size=SIZE)
    mask = np.full(PHOTO, 255, np.uint8)
    mask[100:260, 150:420] = 0
    cells = warp.mask(mask, (32, 32), 8)
    columns, rows = np.meshgrid(np.arange(32), np.arange(32))
    centres = np.stack([columns, rows], axis=-1) * 8 + 3.5
    x, y = np.moveaxis((centres - warp.matrix[:2, 2]) @ np.linalg.inv(linear(warp)).T, -1, 0)
    ignored = (x > 149.5) & (x < 419.5) & (y > 99.5) & (y < 259.5)
    edge = np.minimum.reduce([abs(x - 149.5), abs(x - 419.5), abs(y - 99.5), abs(y - 259.5)]) < 0.6
    assert (((cells == 0) == ignored) | edge).all()
    assert set(np.unique(cells)) <= {0, 1}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_bits_of_a_mask_are_looked_up_where_its_pixels_are(seed):
    rng = np.random.default_rng(seed)
    warp = person_centric(rng, WILD, centre=CENTRE, height=150, photo=PHOTO, size=SIZE)
    mask = cv2.resize(np.where(rng.random((50, 70)) < 0.5, 255, 0).astype(np.uint8), PHOTO[::-1], interpolation=0)
    bits = read_bitmap(encode_mask(mask))
    assert np.mean(warp.mask(bits, (32, 32), 8) != warp.mask(mask, (32, 32), 8)) < 0.003  # in the middle of two pixels


def test_a_halved_mask_is_looked_up_by_opencvs_rule_between_two_bits():
    mask = np.where(np.random.default_rng(0).random((512, 512)) < 0.5, 255, 0).astype(np.uint8)
    warp = whole_photo(np.random.default_rng(0), SpatialAugParams(), photo=mask.shape, size=(256, 256))
    assert (warp.mask(read_bitmap(encode_mask(mask)), (32, 32), 8) == warp.mask(mask, (32, 32), 8)).all()


def whole(seed=0, *, photo=PHOTO, size=(256, 300), stretch=False, **params):
    rng = np.random.default_rng(seed)
    return whole_photo(rng, SpatialAugParams(**params), photo=photo, size=size, stretch=stretch)


@pytest.mark.parametrize(("photo", "scale"), [((400, 600), 0.5), ((600, 400), 256 / 600), ((100, 100), 2.56)])
def test_the_whole_photo_is_centred_and_keeps_its_shape(photo, scale):
    warp = whole(photo=photo)
    np.testing.assert_allclose(linear(warp), scale * np.eye(2))
    np.testing.assert_allclose(warp.points((np.array(photo[::-1]) - 1) / 2), [149.5, 127.5])


def test_a_stretched_photo_fills_the_input_edge_to_edge():
    warp = whole(stretch=True)
    corners = warp.points(np.array([[-0.5, -0.5], [599.5, 399.5]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [299.5, 255.5]], atol=1e-9)


def test_whole_photos_are_zoomed_turned_and_moved_as_people_are():
    for stretch in (False, True):
        plain = whole(stretch=stretch)
        zoomed = whole(stretch=stretch, zoom_prob=1, zoom_ratio_min=2, zoom_ratio_max=2)
        np.testing.assert_allclose(linear(zoomed), linear(plain) / 2)  # above 1 zooms out in every mode
        turned = linear(whole(stretch=stretch, rotate_deg_min=90, rotate_deg_max=90))
        np.testing.assert_allclose(turned, [[0, -1], [1, 0]] @ linear(plain), atol=1e-12)
        moved = whole(stretch=stretch, translate_min_x=30, translate_max_x=30)
        np.testing.assert_allclose(moved.points([329.5, 199.5]), [149.5, 127.5])
        assert whole(stretch=stretch, flip_lr_prob=1).mirrored
