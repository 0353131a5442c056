"""Specs of strangers: whatever they hold, one line tells what is wrong with them, at once."""

import contextlib
import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.bounds import SPEC_CHARACTERS, SPEC_LEVELS, WHOLE_NUMBER
from bodyposenet.common.errors import SpecError
from bodyposenet.common.spec.document import parse_document


def bomb(levels, width=10):
    """Lists of aliases of lists: ``width ** levels`` values in a few lines."""
    names = "abcdefghijklmnopqrstuvwxyz"[:levels]
    lines = [f"a: &a [{', '.join(['x'] * width)}]"]
    lines += [f"{own}: &{own} [{', '.join([f'*{last}'] * width)}]" for last, own in pairwise(names)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb(9), "spec.yaml:5: more than a spec holds: at most 25,000 values, what aliases repeat included"),
        ("k: &k [*k]", "spec.yaml:1: an alias stands in what it repeats"),
        ("a: 1\nk: &k\n  v: *k", "spec.yaml:2: an alias stands in what it repeats"),
        ("[" * 900 + "]" * 900, "nested"),
        ("{" * (SPEC_CHARACTERS - 9), "spec.yaml:1: nested too deeply to be a spec"),
        ("- a\n" * (SPEC_CHARACTERS // 5), "spec.yaml:1: more than a spec holds: at most 25,000 values"),
        ("a: [" + "1," * 100_000, "spec.yaml:1: more than a spec holds"),
        ("a: 1\nb: !!int ''", "spec.yaml:2: not valid YAML: '' is no int"),
        ("b: !!float ''", "spec.yaml:1: not valid YAML: '' is no float"),
        ("b: !!bool maybe", "spec.yaml:1: not valid YAML: 'maybe' is no bool"),
        ("b: !!timestamp x", "spec.yaml:1: not valid YAML: 'x' is no timestamp"),
        ("b: 2024-13-45", "spec.yaml:1: not valid YAML: '2024-13-45' is no timestamp: month must be in 1..12"),
        ("b: !!binary ä", "spec.yaml:1: not valid YAML: failed to convert base64 data into ascii"),
        ("b: !!python/object:os.system x", "spec.yaml:1: not valid YAML: could not determine a constructor"),
        (
            "a: 1\nb: [{c: 9007199254740993}]",
            "spec.yaml:2: a whole number is beyond 9,007,199,254,740,992; give a smaller",
        ),
        ("a: 1\nb: -" + "9" * 400, "spec.yaml:2: a whole number is beyond"),
        ('a: 1\n\nb: {"c\\uD800": 1}', "spec.yaml:3: a text has half of a character"),
        ("x" * (SPEC_CHARACTERS + 1), "spec.yaml: has 1,000,001 characters; a spec has at most 1,000,000"),
    ],
)
def test_yaml_that_is_no_spec_is_told_in_a_line(text, problem):
    with pytest.raises(SpecError) as told:
        parse_document(text, "spec.yaml")
    assert problem in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f'{{"a": {"9" * 5000}}}', "spec.json:1: not valid JSON: a number has too many digits"),
        ('{"a":' * 900 + "1" + "}" * 900, "spec.json:1: "),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{\n"a": ["x\\udc00"]}', "spec.json:2: a text has half of a character"),
    ],
)
def test_json_that_is_no_spec_is_told_in_a_line(text, problem):
    with pytest.raises(SpecError) as told:
        parse_document(text, "spec.json", as_json=True)
    assert problem in str(told.value)


def test_what_is_within_the_bounds_is_read():
    assert len(parse_document(bomb(4), "spec.yaml").data["d"]) == 10
    deep = json.loads('{"a":' * (SPEC_LEVELS - 1) + "1" + "}" * (SPEC_LEVELS - 1))
    assert parse_document(json.dumps(deep), "spec.json", as_json=True).data == deep


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-WHOLE_NUMBER, WHOLE_NUMBER) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key != "__class_name__"), VALUES, min_size=1))
def test_ordinary_content_stays_what_it_is(data):
    assert parse_document(json.dumps(data), "spec.json", as_json=True).data == data


@given(st.text())
def test_any_text_is_a_spec_or_told(text):
    with contextlib.suppress(SpecError):
        assert parse_document(text, "spec.yaml").data is not None
