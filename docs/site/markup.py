"""Markup: plain text and docstrings as Markdown."""

import re
import textwrap
from collections.abc import Iterable

CODE = re.compile(r"(?::\w+:)?(`+)(.+?)\1", re.DOTALL)
SPECIAL = re.compile(r"([\\*_\[\]#])")


def escape(text: str) -> str:
    """Make text that means nothing to Markdown; what stands in backticks becomes code."""
    parts: list[str] = []
    end = 0
    for match in CODE.finditer(text):
        parts += [_escape_plain(text[end : match.start()]), format_code(match[2].removeprefix("~"))]
        end = match.end()
    return "".join([*parts, _escape_plain(text[end:])])


def format_code(text: str) -> str:
    """Set text as code within a line."""
    return f"`{text}`"


def format_block(text: str, language: str) -> str:
    """Set text as a block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def format_term(term: str, meaning: Iterable[str], anchor: str = "") -> str:
    """Write an entry of a list of definitions, a paragraph for each part of its meaning."""
    mark = f' <span id="{anchor}"></span>' if anchor else ""
    first, *rest = [each for each in meaning if each] or ["-"]
    inner = "\n\n".join([first, *rest])
    return f"{format_code(term)}{mark}\n:   {textwrap.indent(inner, '    ').lstrip()}\n"


def _escape_plain(text: str) -> str:
    return SPECIAL.sub(r"\\\1", text).replace("<", "&lt;")
