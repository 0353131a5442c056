"""Python names: the reference of what one calls in Python, from signatures and docstrings."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from bodyposenet import PLACES
from docs.site.markup import escape, format_block, format_term

ROOT = Path(__file__).parents[2]
SPECS = {"DatasetSpec": "dataset", "TrainSpec": "train", "InferenceSpec": "infer", "PruneSpec": "prune"}
RESULTS = {  # what calls return: name, its module in bodyposenet.common
    "PhotoPeople": "inference.photo_people",
    "FoundPerson": "inference.photo_people",
    "FoundJoint": "inference.photo_people",
    "People": "pose.people",
    "Runner": "deploy.runner",
    "UserError": "errors",
}
HEAD = """# Python

What `import bodyposenet` has, in the order of a network's way, and below it the classes of what calls return. How
people are found in photos: [in Python](../python.md).

"""
MOST = 88  # characters of a signature on one line
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Examples?):\n", re.MULTILINE)
ENTRY = re.compile(r"^(\*{0,2}[\w.]+)(?: \(([^()]+)\))?: (.+)$", re.DOTALL)
Definition = ast.ClassDef | ast.FunctionDef


def write_names() -> str:
    """Write the page."""
    public = [_write_definition(_find(name, place), f"bodyposenet.{name}") for name, place in PLACES.items()]
    results = [
        _write_definition(_find(name, place), f"bodyposenet.common.{place}.{name}") for name, place in RESULTS.items()
    ]
    return "\n".join([HEAD, *public, *results])


@cache
def _read(place: str) -> ast.Module:
    return ast.parse((ROOT / "common" / f"{place.replace('.', '/')}.py").read_text())


def _find(name: str, place: str) -> Definition:
    """Find what a module defines by a name; of overloads the last, which has the docstring."""
    found = [node for node in _read(place).body if isinstance(node, Definition) and node.name == name]
    return found[-1]


def _write_definition(node: Definition, name: str) -> str:
    parts = [f"## {node.name}\n"]
    if node.name in SPECS:
        kind = SPECS[node.name]
        told = escape((ast.get_docstring(node) or "").partition("\n\n")[0])
        return "\n".join([*parts, format_block(name, "python"), f"{told} Its keys: [{kind} specs](spec-{kind}.md).\n"])
    if isinstance(node, ast.FunctionDef):
        return "\n".join([*parts, format_block(format_signature(node, name), "python"), *write_docstring(node)])
    made = next((each for each in _methods(node) if each.name == "__init__"), None)
    call = format_signature(made, name) if made else name
    parts += [format_block(call, "python"), *write_docstring(node)]
    for method in _methods(node):
        if _is_public(method):
            parts += [f"### `{node.name}.{method.name}`\n", *_write_method(method, node.name)]
    return "\n".join(parts)


def _write_method(method: ast.FunctionDef, name: str) -> Iterator[str]:
    decorators = [ast.unparse(each) for each in method.decorator_list]
    if "property" in decorators:
        kind = f" -> {_annotation(method.returns)}" if method.returns else ""
        yield format_block(f"{method.name}{kind}", "python")
    else:
        whole = method.name if method.name != "__call__" else name
        yield format_block(format_signature(method, whole), "python")
    yield from write_docstring(method)


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [each for each in node.body if isinstance(each, ast.FunctionDef)]


def _is_public(method: ast.FunctionDef) -> bool:
    return bool(ast.get_docstring(method)) and (method.name == "__call__" or not method.name.startswith("_"))


def format_signature(function: ast.FunctionDef, name: str) -> str:
    """Write how a function is called, with what it returns; a long one has a line for each argument."""
    arguments = list(_list_arguments(function.args))
    returns = f" -> {_annotation(function.returns)}" if function.returns and function.name != "__init__" else ""
    line = f"{name}({', '.join(arguments)}){returns}"
    if len(line) <= MOST:
        return line
    return "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){returns}"])


def _list_arguments(given: ast.arguments) -> Iterator[str]:
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    for argument, default in zip(plain, defaults, strict=True):
        if argument.arg not in ("self", "cls"):
            yield _argument(argument, default)
    if given.vararg:
        yield f"*{_argument(given.vararg, None)}"
    elif given.kwonlyargs:
        yield "*"
    for argument, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield _argument(argument, default)
    if given.kwarg:
        yield f"**{_argument(given.kwarg, None)}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    kind = f": {_annotation(argument.annotation)}" if argument.annotation else ""
    if default is None:
        return f"{argument.arg}{kind}"
    return f"{argument.arg}{kind}{' = ' if kind else '='}{ast.unparse(default)}"


def _annotation(node: ast.expr) -> str:
    """Write a type; one in quotes, whose import would cost time, without them."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ast.unparse(node)


def write_docstring(node: Definition) -> Iterator[str]:
    """Write what a docstring says, by its sections."""
    first, *sections = SECTION.split(inspect.cleandoc(ast.get_docstring(node) or "") + "\n")
    yield from (f"{escape(' '.join(paragraph.split()))}\n" for paragraph in first.strip().split("\n\n"))
    for title, body in zip(sections[::2], sections[1::2], strict=True):
        text = textwrap.dedent(body).strip()
        if title.startswith("Example"):
            yield format_block(text, "pycon")
        elif title in ("Returns", "Yields"):
            yield f"**{title}:** {escape(' '.join(text.split()))}\n"
        else:
            yield f"**{title}:**\n"
            yield from map(_write_entry, re.split(r"\n(?=\S)", text))


def _write_entry(text: str) -> str:
    match = ENTRY.match(" ".join(text.split()))
    if match is None:
        return f"{escape(text)}\n"
    unit = f" *{escape(match[2])}*" if match[2] else ""
    return format_term(match[1], [f"{escape(match[3])}{unit}"])
