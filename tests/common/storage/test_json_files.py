"""JSON files: what is in one is what is asked for, or a line tells that it is not."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import digest_bytes, digest_settings
from bodyposenet.common.storage.json_files import AT_ONCE, parse_json, read_json, take_list, take_mapping, write_json

LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
LENGTHS = st.sampled_from((0, 1, AT_ONCE, 2 * AT_ONCE + 1))


def nest(values):
    """Values in lists and mappings, of few entries and of many."""
    long = st.builds(lambda value, times: [value] * times, values, LENGTHS)
    many = st.builds(lambda value, times: {f"{place}": value for place in range(times)}, LEAVES, LENGTHS)
    few = st.lists(values, max_size=3) | st.dictionaries(st.text() | st.just("a"), values, max_size=3)
    return few | long | many | st.dictionaries(st.integers(), values, max_size=3) | st.tuples(values, values)


def parse(text, take=take_mapping):
    return parse_json(text, take, where="a.json", what="note", fix="write it again")


def test_what_is_asked_for_is_given(tmp_path):
    (tmp_path / "a.json").write_text('{"b": [1]}')
    assert read_json(tmp_path / "a.json", lambda data: take_list(data["b"]), what="note", fix="mend it") == [1]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[1]", "a mapping is wanted, this is a list"),
        ("{", "Expecting property name"),
        (b"\xff", "UnicodeDecodeError"),
        ("9" * 5000, "Exceeds the limit"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("", "Expecting value"),
    ],
)
def test_whatever_else_it_is_is_told_in_a_line(text, reason):
    with pytest.raises(UserError) as told:
        parse(text)
    assert str(told.value).startswith("a.json: is no note: ")
    assert reason in str(told.value)
    assert str(told.value).endswith("; write it again")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("take", [lambda data: data["x"], lambda data: data.x, lambda data: data + 1,
                                  lambda data: 1 / 0, lambda data: [*data.values()][7]])  # fmt: skip
def test_what_taking_raises_is_told(take):
    with pytest.raises(UserError, match="is no note: "):
        parse('{"a": 1}', take)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match="there is no such file; mend it"):
        read_json(tmp_path / "a.json", take_list, what="note", fix="mend it")


@given(st.recursive(LEAVES, nest, max_leaves=6))
def test_what_is_written_in_pieces_is_what_json_writes_at_once(value):
    text = json.dumps(value, sort_keys=True)
    assert "".join(write_json(value)) == text
    assert digest_settings(value) == digest_bytes(text)


def test_what_json_cannot_hold_is_made_what_it_can_in_every_piece():
    value = {"a": {1, 2}, "b": [{3}] * (AT_ONCE + 1), "c": [{"d": {4}}]}
    assert "".join(write_json(value, sorted)) == json.dumps(value, sort_keys=True, default=sorted)
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        list(write_json(value))


def test_the_digest_of_long_settings_takes_less_memory_than_their_text():
    value = {"a": [{"b": {"c": ["0123456789abcdef"] * 50_000, "d": [*range(50_000)]}}]}
    size = len(json.dumps(value))
    tracemalloc.start()
    digest_settings(value)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.3 * size
