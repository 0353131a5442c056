"""Patterns: those that are taken are quick on every name, and those that people write are taken."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.spec.patterns import find_slowness

ATOMS = ("a", "b", "[ab]", r"\w", ".", "(a)", "(?:ab)", "(a|ab)", "(?:a|b)")
ENDS = ("", "", "?", "*", "+", "{2}", "{1,3}", "*?")
PIECES = st.tuples(st.sampled_from(ATOMS), st.sampled_from(ENDS)).map("".join)
NESTED = st.recursive(
    st.lists(PIECES, min_size=1, max_size=4).map("".join),
    lambda inner: st.tuples(inner, st.sampled_from(ENDS)).map(lambda drawn: f"(?:{drawn[0]}){drawn[1]}"),
    max_leaves=4,
)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(cam\d+)/(\d{8})",
        r"^([^/]+)/",
        r"(?:[^/]+/){2}([^/]+)",
        r"(\w+)_\d+\.jpg$",
        r"^(.+)/.*_(\d+)\.\w+$",
        "(a|cd)x?",
    ],
)
def test_what_people_write_is_quick(pattern):
    assert find_slowness(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("(a+)+$", "repeats what may itself be of several lengths"),
        ("(a|aa)*b", "repeats what may itself be of several lengths"),
        ("((ab?)*)*c", "repeats what may itself be of several lengths"),
        ("(.*)" * 5 + "x", "more than 4 repetitions"),
        ("(?:(a|aa)){40}b", "8 choices"),
        ("a?" * 30 + "(b)", "8 choices"),
        (r"(a*)\1b", "refers back"),
    ],
)
def test_what_may_take_for_ever_is_named(pattern, reason):
    assert reason in find_slowness(pattern)


@given(NESTED)
def test_what_is_taken_looks_through_a_long_name_at_once(pattern):
    re.compile(pattern)
    if find_slowness(pattern):
        return
    begun = time.process_time()
    for name in ("a" * 60 + "!", "ab" * 30 + "!", "aab" * 20):
        re.search(pattern + "$", name)
    assert time.process_time() - begun < 2
