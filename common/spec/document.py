"""Documents: YAML and JSON files read so that every key still knows its line."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bodyposenet.common.bounds import SPEC_BYTES, SPEC_CHARACTERS
from bodyposenet.common.errors import AwayError, SpecError, UserError
from bodyposenet.common.plain_text import escape_line
from bodyposenet.common.spec.excess import find_excess, find_unwritable, hold_small
from bodyposenet.common.storage.files import find_bytes

CLASS_KEY = "__class_name__"
FROM = "from"  # the key that names the file with the settings
Loc = tuple[str | int, ...]


@dataclass(frozen=True)
class Document:
    """The content of a spec file, or of a dict that never was one.

    Attributes:
        where: What messages call it: the path of the file.
        data: Its keys and values.
        root: The YAML nodes, which know their lines; None where there is no text.
    """

    where: str
    data: Mapping[str, Any]
    root: yaml.Node | None = None

    def plain(self, loc: Sequence[str | int]) -> Loc:
        """Return the keys of ``loc`` without the class names that pydantic puts between those of a union."""
        kept: list[str | int] = []
        value: Any = self.data
        for key in loc:
            if isinstance(value, Mapping) and key not in value and key == value.get(CLASS_KEY):
                continue
            kept.append(key)
            value = _child(value, key)
        return tuple(kept)

    def line(self, loc: Sequence[str | int]) -> int:
        """Find the line, from 1, of the key at ``loc`` or of its nearest parent in the file; 0 if unknown."""
        if self.root is None:
            return 0
        line, node = self.root.start_mark.line, self.root
        for key in loc:
            found = _entry(node, key)
            if found is None:
                break
            line, node = found
        return int(line) + 1

    def tell(self, loc: Sequence[str | int], problem: str) -> tuple[int, str]:
        """Put a problem at ``loc`` as ``(line, message)``; messages sort by line."""
        loc = self.plain(loc)
        line = self.line(loc)
        place = f"{self.where}:{line}" if line else self.where
        key = escape_line(".".join(map(str, loc)))
        return line, f"{place}: {key}: {problem}" if key else f"{place}: {problem}"

    def duplicates(self) -> list[tuple[int, str]]:
        """List one problem for each key that is written twice in one mapping."""
        return [
            (line + 1, f"{self.where}:{line + 1}: {escape_line('.'.join(loc))}: key is written twice; keep one of them")
            for line, loc in _find_repeated(self.root, (), set())
        ]


def read_document(path: str | Path) -> Document:
    """Read a YAML or JSON file.

    Raises:
        SpecError: There is no such file, it is no text, or no YAML or JSON, or not a mapping of keys.
    """
    return parse_document(_read_text(path), str(path), as_json=str(path).lower().endswith(".json"))


def parse_document(text: str, where: str, *, as_json: bool = False) -> Document:
    """Parse a document from its text.

    Args:
        text: YAML or JSON.
        where: What messages call it.
        as_json: Take JSON alone.

    Raises:
        SpecError: It is no YAML or JSON, or not a mapping of keys.
    """
    where = escape_line(where)
    if len(text) > SPEC_CHARACTERS:
        raise SpecError([f"{where}: has {len(text):,} characters; a spec has at most {SPEC_CHARACTERS:,}"])
    if excess := find_excess(text):
        raise SpecError([f"{where}:1: {excess}"])
    root = _compose(text, as_json, where)
    hold_small(root, where)
    data = _load_json(where, text) if as_json else _load_yaml(where, text)
    if data is None:
        raise SpecError([f"{where}:1: the file is empty"])
    if not isinstance(data, dict):
        raise SpecError([f"{where}:1: a spec is a mapping of keys to values, this is a {type(data).__name__}"])
    for form, problem in find_unwritable(data):
        found = re.search(form, text)
        raise SpecError([f"{where}:{text.count(chr(10), 0, found.start()) + 1 if found else 1}: {problem}"])
    return Document(where, bare_classes(data), root)


def read_settings(given: Mapping[str, Any], where: str) -> Document:
    """Read settings as a form takes them: the keys of a spec, or ``{"from": PLACE}``, whose file has them.

    Args:
        given: The settings, or the path or ``gs://`` URI of a YAML or JSON file.
        where: What messages call settings that are in no file.

    Raises:
        SpecError: The file cannot be read, or ``from`` is no text or does not stand alone.
    """
    if FROM not in given:
        return Document(where, bare_classes(given))
    if len(given) > 1 or not isinstance(given[FROM], str):
        raise SpecError([f"{where}: {FROM}: stands alone, with a path or an address; put other keys into that file"])
    return read_document(given[FROM])


def bare_classes(data: Any) -> Any:
    """Take the module path off every class name in ``data``, as TAO allows either."""
    if isinstance(data, Mapping):
        return {
            key: value.rpartition(".")[2] if key == CLASS_KEY and isinstance(value, str) else bare_classes(value)
            for key, value in data.items()
        }
    return [bare_classes(item) for item in data] if isinstance(data, list | tuple) else data


def _read_text(path: str | Path) -> str:
    where = escape_line(str(path))
    try:
        found = find_bytes(path, most=SPEC_BYTES)
        if found is None:
            raise SpecError([f"{where}: there is no such file"])
        return found.decode("utf-8-sig")
    except (SpecError, AwayError):
        raise
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SpecError([f"{where}:{line}: not UTF-8 text; save the file as UTF-8"]) from None
    except UserError as error:
        raise SpecError([str(error)]) from error
    except OSError as error:
        raise SpecError([f"{where}: cannot be read ({error.strerror})"]) from None


def _load_json(path: str | Path, text: str) -> Any:
    if not text.strip():
        return None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise SpecError([f"{path}:{error.lineno}: not valid JSON: {error.msg} (column {error.colno})"]) from None
    except ValueError:
        raise SpecError([f"{path}:1: not valid JSON: a number has too many digits"]) from None
    except RecursionError:
        raise SpecError([f"{path}:1: nested too deeply to be a spec"]) from None


def _load_yaml(path: str | Path, text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        tab = "; indent with blanks, not with tabs" if "'\\t'" in str(error.problem) else ""
        raise SpecError([f"{path}:{line}: not valid YAML: {error.problem or error.context}{tab}"]) from None
    except yaml.reader.ReaderError as error:
        line = text[: error.position].count("\n") + 1
        raise SpecError([f"{path}:{line}: not valid YAML: {error.reason}"]) from None
    except RecursionError:
        raise SpecError([f"{path}:1: nested too deeply to be a spec"]) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's, which tells the line of a value that is not what its tag or its form says, as in 2024-13-45."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Make a value of a node."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError, OverflowError) as error:
            kind = str(node.tag).rpartition(":")[2]
            reason = f": {str(error)[:80]}" if isinstance(error, ValueError) else ""
            problem = f"{str(node.value)[:40]!r} is no {kind}{reason}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


def _compose(text: str, as_json: bool, where: str) -> yaml.Node | None:
    """Parse the nodes of a text, None if it is not good; JSON is YAML but for its tabs."""
    try:
        return yaml.compose(text.replace("\t", " ") if as_json else text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return None
    except RecursionError:
        raise SpecError([f"{where}:1: nested too deeply to be a spec"]) from None


def _child(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if isinstance(value, list | tuple) and isinstance(key, int) and key < len(value):
        return value[key]
    return None


def _entry(node: yaml.Node, key: str | int) -> tuple[int, yaml.Node] | None:
    """Find the line (from 0) and the node of one item of a mapping or a list."""
    if isinstance(node, yaml.MappingNode):
        found = [(name.start_mark.line, value) for name, value in node.value if name.value == str(key)]
        return found[-1] if found else None
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int) and key < len(node.value):
        return node.value[key].start_mark.line, node.value[key]
    return None


def _find_repeated(
    node: yaml.Node | None, loc: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Find line and place of every second, third... mention of a key; a node with aliases is visited once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _find_repeated(item, (*loc, str(index)), seen)
    if not isinstance(node, yaml.MappingNode):
        return
    counts: Counter[str] = Counter()
    for name, value in node.value:
        key = str(name.value)
        counts[key] += 1
        if counts[key] > 1 and key != "<<":
            yield name.start_mark.line, (*loc, key)
        yield from _find_repeated(value, (*loc, key), seen)
