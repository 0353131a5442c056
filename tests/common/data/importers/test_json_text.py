"""JSON text: whatever it is, parsed as Python's own parser does, number for number and error for error."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bodyposenet.common.data.importers.json_text import Rows, parse, parse_by_scanner
from bodyposenet.common.errors import UserError

WHERE = "people.json"
NUMBERS = (
    "-0", "-0.0", "0", "1", "1.0", "1e2", "1E+2", "0e5", "5e-324", "2.5e-324", "1e23", "9007199254740993.0",
    "18446744073709551616", "-9223372036854775809", "1" * 300, "0." + "3" * 40, "1.7976931348623159e308", "1e400",
    "-1e400", "1e-400", "1" * 4300, "1" * 4301, "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "-", "1_0",
)  # fmt: skip
STRINGS = (
    '""', '"a"', r'"\u0061"', r'"\""', r'"\\"', r'"\/"', r'"\ud83d\ude00"', r'"\ud800"', r'"\udc00\ud800"',
    r'"\ud800\u0041"', r'"\x"', r'"\u12g4"', '"\t"', '"\x7f"', '"東"', '"\ud800"', r'"\u0000"', '"true"',
)  # fmt: skip
BLANKS = st.sampled_from(("", "", "", " ", "\n", "\t\r", "\x0b"))


def texts(leaves):
    """Texts of lists and objects: keys repeat, and an entry may be followed by one comma too many."""
    key = st.sampled_from(('"a"', r'"\u0061"', '"b"', '"annotations"', '""', r'"\ud800"', '"東"'))
    end = st.sampled_from(("", "", "", "", ","))

    def wrap(children):
        value = st.builds("{}{}{}".format, BLANKS, children, BLANKS)
        member = st.builds("{}{}{}:{}".format, BLANKS, key, BLANKS, value)
        lists = st.builds(lambda parts, more: f"[{','.join(parts)}{more}]", st.lists(value, max_size=4), end)
        objects = st.builds(lambda parts, more: f"{{{','.join(parts)}{more}}}", st.lists(member, max_size=4), end)
        return lists | objects

    return st.recursive(leaves, wrap, max_leaves=12)


SOUND = st.sampled_from((*NUMBERS[:9], *STRINGS[:7], "true", "false", "null")) | st.floats(allow_nan=False).map(repr)
ODD = st.sampled_from((*NUMBERS, *STRINGS, "tru", "nul", "", "'a'")) | st.text(max_size=3).map(json.dumps)


def outcome(read):
    """What is read, with the type of each value and the order of keys; or what is told."""
    try:
        return repr(read())
    except UserError as error:
        return error


def same(data):
    """Hold the two parsers to each other."""
    wanted = outcome(lambda: parse_by_scanner(data, WHERE))
    assert str(outcome(lambda: parse(data, WHERE))) == str(wanted)
    assert str(outcome(lambda: unfold(parse(data, WHERE, rows=("images", "annotations"))))) == str(wanted)


def unfold(document):
    if not isinstance(document, dict):
        return document
    return {key: list(value) if isinstance(value, Rows) else value for key, value in document.items()}


@settings(max_examples=300, deadline=None)
@given(
    text=texts(SOUND) | texts(ODD) | texts(SOUND | ODD),
    encoding=st.sampled_from(("utf-8", "utf-8", "utf-16", "utf-8-sig")),
)
@example(text='{"a": [1], "a": [1]}', encoding="utf-8")
@example(text='{"a": {"b": 2, "c": 1}, "a": {"b": 2}}', encoding="utf-8")
@example(text='{"annotations": [{"id": 1e400}, {"id": 1, "id": 2}, {}]}', encoding="utf-8")
@example(text='{"annotations": [{"id": 1}, 2]}', encoding="utf-8")
@example(text=f'{{"annotations": [{{"id": {"1" * 4301}}}], "b": 1}}', encoding="utf-8")
@example(text='{"images": [{"id": 1e400}, {"id": 1, "id": 2}, {}], "annotations": []}', encoding="utf-8")
@example(text='{"a": 1}}', encoding="utf-8")
@example(text="", encoding="utf-8")
def test_any_text_parses_as_by_pythons_parser_value_for_value_and_error_for_error(text, encoding):
    same(text.encode(encoding, "surrogatepass"))


@settings(max_examples=150, deadline=None)
@given(text=texts(SOUND), data=st.data())
def test_a_text_that_was_cut_or_spoilt_tells_what_it_told(text, data):
    spoilt = bytearray(text.encode())
    place = data.draw(st.integers(0, len(spoilt)))
    kind = data.draw(st.sampled_from(("cut", "drop", "put")))
    if kind == "cut":
        del spoilt[place:]
    elif kind == "drop":
        del spoilt[place : place + 1]
    else:
        spoilt[place:place] = data.draw(
            st.sampled_from((b"{", b"]", b",", b'"', b":", b"\\", b"\xff", b"\0", b"e9", b"1"))
        )
    same(bytes(spoilt))


@pytest.mark.parametrize("depth", [300, 100_000])
@pytest.mark.parametrize("around", ["%s", '{"annotations": %s}', '{"annotations": [{"a": %s}]}'])
def test_brackets_may_be_nested_as_deeply_as_before(depth, around):
    same((around % ("[" * depth + "]" * depth)).encode())


@pytest.mark.parametrize("text", [b"[" + b"[]," * 200 + b"[]]", b'{"images":[' + b"{}," * 200 + b"{}]}"])
def test_many_empty_parts_which_pack_to_nothing_are_refused_before_the_memory_is_full(monkeypatch, text):
    monkeypatch.setattr("bodyposenet.common.data.importers.json_text.JSON_PARTS", 150)
    with pytest.raises(UserError, match=r"a\.json: more than 150 lists and objects, most of them empty"):
        parse(text, "a.json", ("images",))
    sound = json.dumps([{"id": number, "bbox": [number] * 4} for number in range(200)]).encode()
    assert len(parse(sound, "a.json")) == 200


def test_rows_are_parsed_when_they_are_asked_for():
    entries = [{"id": 1, "name": "東"}, {"id": 2.0}, {}]
    document = parse(json.dumps({"annotations": entries, "images": []}).encode(), WHERE, rows=("annotations",))
    rows = document["annotations"]
    assert isinstance(rows, Rows)
    assert (len(rows), rows[0], list(rows[1:]), list(rows)) == (3, entries[0], entries[1:], entries)
    assert json.loads(rows[1:].join()) == entries[1:]
    assert parse(b'{"annotations": [{}, 1]}', WHERE, rows=("annotations",)) == {"annotations": [{}, 1]}
