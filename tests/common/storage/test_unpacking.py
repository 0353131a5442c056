"""Unpacking: an archive that a run kept for others becomes files in its folder, or a line; and nothing elsewhere."""

import contextlib
import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.archives import packed

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.unpacking import extract_all

FIX = "take another"
PIECES = (
    "..",
    ".",
    "",
    "a",
    "b",
    "C:",
    "\\",
    "..\\",
    "a\\..",
    "\\\\host\\share",
    "~",
    "link",
    " ..",
    "é",
    "a\n",
    "\x1b[2J",
)
NAMES = st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("/".join) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8
)


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    root = tmp_path_factory.mktemp("ground")
    (root / "victim.txt").write_text("precious")
    (root / "folder").mkdir()
    (root / "folder/link").symlink_to(root)
    return root


def unpack(content, folder, most=1 << 20):
    archive = folder.parent / "archive.zip"
    archive.write_bytes(content)
    return extract_all(archive, folder, most_bytes=most, fix=FIX)


def test_files_appear_below_the_folder(tmp_path):
    assert unpack(packed({"a.txt": "1", "b/c.txt": "2", "d/": ""}), tmp_path / "out") == ["a.txt", "b/c.txt"]
    assert (tmp_path / "out/b/c.txt").read_text() == "2"


@given(st.lists(NAMES.filter(bool), min_size=1, max_size=3, unique=True))
def test_no_name_writes_anything_outside(ground, names):
    with contextlib.suppress(UserError):
        unpack(packed(dict.fromkeys(names, "hostile")), ground / "folder")
    assert (ground / "victim.txt").read_text() == "precious"
    assert {path.name for path in ground.iterdir()} <= {"victim.txt", "folder", "archive.zip"}


@given(st.binary(max_size=60) | st.integers(0, 100).map(lambda at: packed({"a": "x" * 99})[:at]))
def test_what_is_no_whole_archive_is_told(tmp_path_factory, content):
    with pytest.raises(UserError, match="is a damaged archive"):
        unpack(content, tmp_path_factory.mktemp("any") / "out")


def test_more_than_was_told_is_not_unpacked(tmp_path):
    with pytest.raises(UserError, match="unpacks to more than it may"):
        unpack(packed({"a": "x" * 5000}), tmp_path / "out", most=4999)
    assert unpack(packed({"a": "x" * 5000}), tmp_path / "again", most=5000) == ["a"]


def test_two_files_of_one_name_are_none(tmp_path):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a", "1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("a", "2")
    with pytest.raises(UserError, match="two files of one name"):
        unpack(made.getvalue(), tmp_path / "out")
