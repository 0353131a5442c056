"""Difference: where two specs would make a verb do something else, whatever they leave to the defaults."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from bodyposenet.common.errors import UserError
from bodyposenet.common.spec.base import Strict
from bodyposenet.common.spec.guide.keys import format_value

ABSENT, SECRET = "-", "(not shown)"


class SpecDifference(NamedTuple):
    """A key whose value differs.

    Attributes:
        key: Its path, with dots; items of lists by their number.
        first: Its value in the first spec, as YAML; ``-`` where the first has no such key.
        second: The same of the second.
    """

    key: str
    first: str
    second: str


def compare_specs(first: Strict, second: Strict) -> list[SpecDifference]:
    """List what differs, in the order of the keys.

    Raises:
        UserError: They are specs of different kinds.
    """
    if type(first) is not type(second):
        kinds = f"{type(first).__name__} and {type(second).__name__}"
        raise UserError(f"two kinds of spec, {kinds}, have no keys in common", fix="compare specs of one kind")
    one, other = dict(_flatten(first)), dict(_flatten(second))
    keys = dict.fromkeys([*one, *other])
    return [
        SpecDifference(key, _tell(key, one), _tell(key, other))
        for key in keys
        if one.get(key, ABSENT) != other.get(key, ABSENT) or (key in one) != (key in other)
    ]


def _tell(key: str, values: Mapping[str, Any]) -> str:
    if key not in values:
        return ABSENT
    return SECRET if key == "key" and values[key] is not None else format_value(values[key])


def _flatten(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """List every value with its path: those of parts and of lists of parts one by one, other lists whole."""
    if isinstance(value, BaseModel):
        for name, field in type(value).model_fields.items():
            yield from _flatten(getattr(value, name), (*path, field.alias or name))
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        for number, item in enumerate(value):
            yield from _flatten(item, (*path, str(number)))
    else:
        yield ".".join(path), value
