"""Specs: what every spec model shares, and how a file becomes one."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo

from bodyposenet.common.bounds import SPEC_NUMBER, WHOLE_NUMBER
from bodyposenet.common.errors import SpecError
from bodyposenet.common.spec.document import Document, bare_classes, read_document
from bodyposenet.common.spec.problems import format_errors

PathMap = Sequence[tuple[str, str]]
LINE_ENDS = {"\x85", "\u2028", "\u2029"}
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")


class Strict(BaseModel):
    """A spec, or a part of one: no unknown keys, and nothing changes after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, protected_namespaces=())


Spec = TypeVar("Spec", bound=Strict)


def _number(value: object) -> object:
    """Read numbers that YAML 1.1 takes for text: of ``2e-5``, without a dot, TAO's users mean the number."""
    return float(value) if isinstance(value, str) and NUMBER.fullmatch(value) else value


def _limit(value: float) -> float:
    """Refuse a number whose square no 32-bit float, or whose double no 64-bit whole number, can be.

    One whose inverse would be such a number is zero.
    """
    if isinstance(value, int):
        if abs(value) > WHOLE_NUMBER:
            raise ValueError(f"is beyond {WHOLE_NUMBER:,}")
    elif abs(value) > SPEC_NUMBER:
        raise ValueError(f"is beyond what can be computed with, {SPEC_NUMBER:g}")
    return 0.0 if abs(value) * SPEC_NUMBER < 1 and value else value


def _limit_both(value: float) -> float:
    """Refuse a number above zero that is too large, or too near to it."""
    if not _limit(value):
        raise ValueError(f"is beyond what can be computed with, {1 / SPEC_NUMBER:g}")
    return value


def _remap(path: str, info: ValidationInfo) -> str:
    """Replace the longest matching prefix of the path map in ``path``."""
    pairs: PathMap = (info.context or {}).get("path_map", ())
    for old, new in sorted(pairs, key=lambda pair: -len(pair[0])):
        old = old.rstrip("/") or "/"
        if path == old or path.startswith(old.rstrip("/") + "/"):
            return new.rstrip("/") + "/" + path[len(old) :].lstrip("/") if path != old else new
    return path


Int = Annotated[int, Field(strict=True), AfterValidator(_limit)]
Bool = Annotated[bool, Field(strict=True)]
Float = Annotated[float, Field(strict=True), BeforeValidator(_number), AfterValidator(_limit)]
Natural = Annotated[int, Field(strict=True, ge=1), AfterValidator(_limit)]
Count = Annotated[int, Field(strict=True, ge=0), AfterValidator(_limit)]
Positive = Annotated[float, Field(strict=True, gt=0), BeforeValidator(_number), AfterValidator(_limit_both)]
NotNegative = Annotated[float, Field(strict=True, ge=0), BeforeValidator(_number), AfterValidator(_limit)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1), BeforeValidator(_number), AfterValidator(_limit)]
Share = Annotated[float, Field(strict=True, gt=0, le=1), BeforeValidator(_number), AfterValidator(_limit_both)]
Name = Annotated[str, Field(min_length=1)]
PathText = Annotated[str, Field(min_length=1), AfterValidator(_remap)]


def load_spec(path: str | Path, model: type[Spec], *, path_map: PathMap = ()) -> Spec:
    """Read a spec file.

    Args:
        path: A YAML or JSON file. Relative paths in it are relative to the working directory, as with TAO.
        model: What the file should hold.
        path_map: ``(old, new)`` prefixes; every path in the file that begins with ``old`` begins with ``new`` instead.

    Raises:
        SpecError: With every problem of the file, one ``file:line: key: problem`` a line.

    Examples:
        >>> dataset = bodyposenet.load_spec("coco_spec.json", bodyposenet.DatasetSpec)
        >>> dataset.dataset
        'drawn'
    """
    return validate(read_document(path), model, path_map)


def parse_spec(data: Mapping[str, Any], model: type[Spec], *, where: str = "<given>", path_map: PathMap = ()) -> Spec:
    """Check a spec that is already a dict, as pipelines pass it.

    Raises:
        SpecError: With every problem, one ``where: key: problem`` a line.

    Examples:
        >>> cut = bodyposenet.parse_spec({"pruning_threshold": 0.25, "min_num_filters": 8}, bodyposenet.PruneSpec)
        >>> cut.equalization_criterion
        'union'
    """
    if not isinstance(data, Mapping):
        raise SpecError([f"{where}: a spec is a mapping of keys to values, this is a {type(data).__name__}"])
    return validate(Document(where, bare_classes(data)), model, path_map)


def dump_yaml(spec: BaseModel) -> str:
    """Write ``spec`` as YAML that loads back equal."""
    data = spec.model_dump(mode="json", by_alias=True)
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100))


class _Dumper(yaml.SafeDumper):
    """PyYAML leaves Unicode's line ends as they are, and then reads them as spaces."""


def _escape(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if LINE_ENDS & {*text} else None)


_Dumper.add_representer(str, _escape)


def validate(document: Document, model: type[Spec], path_map: PathMap = ()) -> Spec:
    """Read a document as the spec that it should be.

    Raises:
        SpecError: As :func:`load_spec`.
    """
    problems = document.duplicates()
    try:
        spec = model.model_validate(document.data, context={"path_map": path_map})
    except ValidationError as error:
        problems += format_errors(error, model, document)
    if problems:
        raise SpecError([message for _, message in sorted(problems, key=lambda problem: problem[0])])
    return spec
