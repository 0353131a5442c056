"""Near duplicates: the same scene saved anew is found, another is not."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.turned_photos import ORIENTATIONS, draw_photo, store_turned

from bodyposenet.common.imaging.near_duplicates import MOST_BITS, find_pairs, hash_picture

HASHES = st.lists(st.integers(0, 2**64 - 1), max_size=12)


def encode(image, kind=".jpg", quality=90):
    return cv2.imencode(kind, image, [cv2.IMWRITE_JPEG_QUALITY, quality] if kind == ".jpg" else [])[1].tobytes()


def apart(one, other):
    return (hash_picture(one) ^ hash_picture(other)).bit_count()


@pytest.mark.parametrize("seed", range(8))
def test_a_photo_saved_smaller_darker_or_as_another_kind_is_near(seed):
    image = draw_photo(seed, (480, 640))
    smaller = cv2.resize(image, (400, 300), interpolation=cv2.INTER_AREA)
    for other in (encode(smaller, quality=60), encode(image // 2), encode(image, ".png"), encode(smaller, ".webp")):
        assert apart(encode(image), other) <= MOST_BITS
    assert apart(encode(image), encode(draw_photo(seed + 100, (480, 640)))) > MOST_BITS


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_photo_stored_turned_is_near_the_upright_one(tmp_path, orientation):
    shown = draw_photo(5, (480, 640))
    store_turned(tmp_path / "turned.jpg", shown, orientation)
    store_turned(tmp_path / "upright.jpg", shown, 1)
    assert apart((tmp_path / "turned.jpg").read_bytes(), (tmp_path / "upright.jpg").read_bytes()) <= MOST_BITS


@pytest.mark.parametrize("data", [b"", b"no image", encode(np.full((90, 90, 3), 99, np.uint8))])
def test_what_is_no_picture_or_a_plain_one_is_like_nothing(data):
    assert hash_picture(data) is None


@given(ones=HASHES, others=HASHES, most=st.integers(0, 40))
def test_each_photo_is_paired_with_the_nearest_of_the_others(ones, others, most):
    wanted = []
    for place, own in enumerate(ones):
        bits = [(own ^ other).bit_count() for other in others]
        if bits and min(bits) <= most:
            wanted.append((place, bits.index(min(bits)), min(bits)))
    assert [tuple(pair) for pair in find_pairs(ones, others, most)] == wanted


@pytest.mark.data
def test_no_two_photos_of_coco_are_near(data_folder):
    hashes = [hash_picture(path.read_bytes()) for path in sorted((data_folder / "coco_sample/images").iterdir())]
    assert all(not find_pairs([own], hashes[:place] + hashes[place + 1 :]) for place, own in enumerate(hashes))
