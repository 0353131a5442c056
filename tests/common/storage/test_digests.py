"""Digests: equal for equal content, and for nothing else."""

import os
import re
import shutil

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import (
    digest_bytes,
    digest_file,
    digest_settings,
    digest_stream,
    fingerprint,
)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "set/images").mkdir(parents=True)
    (tmp_path / "set/people.json").write_text("{}")
    (tmp_path / "set/images/a.jpg").write_bytes(b"pixels")
    return tmp_path / "set"


def test_times_places_and_hidden_files_do_not_count(folder, tmp_path):
    before = fingerprint(folder)
    assert re.fullmatch(r"[0-9a-f]{64}", before)
    os.utime(folder / "people.json", (0, 0))
    (folder / ".DS_Store").write_bytes(b"")
    (folder / ".cache").mkdir()
    (folder / ".cache/file").write_bytes(b"")
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert fingerprint(folder) == fingerprint(tmp_path / "elsewhere") == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "people.json").write_text("{ }"),
        lambda folder: (folder / "images/a.jpg").write_bytes(b"pixelz"),
        lambda folder: (folder / "images/a.jpg").rename(folder / "images/b.jpg"),
        lambda folder: (folder / "images/a.jpg").rename(folder / "a.jpg"),
        lambda folder: (folder / "images/b.jpg").write_bytes(b""),
        lambda folder: (folder / "images/a.jpg").unlink(),
    ],
)
def test_every_change_of_content_counts(folder, change):
    before = fingerprint(folder)
    change(folder)
    assert fingerprint(folder) != before


def test_linked_files_and_folders_count_as_what_they_link_to(folder, tmp_path):
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/images").symlink_to(folder / "images")
    (tmp_path / "linked/people.json").symlink_to(folder / "people.json")
    assert fingerprint(tmp_path / "linked") == fingerprint(folder)
    (folder / "images/up").symlink_to(folder)  # a loop ends
    assert fingerprint(folder)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(UserError, match="nowhere: no such folder"):
        fingerprint(tmp_path / "nowhere")


@pytest.fixture
def abc(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    return tmp_path / "abc"


ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2's first example


def test_bytes_texts_files_and_streams_have_the_digest_of_their_bytes(abc):
    assert digest_bytes(b"abc") == digest_bytes("abc") == digest_file(abc) == digest_file(str(abc)) == ABC
    assert digest_bytes("é") == digest_bytes(b"\xc3\xa9")
    with abc.open("rb") as file:
        assert digest_stream(file) == ABC


def test_the_order_of_settings_does_not_count_and_that_of_lists_does():
    assert digest_settings({"a": 1, "b": [1, 2]}) == digest_settings({"b": [1, 2], "a": 1})
    assert digest_settings({"a": 1, "b": [1, 2]}) != digest_settings({"a": 1, "b": [2, 1]})
    assert digest_settings("abc") == digest_bytes('"abc"')


def test_what_json_cannot_hold_is_refused_unless_something_is_made_of_it(abc):
    with pytest.raises(TypeError, match="not JSON serializable"):
        digest_settings([abc])
    assert digest_settings([abc], default=str) == digest_settings([str(abc)])
