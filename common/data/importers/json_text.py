"""JSON text: annotations parsed by msgspec, and by Python's own parser wherever the two might differ."""

import codecs
import contextlib
import mmap
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from json import JSONDecoder
from json.decoder import WHITESPACE, JSONDecodeError, scanstring  # type: ignore[attr-defined]
from typing import Any, TypeVar, overload

import msgspec
import numpy as np
import numpy.typing as npt

from bodyposenet.common.bounds import JSON_CHARACTERS, JSON_PARTS
from bodyposenet.common.data.importers.document import EXPORT_AGAIN, collector_paused, decode_text
from bodyposenet.common.errors import UserError

Value = TypeVar("Value")
_SCANNER = JSONDecoder()
_WORDS = ("true", "false", "null", "NaN", "-Infinity")

REFUSALS = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)  # of texts that msgspec does not take
_VALUE = msgspec.json.Decoder()
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENTRIES = msgspec.json.Decoder(list[msgspec.Raw])
_OPENING = re.compile(rb"[ \t\n\r]*\{[ \t\n\r]*")
_KEY = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")[ \t\n\r]*:[ \t\n\r]*')
_NEXT = re.compile(rb"[ \t\n\r]*([,}])[ \t\n\r]*")
_OBJECT = ord("{")
_BLOCK = 1 << 18  # bytes that are looked at at once
ZEROS = bytes.maketrans(b"123456789", b"000000000")


class _UnlikeError(Exception):
    """A text that msgspec takes, but perhaps for another value than Python's parser."""


class Rows(Sequence[dict[str, Any]]):
    """Objects of a JSON list that are kept as text: each is parsed when it is asked for.

    A hundred thousand annotations are a fifth of the memory that way, and whoever knows what to look for can parse many
    of them at once.

    Args:
        texts: Of the objects.
        where: The file, for errors.
        text: The whole, in which the others stand.
    """

    def __init__(self, texts: Sequence[msgspec.Raw], where: str, text: bytes | mmap.mmap) -> None:
        self._texts, self._where, self.text = texts, where, text

    def __len__(self) -> int:
        return len(self._texts)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "dict[str, Any] | Rows":
        """Parse an object, or choose some.

        Raises:
            UserError: It is nested too deeply.
        """
        if isinstance(index, slice):
            return Rows(self._texts[index], self._where, self.text)
        return self._parse(self._texts[index])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return map(self._parse, self._texts)

    def _parse(self, text: msgspec.Raw) -> dict[str, Any]:
        try:
            value: dict[str, Any] = _VALUE.decode(text)
        except REFUSALS:
            with _telling_errors(self._where):
                value, _ = _scan(bytes(text).decode(), 0)
        return value

    def join(self) -> bytes:
        """Write all of them as the text of a list."""
        return b"[%b]" % b",".join(self._texts)

    def find_spans(self, texts: Sequence[msgspec.Raw]) -> npt.NDArray[np.int64]:
        """Find ``(E, 2)`` where in the whole text each of E begins that :meth:`decode` gave, and its bytes.

        What stands elsewhere, as a default does, begins at 0 and has none.
        """
        begin, most = _locate(self.text), len(self.text)
        spans = np.array([(_locate(each) - begin, len(each)) for each in texts], np.int64).reshape(-1, 2)
        spans[(spans[:, 0] < 0) | (spans[:, 0] >= most)] = 0
        return spans

    def decode(self, kind: "msgspec.json.Decoder[Value]") -> list[Value]:
        """Read each as a kind of object; what such an object has as text stays where it is, and holds all the text.

        Raises:
            ValidationError: One is of another kind.
        """
        return [*map(kind.decode, self._texts)]


def parse(data: bytes | mmap.mmap, where: str, rows: Collection[str] = ()) -> Any:
    """Parse a JSON text; a key of the outermost object may stand there once only.

    Values below are as Python's parser takes them: NaN is a number here, and of equal keys the last counts.

    Args:
        data: The text, in UTF-8, UTF-16 or UTF-32. Rows hold it for as long as they are held themselves.
        where: The file, for errors.
        rows: Keys of the outermost object; where a value is a list of objects, they are returned as :class:`Rows`.

    Raises:
        UserError: The text is empty or no JSON, is cut short, nested too deeply, or holds an absurd number.
    """
    _hold_parts(data, where)
    with collector_paused():
        try:
            return _parse_quickly(data, where, rows)
        except (*REFUSALS, _UnlikeError):
            return parse_by_scanner(bytes(data), where)


