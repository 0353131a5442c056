"""Orientation: Pillow writes photos with EXIF data; what is read of them is what Pillow shows."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from support.turned_photos import LOSSLESS, ORIENTATIONS, draw_photo, store_turned

from bodyposenet.common.imaging.orientation import (
    choose_turn,
    describe_turns,
    drop_orientation,
    read_orientation,
    turn_image,
    turn_size,
)
from bodyposenet.common.imaging.photo import decode_image
from bodyposenet.common.imaging.whole_files import is_whole

SHOWN = draw_photo(3, (24, 40))
KINDS = [*LOSSLESS]


def stored_file(folder, orientation, kind, *, big=False):
    path = folder / f"photo{kind}"
    stored = store_turned(path, SHOWN, orientation, big=big)
    return path.read_bytes(), stored


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("big", [False, True])
def test_a_turned_photo_is_read_as_shown_or_as_stored(tmp_path, kind, orientation, big):
    data, stored = stored_file(tmp_path, orientation, kind, big=big)
    most = 16 if kind == ".jpg" else 0
    assert read_orientation(data) == orientation
    assert np.abs(decode_image(data, where="x").astype(int) - SHOWN).max() <= most
    assert np.abs(decode_image(data, where="x", orientation=1).astype(int) - stored).max() <= most
    assert turn_size(stored.shape[:2], orientation) == SHOWN.shape[:2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("big", [False, True])
def test_a_dropped_orientation_leaves_the_pixels_and_a_whole_file(tmp_path, kind, orientation, big):
    data, stored = stored_file(tmp_path, orientation, kind, big=big)
    dropped = drop_orientation(data)
    assert len(dropped) == len(data)
    assert is_whole(dropped)
    assert read_orientation(dropped) == 1
    picture = Image.open(io.BytesIO(dropped))
    assert picture.getexif()[0x0112] == 1
    assert picture.getexif()[0x010F] == "camera"
    assert np.abs(np.asarray(picture).astype(int) - stored).max() <= (16 if kind == ".jpg" else 0)


@given(
    orientation=st.sampled_from(ORIENTATIONS), size=st.tuples(st.integers(1, 9), st.integers(1, 9)), seed=st.integers(0)
)
def test_pixels_are_turned_as_pillow_turns_them(orientation, size, seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (*size, 3), np.uint8)
    picture = Image.fromarray(pixels)
    picture.getexif()[0x0112] = orientation
    assert (turn_image(pixels, orientation) == np.asarray(ImageOps.exif_transpose(picture))).all()


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_a_broken_file_has_some_orientation(tmp_path_factory, kind, data):
    whole = bytearray(stored_file(tmp_path_factory.getbasetemp(), 6, kind)[0])
    for _ in range(data.draw(st.integers(0, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    assert 1 <= read_orientation(cut) <= 8
    assert len(drop_orientation(cut)) == len(cut)


def test_a_file_without_exif_data_is_not_turned(tmp_path):
    for kind in (".png", ".webp", ".jpg", ".bmp", ".tif"):
        Image.fromarray(SHOWN).save(tmp_path / f"plain{kind}")
        assert read_orientation((tmp_path / f"plain{kind}").read_bytes()) == 1


@pytest.mark.parametrize(
    ("orientation", "told", "unclear", "wanted"),
    [
        (6, (40, 24), "shown", (1, "stored")),
        (6, (24, 40), "stored", (6, "shown")),
        (3, (24, 40), "shown", (3, "unclear")),
        (3, (24, 40), "stored", (1, "unclear")),
        (1, (24, 40), "shown", (1, "")),
    ],
)
def test_sizes_tell_what_was_annotated_and_the_setting_where_they_do_not(tmp_path, orientation, told, unclear, wanted):
    data, stored = stored_file(tmp_path, orientation, ".jpg")
    assert choose_turn(data, stored.shape[:2], told, unclear) == wanted


def test_turns_are_told_in_a_line():
    line = "EXIF data turn 9 photos: 4 annotated as shown, 3 annotated as stored, "
    line += "2 of which the size does not tell, taken as shown (unclear_orientation)"
    assert describe_turns({"shown": 4, "stored": 3, "unclear": 2}, "shown") == line
    assert describe_turns({"stored": 1}, "shown") == "EXIF data turn 1 photo: 1 annotated as stored"
    assert describe_turns({"": 5}, "shown") == ""
