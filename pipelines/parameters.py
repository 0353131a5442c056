"""Parameters: what a pipeline is given, checked against its inputs before anything is sent."""

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from bodyposenet.common.bounds import SPEC_CHARACTERS, WHOLE_NUMBER
from bodyposenet.common.errors import MALFORMED, SpecError, UserError
from bodyposenet.common.kubeflow.parameter_values import to_kfp
from bodyposenet.common.spec.document import FROM, parse_document
from bodyposenet.common.spec.excess import find_excess, hold_small
from bodyposenet.common.spec.problems import did_you_mean
from bodyposenet.common.storage.inside import join_inside
from bodyposenet.common.tracking.model_names import tell_name_fault
from bodyposenet.pipelines.package import Input, read_text

log = logging.getLogger(__name__)

FILE = "@"  # a value that begins so names a file that holds it; doubled, it is the character
SHARES = ("min_ap", "max_ap_drop")  # an AP, and a loss of it
KINDS = {
    "STRING": "text",
    "NUMBER_INTEGER": "a whole number",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}
TYPES: dict[str, type | tuple[type, ...]] = {
    "STRING": str,
    "NUMBER_INTEGER": int,
    "NUMBER_DOUBLE": (int, float),
    "BOOLEAN": bool,
    "LIST": list,
    "STRUCT": dict,
}


def from_words(words: Mapping[str, str], inputs: Mapping[str, Input]) -> dict[str, Any]:
    """Values of the command line's texts; those of unknown inputs stay text.

    Raises:
        UserError: A file that is named cannot be read, or settings are no YAML or JSON.
    """
    return {name: _value(name, _fetch(name, word, Path()), inputs.get(name)) for name, word in words.items()}


def from_spec(values: Mapping[str, Any], inputs: Mapping[str, Input], folder: Path) -> dict[str, Any]:
    """Values of a declaration, the files fetched that it names.

    Args:
        values: As they are written.
        inputs: Of the pipeline.
        folder: Files are named relative to it, and lie in it: whoever writes a declaration does not get at others.

    Raises:
        UserError: A file that is named cannot be read, or lies elsewhere.
    """
    read = dict(values)
    for name, value in values.items():
        wanted = inputs.get(name)
        if _names_file(value):
            read[name] = _value(name, _fetch(name, value, folder, inside=True), wanted)
        elif isinstance(value, str) and wanted is not None and wanted.kind == "STRUCT":
            read[name] = _value(name, value, wanted)
            log.warning("%s: write a mapping in place of a text: the keys themselves, or {%s: PLACE}", name, FROM)
    return read


def problems(values: Mapping[str, Any], inputs: Mapping[str, Input]) -> Iterator[tuple[str, str]]:
    """``(name, problem)`` for every input that is unknown, missing or of another type."""
    for name, value in values.items():
        if name not in inputs:
            known = did_you_mean(name, inputs) or f"; it has {', '.join(inputs) or 'none'}"
            yield name, f"the pipeline has no such input{known}"
        elif not _fits(value, inputs[name].kind):
            yield name, f"should be {KINDS.get(inputs[name].kind, inputs[name].kind)} (got {_short(value)})"
        elif fault := _tell_fault(name, value):
            yield name, fault
    for name, each in inputs.items():
        if name not in values and not each.optional:
            yield name, f"missing; the pipeline wants {KINDS.get(each.kind, each.kind)}"


def _tell_fault(name: str, value: Any) -> str:
    """Say why a value of the right type cannot be meant; nothing where it can."""
    if name == "model_name" and isinstance(value, str):
        return tell_name_fault(value)
    if isinstance(value, int) and abs(value) > WHOLE_NUMBER:
        return f"is beyond 2^53, and Kubeflow would change it (got {_short(value)})"
    if name in SHARES and isinstance(value, int | float) and not 0 <= value <= 1:
        return f"should be from 0 to 1 (got {value})"
    return ""


def sendable(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as they travel."""
    return {name: to_kfp(value) for name, value in values.items()}


def _names_file(value: Any) -> bool:
    return isinstance(value, str) and value.startswith(FILE)


def _fetch(name: str, word: str, folder: Path, *, inside: bool = False) -> str:
    """A word itself, or the text of the file that it names."""
    if not word.startswith(FILE):
        return word
    if word.startswith(FILE * 2):
        return word[1:]
    fix = "put the file beside the declaration"
    path = join_inside(folder, word[1:], where=f"{folder}: {name}", fix=fix) if inside else folder / word[1:]
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UserError(
            f"the file of {name} cannot be read ({reason})", where=str(path), fix="check the path"
        ) from None


def _value(name: str, text: str, wanted: Input | None) -> Any:
    """What a text means where such a value is wanted; a text that means nothing stays one, and will not fit."""
    if wanted is None or wanted.kind == "STRING":
        return text
    if wanted.kind == "STRUCT":
        return _settings(name, text.strip())
    try:
        value = _load(name, text)
        return float(text) if wanted.kind == "NUMBER_DOUBLE" and isinstance(value, str) else value
    except (*MALFORMED, yaml.YAMLError):
        return text


def _load(name: str, text: str) -> Any:
    """Parse a value that may be anybody's: one that is nested deeply, or grows with its aliases, takes no time."""
    excess = "more than a value holds" if len(text) > SPEC_CHARACTERS else find_excess(text)
    if excess:
        raise SpecError([f"{name}:1: {excess}"])
    hold_small(yaml.compose(text, Loader=yaml.SafeLoader), name)
    return yaml.safe_load(text)


def _settings(name: str, text: str) -> Any:
    """What a text means where settings are wanted: them, or where they are; anything else stays, and will not fit."""
    if not text:
        return {}
    try:
        value = _load(name, text)
    except (yaml.YAMLError, *MALFORMED):
        value = {}  # what is wrong with it is told below
    if isinstance(value, str):
        return {FROM: text}
    if not isinstance(value, dict):
        return value
    document = parse_document(text, name)
    if twice := document.duplicates():
        raise SpecError([message for _, message in twice])
    return dict(document.data)


def _fits(value: Any, kind: str) -> bool:
    if kind not in TYPES or not isinstance(value, TYPES[kind]):
        return False
    if isinstance(value, bool):
        return kind == "BOOLEAN"
    return not isinstance(value, float) or math.isfinite(value)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
