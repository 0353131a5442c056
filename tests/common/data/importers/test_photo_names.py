"""Photo names: from what a tool calls a photo to the file that is meant."""

import base64
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.data.importers.photo_names import PhotoNames, path_in, shorten

TOKEN = base64.urlsafe_b64encode(b"gs://bucket/x/a.jpg").decode().rstrip("=")
PLUS = base64.b64encode(b"gs://b/>>>.jpg").decode()  # one that holds a +


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("/data/upload/3/1a2b3c4d-a.jpg", "1a2b3c4d-a.jpg"),
        ("upload/3/1a2b3c4d-a.jpg", "1a2b3c4d-a.jpg"),
        ("/data/upload/3/1a2b3c4d-n%C3%A4me.jpg", "1a2b3c4d-näme.jpg"),
        ("https://studio.example.com/data/upload/3/1a2b3c4d-a.jpg", "1a2b3c4d-a.jpg"),
        ("/storage-data/uploaded/?filepath=upload/3/1a2b3c4d-a.jpg", "1a2b3c4d-a.jpg"),
        ("/data/local-files/?d=set/a%20b.jpg", "set/a b.jpg"),
        ("/data/local-files/?d=set\\a.jpg", "set/a.jpg"),
        ("gs://bucket/x/a%20b.jpg", "bucket/x/a%20b.jpg"),
        ("s3://bucket/a.jpg", "bucket/a.jpg"),
        ("https://host.example.com/x/a%20b.jpg?key=1", "host.example.com/x/a b.jpg"),
        (f"/tasks/17/presign/?fileuri={TOKEN}", "bucket/x/a.jpg"),
        ("/tasks/17/resolve/?fileuri=gs://bucket/x/a.jpg", "bucket/x/a.jpg"),
        ("C:\\photos\\a #1.jpg", "C:/photos/a #1.jpg"),
        ("/home/me/a.jpg", "home/me/a.jpg"),
        ("a?b.jpg", "a?b.jpg"),
        ("http://[half", "http://[half"),
        ("/data/local-files/?d=set/a#1.jpg", "set/a#1.jpg"),
        ("http://localhost:8080/data/local-files/?d=set/a#1.jpg", "set/a#1.jpg"),
        ("/data/local-files/?d=set/a&b=1.jpg", "set/a&b=1.jpg"),
        ("/data/local-files/?d=set/a.jpg&token=1", "set/a.jpg"),
        ("/data/local-files/?token=1&d=set/a.jpg", "set/a.jpg"),
        ("/data/upload/3/1a2b3c4d-a?b.jpg", "1a2b3c4d-a?b.jpg"),
        ("file:///C:/Users/me/a%20b.jpg", "Users/me/a b.jpg"),
        ("file:///home/me/a.jpg", "home/me/a.jpg"),
        ("file://nas/share/a.jpg", "nas/share/a.jpg"),
        ("/data/upload/3/1a2b3c4d-a.jpg?v=1", "1a2b3c4d-a.jpg"),
        ("data/set/a#1.jpg", "data/set/a#1.jpg"),
        ("https://host.example.com/x/a#1.jpg", "host.example.com/x/a#1.jpg"),
        ("https://host.example.com/x/a.jpg?key=1#top", "host.example.com/x/a.jpg"),
        ("https://host.example.com/x/a.jpg#top", "host.example.com/x/a.jpg"),
        ("https://host.example.com/x/a?key=1.jpg", "host.example.com/x/a"),
        (f"/tasks/17/presign/?fileuri={PLUS}", "b/>>>.jpg"),
    ],
)
def test_the_path_is_found_in_every_kind_of_reference(reference, path):
    assert path_in(reference) == path


NAMES = st.text("ab#?%+& =2é", min_size=1, max_size=8).map(lambda stem: f"x{stem}x.jpg")
OWN = st.sampled_from(["/data/upload/3/", "/data/local-files/?d=", "https://studio.example.com/data/local-files/?d="])


@given(OWN, NAMES)
def test_the_studio_says_which_photo_it_means_whatever_letters_the_name_has(prefix, name):
    assert path_in(prefix + quote(name)) == name


@given(NAMES)
def test_a_name_that_was_put_into_a_query_with_plus_for_blanks_is_found(name):
    assert path_in("/data/local-files/?d=" + quote_plus(name)) == name


