"""JSON files: what is in one is what is asked for, or a line tells that it is not."""

import pytest

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.json_files import parse_json, read_json, take_list, take_mapping


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
