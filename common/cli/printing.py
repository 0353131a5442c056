"""Printing: what a verb says: sentences, or with --json one document of the numbers in them; and notes beside them."""

import contextlib
import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click

from bodyposenet.common.errors import UserError
from bodyposenet.common.exits import USER
from bodyposenet.common.plain_text import escape_controls

F = TypeVar("F", bound=Callable[..., Any])
DOCUMENT = "bodyposenet.document"
TEXT = "Print the numbers as one JSON document, and everything else to standard error."


def json_option(function: F) -> F:
    """``--json``: what :func:`say` is given becomes a document; the verb itself does not get the flag."""
    return click.option("--json", is_flag=True, expose_value=False, callback=_begin_document, help=TEXT)(function)


def _begin_document(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    """Let ``say`` find a document to fill; one that an earlier command of this process left is no longer there."""
    ctx.meta.pop(DOCUMENT, None)
    if wanted:
        ctx.meta[DOCUMENT] = {}


def say(text: str = "", **numbers: object) -> None:
    """Print a sentence, and put its numbers into the document of ``--json``, if that is given.

    Names of files in it may be a stranger's: no control characters of theirs reach the terminal, nor bytes that are no
    text.

    Args:
        text: The sentence, or several lines; nothing is printed of an empty one.
        **numbers: Keys of the document: units stand in their names where a number has one.
    """
    ctx = click.get_current_context(silent=True)
    if ctx is not None and DOCUMENT in ctx.meta:
        ctx.meta[DOCUMENT] |= numbers
    if text:
        click.echo(escape_controls(text))


def note(text: str) -> None:
    """Print on standard error, with or without ``--json``, what is no result: a warning, or what was left out.

    Names in it are written as :func:`say` writes them.
    """
    click.echo(escape_controls(text), err=True)


@contextlib.contextmanager
def print_document(ctx: click.Context) -> Iterator[None]:
    """With ``--json``: send to standard error what the block prints, and print its document after it.

    What has failed for its input prints none. An exit code that says how things stand, such as 1 for specs that
    differ or 3 for an engine that remains to be built, is no such failure.
    """
    document = ctx.meta.get(DOCUMENT)
    if document is None:
        yield
        return
    stdout = sys.stdout
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    except UserError as error:
        if getattr(error, "exit_code", USER) != USER and document:
            _write(document, stdout)
        raise
    except click.exceptions.Exit:
        _write(document, stdout)
        raise
    _write(document, stdout)


def _write(document: Mapping[str, object], stdout: Any) -> None:
    stdout.write(json.dumps(make_plain(document), indent=1, allow_nan=False) + "\n")  # ASCII: whatever a file's name is
    stdout.flush()


def make_plain(value: object) -> Any:
    """Turn a value into what JSON has: NumPy's numbers into numbers, what is not finite into null, paths into texts."""
    if isinstance(value, Mapping):
        return {str(key): make_plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [make_plain(each) for each in value]
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, float):
        return plain if math.isfinite(plain) else None
    return plain if plain is None or isinstance(plain, str | int) else str(plain)
