"""Schema: each kind of spec as JSON Schema, by which editors complete keys and underline mistakes."""

import functools
import json
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from bodyposenet.common.spec.base import Strict
from bodyposenet.common.spec.document import CLASS_KEY
from bodyposenet.common.spec.guide.explanations import Explanation, describe_model, read_explanations
from bodyposenet.common.spec.kinds import KINDS
from bodyposenet.common.spec.problems import models_in

Schema = dict[str, Any]
BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}
LEFT_OUT = ("title", "discriminator")  # what pydantic makes of names, and what OpenAPI alone knows


@functools.cache
def make_schema(kind: str) -> Schema:
    """Write a kind of spec as JSON Schema: what its models ask of each key, and what their docstrings say of it.

    What depends on several keys at once, such as the size of the labels, no schema can say; ``bpnet spec check`` does.

    Args:
        kind: One of :data:`KINDS`.
    """
    model = KINDS[kind]
    made = model.model_json_schema(by_alias=True, mode="validation")
    members = _list_union_members(made)
    for name, part in find_models(model).items():
        schema = made if part is model else made["$defs"][name]
        schema["description"] = describe_model(part)
        for field, info in part.model_fields.items():
            key = info.alias or field
            schema["properties"][key] = _complete(part, key, field, schema["properties"][key])
        if name in members:
            schema["required"] = [CLASS_KEY, *schema.get("required", ())]
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": f"{kind} spec of BodyPoseNet", **_tidy(made)}


def format_schema(kind: str) -> str:
    """Write the schema file of a kind."""
    return json.dumps(make_schema(kind), indent=1, ensure_ascii=False) + "\n"


def locate_schema(kind: str) -> Path:
    """Find the schema file that came with the package."""
    return Path(str(resources.files(__package__))) / "schemas" / name_schema(kind)


def name_schema(kind: str) -> str:
    """Name the schema file of a kind."""
    return f"{kind}.schema.json"


@functools.cache
def find_models(model: type[Strict]) -> dict[str, type[BaseModel]]:
    """Collect a model and all that are in it, by their names, each before those that are in it."""
    found: dict[str, type[BaseModel]] = {}
    todo: list[type[BaseModel]] = [model]
    while todo:
        part = todo.pop(0)
        if part.__name__ not in found:
            found[part.__name__] = part
            todo += [inner for field in part.model_fields.values() for inner in models_in(field.annotation)]
    return found


def takes_null(model: type[BaseModel], key: str) -> bool:
    """Try whether a key may be null, as TAO's users write for "as usual" where the value's type alone says no."""
    try:
        model.model_validate({key: None})
    except ValidationError as error:
        return all(item["loc"][:1] != (key,) for item in error.errors(include_url=False))
    return True


def _complete(model: type[BaseModel], key: str, field: str, schema: Schema) -> Schema:
    """Tell a key's schema what pydantic does not: the explanation, null, and class names with their modules."""
    if key == CLASS_KEY:
        schema = _free_modules(schema)
    elif takes_null(model, key) and not _says_null(schema):
        default = {"default": schema.pop("default")} if "default" in schema else {}
        schema = {"anyOf": [schema, {"type": "null"}], **default}
    return {**schema, "description": _describe(read_explanations(model).get(field, Explanation()))}


def _describe(told: Explanation) -> str:
    unit = f" Unit: {told.unit}." if told.unit else ""
    extension = " TAO has no such key." if told.is_extension else ""
    return f"{told.effect}{unit}{extension} {told.tao}".strip()


def _free_modules(schema: Schema) -> Schema:
    """Allow the path of a module before a class name, as TAO does."""
    names = [schema["const"]] if "const" in schema else list(schema["enum"])
    path = {"type": "string", "pattern": rf"\.({'|'.join(names)})$"}
    return {"anyOf": [{"enum": names}, path], "default": schema["default"]}


def _says_null(schema: Schema) -> bool:
    """Tell whether a schema takes null, or anything at all."""
    kinds = [part.get("type") for part in schema.get("anyOf", [schema])]
    return "null" in kinds or not schema.keys() - {"title", "default"}


def _list_union_members(schema: Schema) -> set[str]:
    """List the models that only their class name tells from others, so that it cannot be left out."""
    unions = [part["discriminator"]["mapping"] for part in _walk(schema) if "discriminator" in part]
    return {reference.rpartition("/")[2] for mapping in unions for reference in mapping.values()}


def _walk(schema: Any) -> Iterator[Schema]:
    if isinstance(schema, dict):
        yield schema
    for inner in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _walk(inner)


def _tidy(schema: Any) -> Any:
    """Leave out what says nothing, and give bounds after a conversion their names, which pydantic does not."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        BOUNDS.get(key, key): {name: _tidy(part) for name, part in value.items()}
        if key in ("properties", "$defs")
        else _tidy(value)
        for key, value in schema.items()
        if key not in LEFT_OUT and not (key == "default" and isinstance(value, dict))
    }