def _hold_parts(data: bytes | mmap.mmap, where: str) -> None:
    """Refuse a text of more lists and objects than its size can honestly hold, each of which takes memory."""
    blocks = (data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK))
    most = max(JSON_PARTS, len(data) // JSON_CHARACTERS)
    if len(data) > most and sum(block.count(b"[") + block.count(b"{") for block in blocks) > most:
        raise UserError(f"more than {most:,} lists and objects, most of them empty", where=where, fix=EXPORT_AGAIN)


def _parse_quickly(data: bytes | mmap.mmap, where: str, rows: Collection[str]) -> Any:
    opening = _OPENING.match(data)
    if opening is None:
        return _VALUE.decode(data)
    members = _MEMBERS.decode(data)
    _hold_to_text(members, data, opening.end())
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data) if rows else 0, _BLOCK):  # msgspec takes text that is kept for UTF-8
        decoder.decode(data[start : start + _BLOCK], start + _BLOCK >= len(data))
    return {key: _keep_rows(text, where, data) if key in rows else _VALUE.decode(text) for key, text in members.items()}


def _locate(text: msgspec.Raw | bytes | mmap.mmap) -> int:
    """Find where in the memory a text begins."""
    address: int = np.frombuffer(text, np.uint8).ctypes.data
    return address


def _hold_to_text(members: dict[str, msgspec.Raw], data: bytes | mmap.mmap, at: int) -> None:
    """Walk from member to member, whose texts must stand there: of a key that is there twice, only the last does."""
    walked: set[str] = set()
    begin = _locate(data)
    mark = b"}"
    for _ in members:
        found = _KEY.match(data, at)
        key = _VALUE.decode(found[1]) if found else ""
        if found is None or key in walked or _locate(members[key]) != begin + found.end():
            raise _UnlikeError
        walked.add(key)
        after = _NEXT.match(data, found.end() + len(members[key]))
        if after is None:
            raise _UnlikeError
        at, mark = after.end(), after[1]
    if mark != b"}":
        raise _UnlikeError


def _keep_rows(text: msgspec.Raw, where: str, data: bytes | mmap.mmap) -> Any:
    """Keep the objects of a list as text, once nothing can be wrong with them; parse any other value."""
    try:
        texts = _ENTRIES.decode(text)
    except msgspec.ValidationError:
        return _VALUE.decode(text)
    if not all([memoryview(each)[0] == _OBJECT for each in texts]):
        return _VALUE.decode(text)
    most = sys.get_int_max_str_digits()
    long = [each for each in texts if len(each) > most > 0]
    if any(b"0" * most in bytes(each).translate(ZEROS) for each in long):
        raise _UnlikeError  # a whole number of more digits than Python reads
    return Rows(texts, where, data)


def parse_by_scanner(data: bytes, where: str) -> Any:
    """Do what :func:`parse` does by Python's own scanner alone, slower, and tell what is wrong.

    Raises:
        UserError: As for :func:`parse`.
    """
    text = decode_text(data, where)
    with _telling_errors(where):
        return _value(text, where)


@contextlib.contextmanager
def _telling_errors(where: str) -> Iterator[None]:
    """Make what Python's scanner raises a user's error."""
    try:
        yield
    except JSONDecodeError as error:
        raise _not_json(error, where) from None
    except RecursionError:
        raise UserError("brackets are nested too deeply for annotations", where=where, fix=EXPORT_AGAIN) from None
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError("a number in it has thousands of digits", where=where, fix=EXPORT_AGAIN) from None


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
    """Read the outermost object, its values parsed by the C scanner."""
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
        return _SCANNER.scan_once(text, at)  # type: ignore[attr-defined, no-any-return]
    except StopIteration as error:
        raise JSONDecodeError("Expecting value", text, error.value) from None


def _blank(text: str, at: int) -> int:
    """Find where the blanks that start here end."""
    found: int = WHITESPACE.match(text, at).end()
    return found
