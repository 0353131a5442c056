"""Problems: pydantic's errors, told in the words of somebody who edits a spec file."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from bodyposenet.common.spec.document import CLASS_KEY, Document, Loc

BESIDE = ".."


class SpecMisfitError(ValueError):
    """Values that are fine alone and do not go together; validators raise it.

    Args:
        problems: ``(place, message)`` each; the place is relative to the field whose validator raises, ``BESIDE`` in
            front making it relative to what the field is in.
    """

    def __init__(self, *problems: tuple[Loc, str]) -> None:
        self.problems = problems
        super().__init__("; ".join(message for _, message in problems))


def format_errors(error: ValidationError, model: type[BaseModel], document: Document) -> list[tuple[int, str]]:
    """Format every problem of ``error`` as ``(line, file:line: key: problem)``."""
    return [
        document.tell(loc, problem)
        for item in error.errors(include_url=False)
        for loc, problem in _describe(item, model)
    ]


def did_you_mean(word: object, known: Iterable[object]) -> str:
    """Ask ``; did you mean 'x'?`` for the known word nearest to ``word``, or nothing."""
    near = find_near(word, known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def find_near(word: object, known: Iterable[object], most: int = 4) -> list[str]:
    """Find the known words nearest to ``word``, the nearest first."""
    return difflib.get_close_matches(str(word), sorted({str(name) for name in known}), n=most, cutoff=0.55)


def _describe(item: Any, model: type[BaseModel]) -> Iterator[tuple[Loc, str]]:
    kind, loc, context = item["type"], item["loc"], item.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, SpecMisfitError):
        for place, message in cause.problems:
            yield ((*loc[:-1], *place[1:]) if place[:1] == (BESIDE,) else (*loc, *place)), message
    elif kind == "extra_forbidden":
        known = [key for part in _models_at(model, loc[:-1]) for key in _fields(part)]  # as they are written
        yield loc, "unknown key" + (did_you_mean(loc[-1], known) or f"; known keys: {', '.join(known)}")
    elif kind == "missing":
        yield loc, f"missing; {_remedy(model, loc) or 'this key must be given'}"
    elif kind == "union_tag_not_found":
        yield (*loc, CLASS_KEY), f"missing; one of {', '.join(_classes_at(model, loc))}"
    elif kind == "union_tag_invalid":
        classes = _classes_at(model, loc)
        yield (*loc, CLASS_KEY), f"no such class, choose from {', '.join(classes)} " + _got(context["tag"], classes)
    else:
        yield loc, _complaint(item)


def _complaint(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ").replace("Input should", "should")
    if item["type"] != "literal_error":
        return f"{message} {_got(item['input'])}"
    choices = [choice.strip(" '") for choice in item["ctx"]["expected"].replace(" or ", ", ").split(",")]
    return f"{message} {_got(item['input'], choices)}"


def _got(value: object, known: Iterable[object] = ()) -> str:
    text = "null" if value is None else repr(value)
    return f"(got {text if len(text) <= 60 else text[:57] + '...'})" + did_you_mean(value, known)


def _classes_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    return [name for part in _models_at(model, loc) for name in _class_names(part)]


def _models_at(model: type[BaseModel], loc: Sequence[str | int]) -> list[type[BaseModel]]:
    """Find the models that may stand at ``loc``; pydantic names the class of a union's member in it."""
    models = [model]
    for key in loc:
        if isinstance(key, int):
            continue
        chosen = [part for part in models if len(models) > 1 and key in _class_names(part)]
        models = chosen or [inner for part in models for inner in models_in(_fields(part).get(key))]
    return models


def _remedy(model: type[BaseModel], loc: Sequence[str | int]) -> str | None:
    """What a key's own description says of leaving it out."""
    fields = (part.model_fields.get(str(loc[-1])) for part in _models_at(model, loc[:-1]))
    return next((field.description for field in fields if field and field.description), None)


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {field.alias or name: field.annotation for name, field in model.model_fields.items()}


def _class_names(model: type[BaseModel]) -> list[str]:
    return [str(name) for name in get_args(_fields(model).get(CLASS_KEY))]


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """List the models that a field's annotation speaks of."""
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return [annotation] if issubclass(annotation, BaseModel) else []
    return [model for part in get_args(annotation) for model in models_in(part)]
