"""JSON files: what runs and tools leave for others, taken for what it should be, or told in a line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from bodyposenet.common.bounds import NOTE_BYTES
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.storage.location import Location

T = TypeVar("T")


def read_json(
    path: str | Path | Location, take: Callable[[Any], T], *, what: str, fix: str, most: int = NOTE_BYTES
) -> T:
    """Read a file as :func:`parse_json` does.

    Raises:
        UserError: It cannot be read, has more bytes than it may, or is none of its kind.
    """
    return parse_json(read_bytes(path, fix=fix, most=most), take, where=str(path), what=what, fix=fix)


def parse_json(content: bytes | str, take: Callable[[Any], T], *, where: str, what: str, fix: str) -> T:
    """Make of a text in JSON, which may be anybody's, what the caller takes it for.

    Args:
        content: The text.
        take: Makes it of the data; what it raises where these are others is told.
        where: The file.
        what: It should be, in words.
        fix: What to do about one that is something else.

    Raises:
        UserError: It is no JSON, or the data are others.
    """
    try:
        return take(json.loads(content))
    except RecursionError:
        raise UserError(f"is no {what}: it is nested too deeply", where=where, fix=fix) from None
    except MALFORMED as error:
        if isinstance(error, UserError):
            raise
        reason = str(error).splitlines()[0][:200] if str(error) else ""
        told = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
        raise UserError(f"is no {what}: {told}", where=where, fix=fix) from None


def take_mapping(data: Any) -> dict[str, Any]:
    """Take data for a mapping.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(data, dict):
        raise TypeError(f"a mapping is wanted, this is a {type(data).__name__}")
    return data


def take_list(data: Any) -> list[Any]:
    """Take data for a list.

    Raises:
        TypeError: They are something else.
    """
    if not isinstance(data, list):
        raise TypeError(f"a list is wanted, this is a {type(data).__name__}")
    return data
