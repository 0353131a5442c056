"""Decoding: a photo is reduced as its warp shrinks it, without moving anything, and better than without."""

import cv2
import numpy as np
import pytest
from support.record import a_record

from bodyposenet.common.data.loading.affine import Warp
from bodyposenet.common.data.loading.decoding import decode_mask, decode_photo, factor_for, read_mask
from bodyposenet.common.errors import UserError


def photo(size=(203, 301), *, discs=((60, 50), (201, 120))):
    """Grey noise of fine grain and black discs, RGB."""
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(90, 250, (*size, 1), np.uint8), 3, axis=-1)
    image = cv2.GaussianBlur(image, (0, 0), 0.6)
    for disc in discs:
        cv2.circle(image, disc, 12, (10, 10, 30), -1, cv2.LINE_AA)
    return image


def record_of(image, *, kind=".jpg"):
    data = cv2.imencode(kind, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 100] if kind == ".jpg" else [])[1]
    record = a_record()
    for name, value in {"image": data.tobytes(), "height": image.shape[0], "width": image.shape[1]}.items():
        object.__setattr__(record, name, value)
    return record


def scaled(scale, angle=20.0, middle=(150.0, 101.0), size=(64, 64)):
    turn = np.deg2rad(angle)
    matrix = np.eye(3)
    matrix[:2, :2] = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix[:2, 2] = (np.array(size[::-1]) - 1) / 2 - matrix[:2, :2] @ middle
    return Warp(matrix)


def footprints(image, warp, size=(64, 64), times=12):
    """The exact picture: the mean over each input pixel's footprint."""
    finer = np.diag([times, times, 1.0])
    finer[:2, 2] = (times - 1) / 2
    large = cv2.warpAffine(image.astype(np.float32), (finer @ warp.matrix)[:2], (size[1] * times, size[0] * times),
                           flags=cv2.INTER_LINEAR, borderValue=(127,) * 3)  # fmt: skip
    return cv2.resize(large, size[::-1], interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize(
    ("scale", "factor"), [(2.0, 1), (0.51, 1), (0.5, 2), (0.23, 2), (0.22, 4), (0.12, 4), (0.11, 8), (0.01, 8)]
)
def test_a_photo_is_reduced_no_more_than_its_warp_shrinks_it(scale, factor):
    assert factor_for(scale) == factor
    assert factor == 1 or factor * scale <= 1


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("kind", [".jpg", ".png"])
def test_a_reduced_photo_is_the_mean_of_its_squares(kind, factor):
    image = photo()
    reduced = decode_photo(record_of(image, kind=kind), factor).astype(float)
    rows, columns = (size // factor for size in image.shape[:2])
    means = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, 3).mean(axis=(1, 3))
    assert reduced.shape[:2] == tuple(-(-size // factor) for size in image.shape[:2])
    assert np.abs(reduced[:rows, :columns] - means).mean() < 1.5


@pytest.mark.parametrize("kind", [".jpg", ".png"])
@pytest.mark.parametrize("scale", [0.08, 0.2, 0.35, 0.49])
def test_a_shrunken_photo_is_in_place_and_nearer_to_the_exact_one_than_without(kind, scale):
    image, warp = photo(discs=((150, 100),)), scaled(scale)
    exact = footprints(image, warp)
    record, factor = record_of(image, kind=kind), factor_for(warp.scale)
    ours = warp.from_reduced(factor).image(decode_photo(record, factor), (64, 64))
    plain = warp.image(decode_photo(record), (64, 64))
    assert np.abs(ours - exact).mean() < np.abs(plain - exact).mean()
    dark = [np.argwhere(picture[..., 1] < 70).mean(axis=0) for picture in (ours.astype(float), exact)]
    assert np.abs(dark[0] - dark[1]).max() < 0.35


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_whole_decoding_averages_the_same_squares(factor):
    record = record_of(photo())
    reduced, whole = decode_photo(record, factor), decode_photo(record, factor, whole=True)
    assert reduced.shape == whole.shape
    assert np.abs(reduced.astype(int) - whole).mean() < 1.5


def test_masks_are_read_in_bits_and_the_same_as_their_pixels():
    mask = np.where(np.random.default_rng(0).random((203, 301)) < 0.5, 255, 0).astype(np.uint8)
    png = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes()
    assert (decode_mask(a_record(mask=png)) == mask).all()
    assert (read_mask(a_record(mask=png)).unpack() == mask).all()
    grey = cv2.imencode(".png", mask)[1].tobytes()
    assert (read_mask(a_record(mask=grey)) == mask).all()
    assert read_mask(a_record(mask=None)) is None


def test_the_scale_of_a_stretched_photo_is_the_greater_one():
    assert Warp(np.diag([0.3, 0.6, 1.0])).scale == pytest.approx(0.6)
    assert scaled(0.37, angle=77).scale == pytest.approx(0.37)


def test_colours_come_as_rgb_at_every_size():
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 200
    for factor in (1, 2, 4, 8):
        red, green, blue = decode_photo(record_of(image), factor).reshape(-1, 3).mean(axis=0)
        assert abs(red - 200) < 4
        assert max(green, blue) < 4


def test_pictures_that_do_not_decode_are_named():
    record = record_of(photo())
    object.__setattr__(record, "image", record.image[:30])
    object.__setattr__(record, "mask", b"no png")
    for read in (decode_photo, lambda record: decode_photo(record, 4), decode_mask):
        with pytest.raises(UserError, match=f"image {record.image_id}"):
            read(record)


@pytest.mark.parametrize("data", [b"", b"no picture"])
@pytest.mark.parametrize(("name", "read"), [("image", decode_photo), ("mask", decode_mask)])
def test_a_record_without_a_picture_in_it_is_named(name, read, data):
    record = a_record()
    object.__setattr__(record, name, data)
    with pytest.raises(UserError, match=f"image {record.image_id}, .*: frame/{name} of this record cannot be decoded"):
        read(record)
