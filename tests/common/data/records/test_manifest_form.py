"""Manifest form: a manifest of this project's passes, and one whose values are others is told by its key."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coco_files import annotation, image, write_dataset

from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.records.manifest import open_shards, read_manifest
from bodyposenet.common.data.records.manifest_form import find_set_fault
from bodyposenet.common.errors import UserError


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    """A set as a conversion describes it, a part of two."""
    folder = tmp_path_factory.mktemp("set")
    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(3)]
    spec = write_dataset(folder / "data", [image(number) for number in range(3)], people)
    convert_dataset(spec, folder / "train", shards=(1, 2), part=(0, 2), processes=1)
    return read_manifest(folder)["sets"]["train.part-000-of-002"]


def test_what_a_conversion_writes_has_no_fault(described):
    assert find_set_fault(described) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("images", -1), ("images", 2**60), ("images", True), ("images", "3"), ("joints", ["a", 1]), ("joints", "nose"),
        ("skipped", {}), ("seen", {"a": [1]}), ("held_out", {"a": [1, 2]}), ("part", {"index": 0}),
        ("part", {"of_set": "a", "index": 0, "of": 2**40, "source": "", "skipped": {}}),
    ],
)  # fmt: skip
def test_a_value_of_a_set_that_cannot_be_is_named(described, key, value):
    assert find_set_fault(described | {key: value}) == key


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("offsets", [0.5]), ("offsets", 3), ("offsets", [-1]), ("offsets", [2**70]), ("mains", [0]), ("mains", [[0.5]]),
        ("bytes", "12"), ("negatives", [""]), ("photos", {"image_id": 3}), ("photos", {"faults": [[["a", "b", "c"]]]}),
        ("photos", {"photo": [["unhashable"]]}), ("offsets", [0, True]), ("mains", [[0], [True]]), ("mains", [[-1]]),
        ("photos", {"likeness": [None, "a"]}), ("photos", {"likeness": [2**65]}), ("photos", {"faults": [["a"]]}),
        ("photos", {"faults": [[["a", "b", "c", -1]]]}), ("photos", {"faults": [[["a", "b", 3, 1]]]}),
    ],
)  # fmt: skip
def test_a_value_of_a_shard_that_cannot_be_is_named(described, key, value):
    changed = copy.deepcopy(described)
    changed["shards"][0][key] = value
    assert find_set_fault(changed) == f"{key} of a shard"


def test_a_manifest_that_does_not_say_where_records_begin_is_told(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    (tmp_path / "manifest.json").write_text('{"schema": 1, "sets": {"train": {"shards": [{"file": "a"}]}}}')
    with pytest.raises(UserError, match="the manifest beside it does not say its offsets; convert the dataset again"):
        open_shards(tmp_path, ["train"])


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=3) | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    )
)
def test_whatever_a_key_holds_it_is_taken_or_named(value):
    for key in ("offsets", "mains", "photos", "bytes"):
        assert find_set_fault({"shards": [{"file": "a", key: value}]}) in ("", f"{key} of a shard")
    for key in ("joints", "seen", "part", "images"):
        assert find_set_fault({"shards": [], key: json.loads(json.dumps(value))}) in ("", key)
