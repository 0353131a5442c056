"""Fingerprint: it changes with the content, and with nothing else."""

import os
import re
import shutil

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import fingerprint


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
