"""Document: the bytes of a file as one JSON value, or a sentence on why they are none."""

import contextlib
import gc
import json
from collections.abc import Iterator
from json.decoder import WHITESPACE, JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any

from bodyposenet.common.errors import UserError

_DECODER = json.JSONDecoder()
_WORDS = ("true", "false", "null", "NaN", "-Infinity")
_EXPORT_AGAIN = "export it again"


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the cycle collector from walking a growing document, which has no cycles, over and over."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list; none of anything else."""
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def number_in(entry: dict[str, Any], key: str) -> int | None:
    """A whole number of an object; None where there is another value."""
    value = entry.get(key)
    return value if type(value) is int else None


def decode_text(data: bytes, where: str) -> str:
    """Decode UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        UserError: The file is empty, or no text; the message names the line.
    """
    if not data or data.isspace():
        raise UserError("the file is empty", where=where, fix=_EXPORT_AGAIN)
    encoding = json.detect_encoding(data)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"byte 0x{data[error.start]:02x} is no {encoding.upper()} text",
            where=f"{where}:{line}",
            fix="save the file as UTF-8",
        ) from None


def parse(text: str, where: str) -> Any:
    """Parse a JSON text; a key of the outermost object may stand there once only.

    Values below are left as Python's parser takes them: NaN is a number here, and of equal keys the last counts.

    Raises:
        UserError: The text is no JSON, is cut short, nested too deeply, or holds an absurd number.
    """
    try:
        with collector_paused():
            return _value(text, where)
    except JSONDecodeError as error:
        raise _not_json(error, where) from None
    except RecursionError:
        raise UserError("brackets are nested too deeply for annotations", where=where, fix=_EXPORT_AGAIN) from None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError("a number in it has thousands of digits", where=where, fix=_EXPORT_AGAIN) from None


def _not_json(error: JSONDecodeError, where: str) -> UserError:
    end = len(error.doc.rstrip())
    rest = error.doc[error.pos : end]
    if error.msg.startswith("Unterminated string") or any(word.startswith(rest) for word in _WORDS):
        return UserError(
            f"the file is cut short: it ends after {end} characters, within a value",
            where=f"{where}:{error.lineno}",
            fix="copy or export it again",
        )
    place = f"{where}:{error.lineno}"
    return UserError(f"not JSON: {error.msg} at column {error.colno}", where=place, fix="mend it, or export it again")


def _value(text: str, where: str) -> Any:
    start = _blank(text, 0)
    value, end = _object(text, start, where) if text[start : start + 1] == "{" else _scan(text, start)
    end = _blank(text, end)
    if end != len(text):
        raise JSONDecodeError("Extra data", text, end)
    return value


def _object(text: str, at: int, where: str) -> tuple[dict[str, Any], int]:
    """The outermost object, its values parsed by the C scanner."""
    members: dict[str, Any] = {}
    at = _blank(text, at + 1)
    if text[at : at + 1] == "}":
        return members, at + 1
    while True:
        if text[at : at + 1] != '"':
            raise JSONDecodeError("Expecting property name enclosed in double quotes", text, at)
        key, at = scanstring(text, at + 1, True)
        if key in members:
            line = text.count("\n", 0, at) + 1
            raise UserError(f"{key!r} stands there twice", where=f"{where}:{line}", fix="merge the two")
        members[key], at = _scan(text, _after(text, at, ":"))
        at = _blank(text, at)
        if text[at : at + 1] == "}":
            return members, at + 1
        at = _after(text, at, ",")


def _after(text: str, at: int, mark: str) -> int:
    at = _blank(text, at)
    if text[at : at + 1] != mark:
        raise JSONDecodeError(f"Expecting {mark!r} delimiter", text, at)
    return _blank(text, at + 1)


def _scan(text: str, at: int) -> tuple[Any, int]:
    try:
        return _DECODER.scan_once(text, at)  # type: ignore[attr-defined, no-any-return]
    except StopIteration as error:
        raise JSONDecodeError("Expecting value", text, error.value) from None


def _blank(text: str, at: int) -> int:
    """Where the blanks that start here end."""
    found: int = WHITESPACE.match(text, at).end()
    return found


class Fault(str):
    """Why a person's keypoints cannot be used, for the check of the annotations to tell; no numbers, so it is found.

    Attributes:
        fix: What to do about it.
    """

    __slots__ = ()
    fix = "put each keypoint into the box of its person in Label Studio, once, and export again"
