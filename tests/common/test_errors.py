"""Errors: what a user is told is a line for each problem, whatever names and libraries say."""

import pickle

from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import SpecError, UserError

LINES = st.lists(st.text(), max_size=3)


@given(st.text(), st.text(), st.text(), LINES)
def test_a_message_has_a_line_for_each_problem_and_nothing_that_a_terminal_obeys(problem, where, fix, more):
    told = str(UserError(problem, where=where, fix=fix, more=more))
    assert told.count("\n") == len(more)
    assert all(each.isprintable() or each in "\n\t" for each in told)


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_problems_of_specs_are_a_line_each_and_come_through_pickles_as_they_are(problems):
    error = SpecError(problems)
    assert str(error).count("\n") == "\n".join(problems).count("\n")
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_library_s_lines_become_one():
    assert str(UserError("cannot:\n  first\n  second", where="a\nb", fix="mend\r\nit")) == (
        "a\\nb: cannot: first second; mend it"
    )
    assert str(UserError("two", more=["  one", "  other"])) == "two\n  one\n  other"
