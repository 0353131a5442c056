"""Photos decoded no larger than the network needs them: what lies where, and what stays whole."""

import struct
import threading
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.fit import choose_reduction, fit_photo, plan_fit
from bodyposenet.common.imaging.orientation import turn_image
from bodyposenet.common.imaging.photo import decode_annotated, decode_photo, make_room, reduce_size

MODES = ("adjust_network_input", "pad_image_input", None)
sides = st.integers(40, 5000)
sizes = st.tuples(sides, sides)


def spotted(size, x, y):
    """A white Gaussian spot on dark noise, RGB, as a photo of ``(height, width)``."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    spot = 235 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (max(size) / 40) ** 2))
    noise = np.random.default_rng(0).integers(0, 20, size)
    return np.repeat((spot + noise).astype(np.uint8)[..., None], 3, axis=2)


def can_be_fitted(photo, wanted, mode):
    """Whether it is no line."""
    try:
        return plan_fit(photo, wanted, mode)
    except UserError:
        return None


def centre_of(image):
    weight = np.clip(image[..., 0].astype(float) - 170, 0, None)
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


def jpeg(pixels, orientation=1):
    """The file of RGB pixels as they are stored, whose EXIF data say how to turn them."""
    data = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    tiff = b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)
    segment = b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff
    return data[:2] + segment + data[2:]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("size", "wanted", "reduced"),
    [
        ((1200, 1600), (144, 192), 4),
        ((803, 1211), (256, 256), 2),
        ((1999, 1501), (80, 88), 8),
        ((480, 640), (368, 368), 1),
    ],
)
def test_what_a_reduced_photo_shows_lies_where_the_fit_says(mode, size, wanted, reduced):
    place = np.array([0.3 * size[1] + 0.3, 0.6 * size[0] + 0.1])
    photo = decode_photo(
        jpeg(spotted(size, *place)), where="x", reduce=lambda whole: choose_reduction(whole, wanted, mode)
    )
    assert photo.size == size
    assert photo.reduced == reduced
    assert photo.pixels.shape == (*reduce_size(size, photo.reduced), 3)
    fitted = fit_photo(photo, wanted, mode)
    assert fitted.fit.size == plan_fit(size, wanted, mode).size
    np.testing.assert_allclose(centre_of(fitted.image), fitted.fit.to_input(place), atol=0.1)


def test_photos_of_cameras_are_reduced():
    assert choose_reduction((3000, 4000), (184, 184), "adjust_network_input") == 8
    assert choose_reduction((3000, 4000), (368, 368), "adjust_network_input") == 4
    assert choose_reduction((3000, 4000), (368, 368), "pad_image_input") == 4
    assert choose_reduction((1080, 1920), (256, 256), "adjust_network_input") == 2
    assert choose_reduction((480, 640), (192, 256), "adjust_network_input") == 2
    assert choose_reduction((480, 640), (256, 256), "adjust_network_input") == 1


@given(sizes, sizes, st.sampled_from(MODES))
def test_a_reduced_photo_is_as_large_as_its_input_and_a_large_one_twice_and_none_larger_than_need_be(
    photo, wanted, mode
):
    fit = can_be_fitted(photo, wanted, mode)
    assume(fit)
    framed = photo[0] + sum(fit.borders[:2]), photo[1] + sum(fit.borders[2:])
    shrinks = min(framed[0] / fit.resized[0], framed[1] / fit.resized[1])
    told = 8 if shrinks >= 16 else 4 if shrinks >= 8 else 2 if shrinks >= 2 else 1
    assert choose_reduction(photo, wanted, mode) == told


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("reduced", [2, 4, 8])
@pytest.mark.parametrize("size", [(803, 1211), (1207, 801), (800, 1200)])
def test_a_reduced_photo_is_fitted_to_the_same_pixels_as_the_whole_one(size, reduced, mode):
    waves = np.array([np.sin(np.arange(length) * 2 * np.pi / 200 + 1) for length in (1300, 1300)])  # 200 pixels long
    plain = 128 + 60 * waves[0][: size[0], None] + 60 * waves[1][None, : size[1]]
    data, wanted = jpeg(np.repeat(plain.astype(np.uint8)[..., None], 3, axis=2)), (96, 104)
    whole = fit_photo(decode_photo(data, where="x"), wanted, mode)
    photo = decode_photo(data, where="x", reduce=lambda asked: reduced)
    small = fit_photo(photo, wanted, mode)
    assert photo.reduced == reduced
    np.testing.assert_array_equal(small.matrix, whole.matrix)
    assert small.image.shape == whole.image.shape
    rows, columns = np.mgrid[: small.image.shape[0], : small.image.shape[1]]
    place = whole.to_photo(np.stack([columns, rows], axis=-1).reshape(-1, 2)).reshape(*rows.shape, 2)
    room = np.array([size[1], size[0]]) - 0.5
    margin = 2 / np.diag(whole.matrix)[:2]  # two pixels of the input, as edges are blurred by so much
    inside = ((place > margin - 0.5) & (place < room - margin)).all(axis=-1)
    apart = np.abs(small.image.astype(int) - whole.image)[inside]
    assert inside.mean() > 0.5
    assert apart.max() <= 3  # which a fifth of a pixel of the input makes


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("size", "wanted"), [((1200, 1600), (144, 192)), ((803, 1211), (256, 256))])
def test_all_pixels_of_a_large_photo_count_whatever_its_file(size, wanted, mode):
    """Of a board of single pixels, black and white, a network sees grey, and not those that a bicubic resize hits."""
    board = np.repeat(((np.add.outer(*map(np.arange, size)) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    png = cv2.imencode(".png", board, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes()
    fitted = fit_photo(decode_photo(png, where="x"), wanted, mode).image
    assert np.abs(fitted.astype(int) - 127.5).max() <= 8, "at an edge that no square ends at; borders are 128"


def test_a_large_photo_that_was_decoded_whole_is_fitted_to_what_its_small_one_is():
    noise = cv2.GaussianBlur(np.random.default_rng(0).normal(size=(1600, 1200)), (0, 0), 4)
    grey = np.clip(128 + 50 * noise / noise.std(), 0, 255).astype(np.uint8)
    data = jpeg(np.repeat(grey[..., None], 3, axis=2))
    small = decode_photo(data, where="x", reduce=lambda size: choose_reduction(size, (192, 144), None))
    one, other = (
        fit_photo(photo, (192, 144), None).image.astype(int) for photo in (small, decode_photo(data, where="x"))
    )
    assert small.reduced == 4
    assert np.abs(one - other).mean() < 1
    assert np.ptp(one) > 100, "it is no plain picture"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(160, 240), (161, 243)])
def test_turned_photos_are_reduced_where_their_sides_divide(orientation, size):
    stored = spotted(size, 70, 90)
    photo = decode_photo(jpeg(stored, orientation), where="x", reduce=lambda whole: 4)
    shown = turn_image(stored, orientation)
    assert photo.size == shown.shape[:2]
    assert photo.reduced == (4 if orientation == 1 or size == (160, 240) else 1)
    place = (centre_of(shown) + 0.5) / photo.reduced - 0.5
    np.testing.assert_allclose(centre_of(photo.pixels), place, atol=0.1)


def test_other_files_stay_whole(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), spotted((200, 300), 60, 70))
    photo = decode_photo((tmp_path / "a.png").read_bytes(), where="x", reduce=lambda whole: 8)
    assert (photo.reduced, photo.size, photo.pixels.shape) == (1, (200, 300), (200, 300, 3))


def test_annotated_photos_are_held_to_the_size_of_the_whole(tmp_path):
    data = jpeg(spotted((200, 300), 60, 70), 6)
    shown, turn = decode_annotated(data, (300, 200), unclear="shown", where="x", reduce=lambda whole: 4)
    assert (shown.size, shown.reduced, turn.reason) == ((300, 200), 4, "shown")
    stored, turn = decode_annotated(data, (200, 300), unclear="shown", where="x", reduce=lambda whole: 4)
    assert (stored.size, stored.pixels.shape, turn.reason) == ((200, 300), (50, 75, 3), "stored")


def test_of_large_photos_there_is_one_at_a_time():
    small, large = (
        cv2.imencode(".png", np.zeros(size, np.uint8))[1].tobytes() for size in ((9, 9), (2**13, 2**12 + 1))
    )
    inside, go = threading.Event(), threading.Event()

    def hold():
        with make_room(large):
            inside.set()
            go.wait(30)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hold)
        assert inside.wait(30)
        with make_room(small):
            pass
        second = pool.submit(hold)
        assert not second.done()
        go.set()
        first.result(30)
        second.result(30)
