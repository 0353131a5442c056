"""Excess: what is too much in a spec's text for those who read it, and values that nothing can be done with."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from bodyposenet.common.bounds import SPEC_LEVELS, SPEC_VALUES, WHOLE_NUMBER
from bodyposenet.common.errors import SpecError

HALF = re.compile("[\ud800-\udfff]")  # of a surrogate pair: JSON and YAML can write one alone
BRACKETS = 4 * SPEC_LEVELS  # that are open at once in a text, those in words among them


def find_excess(text: str) -> str:
    """Say what is too much in a text for a reader of YAML, who takes time for each value; nothing if it is not.

    Who reads it to the end spends a second on ten thousand values, and looks ahead from every bracket that is open.
    """
    if text.count(",") + text.count("\n") > 2 * SPEC_VALUES:
        return f"more than a spec holds: at most {SPEC_VALUES:,} values"
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if bracket[0] in "[{" else -1))
        if depth > BRACKETS:
            return "nested too deeply to be a spec"
    return ""


def hold_small(root: yaml.Node | None, where: str) -> None:
    """Refuse what is nested deeply, or large once aliases are written out; a node that many share is counted once."""
    counts: dict[int, int] = {}
    levels: dict[int, int] = {}
    todo = [] if root is None else [(root, False)]
    open_nodes: set[int] = set()
    while todo:
        node, is_counted = todo.pop()
        inner = _list_inner(node)
        if is_counted:
            open_nodes.discard(id(node))
            counts[id(node)] = 1 + sum(counts[id(one)] for one in inner)
            levels[id(node)] = 1 + max((levels[id(one)] for one in inner), default=0)
        elif id(node) not in counts:
            if id(node) in open_nodes:
                raise SpecError([f"{where}:{node.start_mark.line + 1}: an alias stands in what it repeats"])
            open_nodes.add(id(node))
            todo += [(node, True), *((one, False) for one in inner)]
        if counts.get(id(node), 0) > SPEC_VALUES or levels.get(id(node), 0) > SPEC_LEVELS:
            raise SpecError(
                [
                    f"{where}:{node.start_mark.line + 1}: more than a spec holds: at most {SPEC_VALUES:,} values, what"
                    f" aliases repeat included, nested in at most {SPEC_LEVELS} levels"
                ]
            )


def _list_inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [one for pair in node.value for one in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def find_unwritable(value: Any) -> Iterator[tuple[str, str]]:
    """Find what no file or record can take, and nothing can be computed with; tells its form in the text, too."""
    if isinstance(value, Mapping | list | tuple | set):
        inside = value if not isinstance(value, Mapping) else [each for pair in value.items() for each in pair]
        for each in inside:
            yield from find_unwritable(each)
    elif isinstance(value, str) and HALF.search(value):
        yield r"\\[uU](0000)?[dD][89a-fA-F]", "a text has half of a character, \\ud800 or the like; write it whole"
    elif isinstance(value, int) and abs(value) > WHOLE_NUMBER:
        yield re.escape(str(value)), f"a whole number is beyond {WHOLE_NUMBER:,}; give a smaller one"
