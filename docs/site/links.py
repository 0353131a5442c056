"""Links: what pages point at, and whether it is there."""

import re
from collections.abc import Iterator
from pathlib import Path

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<!!)!?\[[^\]]*\]\(([^)\s]+)\)")
ADDRESS = re.compile(r"[a-z]+:")


def list_links(page: Path) -> list[str]:
    """List the links of a page that lead to files or headings, blocks of code apart."""
    return [link for link in LINK.findall(FENCE.sub("", page.read_text())) if not ADDRESS.match(link)]


def list_anchors(page: Path) -> set[str]:
    """List the names by which a page's headings can be linked to, and what it names itself."""
    prose = FENCE.sub("", page.read_text())
    headings = re.findall(r"^#+ +(.+?) *$", prose, re.MULTILINE)
    return {*map(name_anchor, headings), *re.findall(r' id="([^"]+)"', prose)}


def name_anchor(heading: str) -> str:
    """Name a heading as GitHub does, and ``pymdownx.slugs`` on the site."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def find_dead_links(page: Path) -> Iterator[str]:
    """Find the links of a page to files that are not there, or to headings that such a page does not have."""
    for link in list_links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in list_anchors(target)):
            yield link
