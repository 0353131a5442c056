"""Colour augmentation: the documented formulas, pixel by pixel; what is not of the photo stays grey."""

import colorsys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.data.loading.affine import GREY, Warp
from bodyposenet.common.data.loading.colour import random_tint, tint
from bodyposenet.common.spec.augmentation import ColorAugParams
from bodyposenet.common.spec.base import parse_spec

PIXELS = np.array([[[10, 200, 90], [255, 255, 255], [0, 0, 0], [127, 127, 127], [250, 40, 40]]], np.uint8)
STILL = Warp(np.eye(3))


def recoloured(change, pixels=PIXELS):
    image = pixels.copy()
    change.apply(image, STILL, pixels.shape[:2])
    return image


def near(image, wanted):
    return np.abs(image.astype(float) - np.clip(wanted, 0, 255)).max() <= 0.51


def grey_of(pixels):
    return (pixels @ np.array([0.299, 0.587, 0.114]))[..., None]


def test_brightness_adds_a_share_of_the_whole_range():
    assert near(recoloured(tint(brightness=0.2)), PIXELS + 51.0)
    assert near(recoloured(tint(brightness=-0.2)), PIXELS - 51.0)


def test_contrast_is_about_the_middle_grey():
    assert near(recoloured(tint(contrast=1.5)), 127 + 1.5 * (PIXELS - 127.0))


def test_saturation_is_about_each_pixel_s_own_grey():
    grey = grey_of(PIXELS.astype(float))
    assert near(recoloured(tint(saturation=0.4)), grey + 0.4 * (PIXELS - grey))
    assert near(recoloured(tint(saturation=0)), np.repeat(grey, 3, axis=-1))


def test_what_is_bright_changes_first_then_contrast_then_saturation():
    wanted = 127 + 0.8 * (PIXELS + 25.5 - 127)
    grey = grey_of(wanted)
    assert near(recoloured(tint(0.1, 0.8, 0.5)), grey + 0.5 * (wanted - grey))


def test_hue_turns_colours_and_leaves_greys_and_brightness():
    pixels = np.array([[[150, 100, 100], [100, 100, 100]]], np.uint8)
    turned = recoloured(tint(hue=120), pixels)
    np.testing.assert_allclose(grey_of(turned), grey_of(pixels), atol=1)
    assert turned[0, 1].tolist() == [100, 100, 100]
    hue = colorsys.rgb_to_hsv(*turned[0, 0] / 255)[0] * 360
    assert min(abs(hue - 120), abs(hue - 240)) < 25  # no longer red
    assert near(recoloured(tint(hue=360), pixels), pixels)


def test_a_full_turn_in_steps_comes_back():
    pixels = np.array([[[150, 100, 100], [90, 120, 160]]], np.uint8)
    turned = pixels
    for _ in range(4):
        turned = recoloured(tint(hue=90), turned)
    assert np.abs(turned.astype(int) - pixels).max() <= 3


def test_no_change_changes_nothing():
    assert (recoloured(tint()) == PIXELS).all()


def test_the_grey_beyond_the_photo_stays():
    photo = np.full((20, 30, 3), 60, np.uint8)
    warp = Warp(np.array([[1.0, 0.2, 12], [-0.2, 1, 14], [0, 0, 1]]))
    image = warp.image(photo, (64, 64))
    beyond = (image == GREY).all(axis=-1)
    tint(brightness=0.2).apply(image, warp, (20, 30))
    assert (image[beyond] == GREY).all()
    assert (image == 60 + 51).all(axis=-1).sum() > 500


@given(seed=st.integers(0, 2**32 - 1))
def test_random_changes_stay_in_their_ranges(seed):
    """A change's matrix is undone to what was drawn."""
    params = ColorAugParams(brightness_max=0.2, contrast_max=0.3, saturation_max=0.4)
    matrix = random_tint(np.random.default_rng(seed), params).matrix.astype(float)
    contrast = matrix[:, :3].sum() / 3  # greys keep their hue and have no saturation
    brightness = (matrix[0, 3] - (1 - contrast) * GREY) / (255 * contrast)
    saturation = np.linalg.eigvals(matrix[:, :3] / contrast)
    assert abs(brightness) <= 0.2001
    assert 0.6999 <= contrast <= 1.3001
    assert all(0.599 <= abs(value) <= 1.401 for value in saturation)


def test_ranges_are_used_to_both_ends():
    def drawn(name):
        params = ColorAugParams(**{name: 0.5})
        return [random_tint(np.random.default_rng(seed), params).matrix[0] for seed in range(200)]

    brightness = np.array([row[3] / 255 for row in drawn("brightness_max")])
    contrast = np.array([row[:3].sum() for row in drawn("contrast_max")])
    saturation = np.array([(row[0] - 0.299) / 0.701 for row in drawn("saturation_max")])
    for values, middle in ((brightness, 0), (contrast, 1), (saturation, 1)):
        assert values.min() < middle - 0.45
        assert values.max() > middle + 0.45
        assert abs(values.mean() - middle) < 0.08


def test_a_share_of_the_images_is_varied():
    params = ColorAugParams(color_prob=0.3, brightness_max=0.5)
    varied = [random_tint(np.random.default_rng(seed), params) is not None for seed in range(400)]
    assert 0.22 < np.mean(varied) < 0.38


@pytest.mark.parametrize("params", [None, ColorAugParams(), parse_spec({}, ColorAugParams)])
def test_without_ranges_nothing_is_drawn_and_no_randomness_used(params):
    rng = np.random.default_rng(0)
    assert random_tint(rng, params) is None
    assert rng.random() == np.random.default_rng(0).random()
