"""Keys: all that a kind of spec has, each with its type, bounds, default and explanation."""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bodyposenet.common.spec.guide.explanations import Explanation, read_explanations
from bodyposenet.common.spec.guide.schema import Schema, make_schema
from bodyposenet.common.spec.kinds import KINDS
from bodyposenet.common.spec.problems import models_in

REQUIRED = "required"
ITS_KEYS = "that of its keys"  # the default of a part
WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "null": "null"}
LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
}


@dataclass(frozen=True)
class Key:
    """A place in a kind of spec that holds a value.

    Attributes:
        kind: One of :data:`KINDS`.
        path: The keys that lead to it, as they are written; those of a list's items stand below the list's key.
        model: The class that it is in.
        field: The name of its field there.
    """

    kind: str
    path: tuple[str, ...]
    model: type[BaseModel]
    field: str

    @property
    def name(self) -> str:
        """The path with dots."""
        return ".".join(self.path)

    @property
    def info(self) -> FieldInfo:
        """What pydantic knows of it."""
        return self.model.model_fields[self.field]

    @property
    def told(self) -> Explanation:
        """What its class's docstring says of it."""
        return read_explanations(self.model).get(self.field, Explanation())

    @property
    def schema(self) -> Schema:
        """Its part of the kind's JSON Schema."""
        whole = make_schema(self.kind)
        part = whole if self.model is KINDS[self.kind] else whole["$defs"][self.model.__name__]
        return dict(part["properties"][self.path[-1]])

    @property
    def type(self) -> str:
        """What kind of value it holds, in words."""
        return describe_type(self.schema)

    @property
    def choices(self) -> str:
        """The words that it takes; nothing if it is free, or takes one only."""
        parts = [self.schema, *self.schema.get("anyOf", ()), *self.schema.get("oneOf", ())]
        words = [str(word) for part in parts for word in part.get("enum", ())]
        words += [part["$ref"].rpartition("/")[2] for part in self.schema.get("oneOf", ())]
        return f"one of {', '.join(words)}" if len(words) > 1 else ""

    @property
    def bounds(self) -> str:
        """Between what its number lies; nothing if it may be any."""
        return ", ".join(dict.fromkeys(_list_limits(self.schema)))

    @property
    def default(self) -> str:
        """What it is where it is left out, as YAML; ``required`` where it cannot be."""
        if self.info.is_required():
            return REQUIRED
        value = self.info.get_default(call_default_factory=True)
        return ITS_KEYS if isinstance(value, BaseModel) else format_value(value)


@functools.cache
def list_keys(kind: str) -> tuple[Key, ...]:
    """List every key of a kind of spec, those of a part after the part's own."""
    return tuple(dict.fromkeys(_walk(kind, KINDS[kind], ())))  # two classes of a union may hold the same part


def format_value(value: Any) -> str:
    """Write a value as YAML on one line."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", by_alias=True)
    plain = list(value) if isinstance(value, tuple) else value
    text = yaml.safe_dump(
        to_plain(plain), default_flow_style=True, sort_keys=False, width=float("inf"), allow_unicode=True
    )
    return text.removesuffix("...\n").strip()


def describe_type(schema: Schema) -> str:
    """Say what values a part of a JSON Schema takes: ``list of 2, each whole number, or null``."""
    if "anyOf" in schema and all("enum" in part or "pattern" in part for part in schema["anyOf"]):
        return describe_type(schema["anyOf"][0])  # a class name, with or without its module
    if "anyOf" in schema or "oneOf" in schema:
        return ", or ".join(dict.fromkeys(map(describe_type, schema.get("anyOf") or schema["oneOf"])))
    if "enum" in schema or "const" in schema:
        words = [str(word) for word in schema.get("enum", [schema.get("const")])]
        return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
    if "$ref" in schema:
        return f"keys of {schema['$ref'].rpartition('/')[2]}"
    if schema.get("type") == "array":
        return _describe_array(schema)
    if schema.get("type") == "object":
        return f"names, each with {describe_type(schema.get('additionalProperties', {}))}"
    return WORDS.get(schema.get("type", ""), "anything")


def _describe_array(schema: Schema) -> str:
    if "prefixItems" in schema:
        inner = schema["prefixItems"]
        return f"list of {len(inner)}, each {describe_type(inner[0])}"
    return f"list, each {describe_type(schema.get('items', {}))}"


def _list_limits(schema: Schema) -> Iterator[str]:
    limits = {key: value for key, value in schema.items() if key in LIMITS}
    for strict, weak in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if strict in limits:
            limits.pop(weak, None)
    if limits.keys() == {"minimum", "maximum"}:
        yield f"{limits['minimum']:g} to {limits['maximum']:g}"
    else:
        yield from (words.format(f"{limits[key]:g}") for key, words in LIMITS.items() if key in limits)
    inner: Sequence[Any] = [*schema.get("anyOf", ()), *schema.get("prefixItems", ())]
    for part in (*inner, schema.get("items"), schema.get("additionalProperties")):
        if isinstance(part, dict):
            yield from _list_limits(part)


def _walk(kind: str, model: type[BaseModel], path: tuple[str, ...]) -> Iterator[Key]:
    for field, info in model.model_fields.items():
        place = (*path, info.alias or field)
        yield Key(kind, place, model, field)
        for inner in models_in(info.annotation):
            yield from _walk(kind, inner, place)


def to_plain(value: Any) -> Any:
    """Make lists of tuples, for YAML."""
    if isinstance(value, dict):
        return {key: to_plain(inner) for key, inner in value.items()}
    return [to_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
