"""Messages: no control characters of names reach a terminal, no secrets of addresses a log."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.plain_text import clean_message, escape_controls, hide_secrets


@given(st.text())
def test_what_is_told_can_be_printed(text):
    told = str(UserError(text, where=text, fix=text))
    assert all(each.isprintable() or each in "\n\t" for each in told)
    assert "\n" not in str(UserError("no such photo", where=text))


@given(st.text(string.printable.replace("\x0b", "").replace("\x0c", "").replace("\r", "")))
def test_what_can_be_printed_stays(text):
    assert escape_controls(text) == text


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://h/db?user=u&password=SECRET", "postgresql://h/db"),
        ("http://h/?token=SECRET", "http://h/"),
        ("http://u:SEC/RET@h/a", "http://h/a"),
        ("http://u:SEC#RET?SECRET@h:5000/a", "http://h:5000/a"),
        ("https://storage.example/b/x?X-Goog-Signature=SECRET#SECRET", "https://storage.example/b/x"),
        ("https:/u:SECRET@h/a?SECRET", "https:/h/a"),
        ("http://[::1", "http://[::1"),
        ("https://h:80/a@b.jpg", "https://h:80/a@b.jpg"),
        ("gs://bucket/a@b#1.jpg", "gs://bucket/a@b#1.jpg"),
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
    ],
)
def test_an_address_keeps_what_says_where_it_is(address, shown):
    assert hide_secrets(address) == shown
    assert clean_message(f"{address}: does not answer (http://u:SECRET@h/x?SECRET)") == (
        f"{shown}: does not answer (http://h/x)"
    )
    assert str(UserError("no answer", where=address)) == f"{shown}: no answer"


def test_what_urllib3_says_of_a_server_that_is_away_has_no_query():
    said = "HTTPConnectionPool(host='h'): Max retries exceeded with url: /a/?token=SECRET/api/get?x=1 (Caused by"
    assert hide_secrets(said) == "HTTPConnectionPool(host='h'): Max retries exceeded with url: /a/ (Caused by"


@given(
    user=st.text(string.ascii_letters, min_size=1), secret=st.text("Zz9+/#?:%", min_size=4),
    path=st.text(string.ascii_lowercase + "/._-"), query=st.booleans(),
)  # fmt: skip
def test_no_password_is_left(user, secret, path, query):
    told = hide_secrets(f"see https://{user}:Q{secret}Q@host.example/{path}" + (f"?key=Q{secret}Q" if query else ""))
    assert "Q" not in told.replace(user, "")
    assert told.startswith("see https://host.example/")
