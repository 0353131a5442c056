"""Ids: numbers of photos, annotations and categories, whichever way a tool writes them."""

import re

from bodyposenet.common.bounds import WHOLE_NUMBER

Key = int | str
_WHOLE = re.compile(r"-?[0-9]{1,24}(?=(?:\.0+)?$)")
_MOST = 10**30  # of numbers that are ids


def read_key(value: object) -> Key | None:
    """Read an id: a whole number as such, whether it is written ``1``, ``1.0``, ``"1"`` or ``"0001"``.

    Returns:
        The id; any other text as it is, and a number beyond those that all readers of JSON agree on as text, too. None
        where there is none.
    """
    if isinstance(value, str):
        text = value.strip()
        found = _WHOLE.match(text)
        number = int(found[0]) if found else None
        return number if number is not None and abs(number) <= WHOLE_NUMBER else text or None
    if type(value) is float and value.is_integer() and abs(value) <= WHOLE_NUMBER:
        value = int(value)
    if type(value) is not int:
        return None
    return value if abs(value) <= WHOLE_NUMBER else str(value) if abs(value) < _MOST else None
