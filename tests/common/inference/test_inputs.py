"""Photos that are named one by one, by patterns and by folders: which are found, and what their pictures are called."""

import os

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.inference.inputs import find_photos, is_drawn
from bodyposenet.common.storage.files import whole_file


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """One stands in a folder with photos in it and below it, and other files."""
    monkeypatch.chdir(tmp_path)
    trip = ("trip/b.PNG", "trip/deep/a.jpg", "trip/notes.txt", "trip/.hidden.jpg")
    for name in ("a.jpg", *trip, "list.json", "cut.zip", "odd"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def paths(*inputs):
    return [str(photo.path) for photo in find_photos(inputs)]


def pictures(*inputs):
    return [photo.picture for photo in find_photos(inputs)]


def test_photos_come_in_the_order_in_which_they_are_named_and_each_once(photos):
    assert paths("trip/b.PNG", "a.jpg", "./a.jpg", "trip") == ["trip/b.PNG", "a.jpg", "trip/deep/a.jpg"]


def test_a_folder_gives_what_is_below_it_under_its_path_there(photos):
    assert [photo.name for photo in find_photos(["trip"])] == ["b.PNG", "deep/a.jpg"]
    assert pictures("trip") == ["b.people.jpg", "deep/a.people.jpg"]


def test_patterns_match_photos_and_folders(photos):
    assert paths("*.jpg") == ["a.jpg"]
    assert paths("t*") == ["trip/b.PNG", "trip/deep/a.jpg"]
    assert paths("**/*.jpg") == ["a.jpg", "trip/deep/a.jpg"]
    assert paths("**") == ["a.jpg", "trip/b.PNG", "trip/deep/a.jpg"]
    os.chdir("trip")
    assert paths("../*.jpg") == ["../a.jpg"]


def test_a_file_with_the_name_of_a_pattern_is_that_file(photos):
    (photos / "[1].jpg").write_bytes(b"x")
    assert paths("[1].jpg") == ["[1].jpg"]


def test_a_photo_that_is_named_is_taken_whatever_its_name(photos):
    assert paths("odd") == ["odd"]
    assert pictures("odd") == ["odd.people.jpg"]


def test_pictures_of_photos_of_one_name_have_several(photos):
    (photos / "a-2.png").write_bytes(b"x")
    assert pictures("a.jpg", "trip/deep/a.jpg", "a-2.png") == ["a.people.jpg", "a-2.people.jpg", "a-2-2.people.jpg"]


def test_pictures_that_were_drawn_here_are_no_photos_of_a_folder_or_pattern(photos):
    for name in pictures("a.jpg"):
        (photos / name).write_bytes(b"x")
        assert is_drawn(name)
    assert paths("*.jpg") == ["a.jpg"]
    assert "a.people.jpg" not in paths(".")


def test_a_long_name_leaves_room_for_what_is_added(photos):
    name = "ä" * 125 + ".jpg"
    (photos / name).write_bytes(b"x")
    (picture,) = pictures(name)
    (photos / picture).write_bytes(b"x")
    assert picture.startswith("ää")


def test_addresses_are_photos_and_folders_as_paths_are(bucket):
    for name in ("trip/a.jpg", "trip/deep/b.jpg"):
        with whole_file(f"{bucket}/{name}") as file:
            file.write(b"x")
    assert paths(f"{bucket}/trip/a.jpg") == [f"{bucket}/trip/a.jpg"]
    assert pictures(f"{bucket}/trip") == ["a.people.jpg", "deep/b.people.jpg"]
    with pytest.raises(UserError, match="there is no such photo or folder"):
        find_photos([f"{bucket}/trip/*.jpg"])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "no photo is named; such as: bpnet inference photo.jpg"),
        ([""], "an empty text names no photo"),
        (["a.jpg", "b.jpg"], "b.jpg: there is no such photo or folder; check the path"),
        (["*.png"], r"\*.png: matches no photos"),
        (["empty"], r"empty: has no photos \(JPEG"),
        (["list.json"], "list.json: is a list rather than a photo; name it after --input"),
        (["cut.zip"], "cut.zip: is an archive rather than a photo; unpack it, or .* bpnet prelabel --input"),
        (["a.jpg/b.jpg"], "a.jpg/b.jpg: "),
        (["x" * 300], "x: "),
    ],
)
def test_what_is_no_photo_is_said_in_a_line(photos, inputs, message):
    (photos / "empty").mkdir()
    with pytest.raises(UserError, match=message) as told:
        find_photos(inputs)
    assert "\n" not in str(told.value)