@given(OWN, NAMES.filter(lambda name: "%" not in name))
def test_a_name_that_nobody_encoded_finds_its_photo(prefix, name):
    path = path_in(prefix + name)
    assert path == name or PhotoNames([name, "other.jpg"]).match([path]) == {path: name}


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["bucket/x/a.jpg", "bucket/x/b.jpg"], ["a.jpg", "b.jpg"]),
        (["bucket/x/a.jpg", "bucket/y/a.jpg"], ["x/a.jpg", "y/a.jpg"]),
        (["bucket/x/a.jpg", "b.jpg"], ["bucket/x/a.jpg", "b.jpg"]),
        (["a.jpg", "b.jpg"], ["a.jpg", "b.jpg"]),
        (["x/y/a.jpg", "x/yz/a.jpg"], ["y/a.jpg", "yz/a.jpg"]),
        (["x/a.jpg", "x/y/b.jpg"], ["a.jpg", "y/b.jpg"]),
        ([], []),
    ],
)
def test_folders_that_all_photos_share_are_cut(paths, names):
    assert shorten(paths) == names


PATHS = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), unique=True)


@given(PATHS)
def test_different_photos_keep_different_names(paths):
    names = shorten(paths)
    assert len(set(names)) == len(paths)
    assert all(path.endswith(name) and name for path, name in zip(paths, names, strict=True))


@pytest.mark.parametrize(
    ("name", "present", "meant"),
    [
        ("a.jpg", ["images/default/a.jpg"], "images/default/a.jpg"),  # a zip of CVAT
        ("1a2b3c4d-a.jpg", ["images/1a2b3c4d-a.jpg"], "images/1a2b3c4d-a.jpg"),  # a zip of Label Studio
        ("1a2b3c4d-a.jpg", ["a.jpg", "b.jpg"], "a.jpg"),  # the photos as they were before the upload
        ("1a2b3c__a.jpg", ["x/a.jpg"], "x/a.jpg"),
        ("1a2b3c4d-IMG_1.jpg", ["IMG (1).jpg", "IMG (2).jpg"], "IMG (1).jpg"),  # what it makes of blanks and brackets
        ("1a2b3c4d-Zoë_b20c.jpg", ["x/Zoë b%20c.jpg"], "x/Zoë b%20c.jpg"),
        ("1a2b3c4d-IMG_1.jpg", ["IMG (1).jpg", "IMG [1].jpg"], None),
        ("IMG_1.jpg", ["IMG (1).jpg"], None),  # no upload's name
        ("bucket/x/a.jpg", ["x/a.jpg", "y/a.jpg"], "x/a.jpg"),
        ("x/a.jpg", ["all/x/a.jpg", "all/y/a.jpg"], "all/x/a.jpg"),
        ("z/a.jpg", ["a.jpg"], "a.jpg"),
        ("images/a.jpg", ["train/a.jpg"], "train/a.jpg"),
        ("cam1/a.jpg", ["cam2/a.jpg"], None),  # another camera's
        ("/home/me/cam1/images/a.jpg", ["Cam2/images/a.jpg"], None),
        ("2026-11-29/a", ["2026-11-30/a.jpg"], None),
        ("a.jpg", ["x/a.jpg", "y/a.jpg"], None),  # either could be
        ("a.jpg", ["ba.jpg"], None),
        ("a.jpg", ["1a2b3c4d-a.jpg"], None),
        ("a b c.jpg", ["a+b c.jpg"], "a+b c.jpg"),  # a query means a blank by +
        ("a+b.jpg", ["a b.jpg"], "a b.jpg"),
        ("a b.jpg", ["a+b.jpg", "x/a b.jpg"], "x/a b.jpg"),
        ("a#1.jpg", ["a%231.jpg", "b.jpg"], "a%231.jpg"),  # saved under the address's letters
    ],
)
def test_a_photo_that_is_called_otherwise_is_found_if_only_one_can_be_meant(name, present, meant):
    assert PhotoNames(present).match([name]) == ({} if meant is None else {name: meant})


def test_photos_that_are_there_are_not_looked_for():
    assert PhotoNames(["a.jpg", "x/b.jpg", "y/a.jpg"]).match(["a.jpg", "x/b.jpg"]) == {}


def test_no_photo_is_given_to_two_names():
    assert PhotoNames(["a.jpg"]).match(["11111111-a.jpg", "22222222-a.jpg"]) == {}
    assert PhotoNames(["a.jpg"]).match(["11111111-a.jpg", "a.jpg"]) == {}


@given(PATHS, PATHS)
def test_no_photo_is_ever_meant_twice(names, present):
    found = PhotoNames(present).match(names)
    taken = [*found.values(), *(name for name in names if name in present)]
    assert len(set(taken)) == len(taken)
    assert set(found.values()) <= set(present)
