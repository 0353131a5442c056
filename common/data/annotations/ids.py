"""Ids: numbers of photos, annotations and categories, whichever way a tool writes them."""

import re
from typing import Any

from bodyposenet.common.bounds import WHOLE_NUMBER

Key = int | str
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,15})(?=(?:\.0+)?$)")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")


def read_key(value: object) -> Key | None:
    """Read an id: a whole number as such, whether it is written ``1``, ``1.0`` or ``"1"``; any other text as it is.

    Returns:
        The id; None where there is none.
    """
    if isinstance(value, str):
        text = value.strip()
        found = _WHOLE.match(text)
        return int(found[0]) if found else text or None
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and abs(value) <= WHOLE_NUMBER else None


def read_number(value: Any) -> Any:
    """Read a number that is written as a text; return anything else as it is."""
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        number = float(value)
        return int(number) if number.is_integer() else number
    return value
