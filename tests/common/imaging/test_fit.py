"""Where a photo lies in the network's input, and back."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.fit import fit_image, normalise, plan_fit
from bodyposenet.common.imaging.photo import read_image
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18

MODES = ("adjust_network_input", "pad_image_input", None)
sides = st.integers(8, 700)


def dot(shape, x, y, spread):
    """A white Gaussian dot on black, RGB."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    grey = 255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * spread**2))
    return np.repeat(grey.round().astype(np.uint8)[..., None], 3, axis=2)


def centre_of(image):
    """Centre of mass of what is bright."""
    weight = np.clip(image[..., 0].astype(float) - 170, 0, None)  # above the grey and its edges
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize(
    ("photo", "size", "resized", "padded"),
    [
        ((480, 640), (368, 368), (368, 491), (368, 496)),
        ((640, 480), (368, 368), (491, 368), (496, 368)),
        ((500, 500), (368, 368), (368, 368), (368, 368)),
        ((427, 640), (288, 384), (288, 432), (288, 432)),
        ((640, 427), (288, 384), (576, 384), (576, 384)),
        ((100, 100), (30, 50), (50, 50), (56, 56)),
    ],
)
def test_adjusting_keeps_the_photos_shape_and_covers_the_input(photo, size, resized, padded):
    fit = plan_fit(photo, size, "adjust_network_input")
    assert (fit.borders, fit.resized, fit.size) == ((0, 0, 0, 0), resized, padded)
    scale = np.array([resized[1] / photo[1], resized[0] / photo[0]])
    np.testing.assert_allclose(fit.to_input([[0, 0], [10, 20]]), ([[0.5, 0.5], [10.5, 20.5]] * scale) - 0.5)


def test_padding_centres_the_photo_as_the_reference_does():
    tall = plan_fit((640, 480), (288, 384), "pad_image_input")
    assert tall.borders == (0, 0, 186, 187)
    assert tall.size == tall.resized == (288, 384)
    np.testing.assert_allclose(tall.to_input([[0, 0]]), [[186.5 * 384 / 853 - 0.5, 0.5 * 288 / 640 - 0.5]])
    wide = plan_fit((360, 640), (368, 368), "pad_image_input")
    assert wide.borders == (140, 140, 0, 0)
    np.testing.assert_allclose(np.diag(wide.matrix), [0.575, 0.575, 1])
    np.testing.assert_allclose(wide.matrix[:2, 2], [0.5 * 0.575 - 0.5, 140.5 * 0.575 - 0.5])
    assert plan_fit((288 * 2, 384 * 2), (288, 384), "pad_image_input").borders == (0, 0, 0, 0)


def test_stretching_has_a_scale_for_each_axis():
    fit = plan_fit((100, 400), (200, 100), None)
    assert fit.size == (200, 104)
    np.testing.assert_allclose(fit.matrix, [[0.25, 0, -0.375], [0, 2, 0.5], [0, 0, 1]])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("photo", "size"), [((120, 90), (256, 320)), ((600, 810), (184, 200)), ((50, 300), (96, 96))])
def test_a_dot_in_the_picture_lies_where_the_matrix_says(mode, photo, size):
    x, y = 0.3 * photo[1] + 0.3, 0.6 * photo[0] + 0.1
    fitted = fit_image(dot(photo, x, y, max(photo) / 40), size, mode)
    assert fitted.image.shape == (*fitted.fit.size, 3)
    assert fitted.image.dtype == np.uint8
    seen = centre_of(fitted.image)
    np.testing.assert_allclose(seen, fitted.fit.to_input([x, y]), atol=0.1)
    np.testing.assert_allclose(fitted.to_photo(seen), [x, y], atol=0.1 / np.diag(fitted.matrix)[:2].min())


def test_what_the_photo_does_not_fill_is_grey():
    white = np.full((100, 150, 3), 255, np.uint8)
    beyond = fit_image(white, (60, 60), "adjust_network_input").image  # 60 x 90, up to 64 x 96
    assert (beyond[:60, :90] == 255).all()
    assert (beyond[60:] == 128).all()
    assert (beyond[:, 90:] == 128).all()
    framed = fit_image(white, (64, 64), "pad_image_input").image
    assert (framed[[0, 63]] == 128).all()
    assert (framed[16:48] == 255).all()


@given(st.tuples(sides, sides), st.tuples(sides, sides), st.sampled_from(MODES), st.sampled_from([4, 8, 16]))
def test_the_way_back_is_the_inverse_and_the_stride_divides_the_input(photo, size, mode, stride):
    try:
        fit = plan_fit(photo, size, mode, stride)
    except UserError:
        assert mode == "adjust_network_input"
        return
    points = np.array([[0.0, 0.0], [photo[1] - 1, 3.25], [-7.5, photo[0] + 9]])
    np.testing.assert_allclose(fit.to_photo(fit.to_input(points)), points, atol=1e-6)
    assert fit.size[0] % stride == fit.size[1] % stride == 0
    assert 0 <= fit.size[0] - fit.resized[0] < stride
    outline = fit.to_input([[-0.5, -0.5], [photo[1] - 0.5, photo[0] - 0.5]])  # outer edges of the outermost pixels
    assert (outline > -0.5 - 1e-6).all()
    assert (outline < np.array(fit.resized[::-1]) - 0.5 + 1e-6).all()


def test_a_photo_that_is_a_line_is_refused_before_memory_is():
    with pytest.raises(UserError, match="4000000 x 1 pixels would need"):
        plan_fit((1, 4_000_000), (368, 368), "adjust_network_input")
    plan_fit((9000, 9000), (368, 368), None)  # a large photo is no line


def test_photos_are_read_as_rgb_of_eight_bits_whatever_they_are(tmp_path):
    blue = np.zeros((4, 6, 3), np.uint8)
    blue[..., 0] = 200  # OpenCV writes BGR
    for name, pixels in {"a.png": blue, "b.png": blue[..., 0], "c.png": np.full((4, 6), 51_400, np.uint16)}.items():
        cv2.imwrite(str(tmp_path / name), pixels)
    assert (read_image(tmp_path / "a.png") == [0, 0, 200]).all()
    assert (read_image(tmp_path / "b.png") == [200, 200, 200]).all()
    assert (read_image(tmp_path / "c.png") == [200, 200, 200]).all()


def test_a_photo_is_turned_upright_for_people_and_left_as_stored_for_annotations(tmp_path):
    jpeg = cv2.imencode(".jpg", np.zeros((20, 50, 3), np.uint8))[1].tobytes()
    turned = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(turned) + 2).to_bytes(2) + turned + jpeg[2:])
    assert read_image(path).shape == (50, 20, 3)
    assert read_image(path, upright=False).shape == (20, 50, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_a_photo_that_cannot_be_read_is_named(tmp_path, content):
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"photo\.jpg: (there is no such file|is empty|is no readable image)"):
        read_image(path)


@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.floats(0.125, 512, width=32), min_size=3, max_size=3),
    st.lists(st.floats(-4, 4, width=32), min_size=3, max_size=3),
)
def test_every_value_is_divided_and_shifted_as_its_channel_says_to_the_bit(seed, scales, offsets):
    image = np.random.default_rng(seed).integers(0, 256, (5, 60, 3), np.uint8)[:, ::2]  # not in one piece
    seen = normalise(image, Card(BODYPOSENET_18, image_scale=tuple(scales), image_offset=tuple(offsets)))
    wanted = image.astype(np.float32) / np.array(scales, np.float32) - np.array(offsets, np.float32)
    np.testing.assert_array_equal(seen, wanted)
