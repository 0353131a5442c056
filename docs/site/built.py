"""Built: what browsers find in the pages of a site: nothing fetched from elsewhere, no link to what is not there.

The page that a server gives for any address cannot know where the site begins: it fetches nothing, and has no links
to other pages.

    python -m docs.site.built FOLDER

Ends with exit code 1, and a line for each, if anything is.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FETCHED = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
}
POINTERS = {"canonical", "alternate", "prev", "next"}  # kinds of <link> that nothing is fetched for
AT_ANY_DEPTH = "404.html"  # a server gives it for any address


@dataclass
class BuiltPage(HTMLParser):
    """What a page fetches, links to, and can be linked at.

    Attributes:
        fetched: Addresses of what a browser fetches by itself.
        links: Addresses that a reader may follow.
        anchors: Names of places in it.
    """

    fetched: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what an element names."""
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag in FETCHED and FETCHED[tag] in given and given.get("rel") not in POINTERS:
            self.fetched.append(given[FETCHED[tag]])


def read_page(path: Path) -> BuiltPage:
    """Read a page of HTML."""
    page = BuiltPage()
    page.feed(path.read_text())
    return page


def find_faults(folder: Path) -> Iterator[str]:
    """Find what is wrong with the pages of a site: what they fetch from elsewhere, and links that lead nowhere."""
    pages = {path: read_page(path) for path in sorted(folder.rglob("*.html"))}
    if lost := pages.pop(folder / AT_ANY_DEPTH, None):
        yield from (f"{AT_ANY_DEPTH}: fetches {each}" for each in lost.fetched if urlsplit(each).scheme != "data")
        links = [each for each in lost.links if not (urlsplit(each).scheme or each.startswith("#"))]
        yield from (f"{AT_ANY_DEPTH}: leads nowhere: {each}" for each in links)
    for path, page in pages.items():
        place = path.relative_to(folder)
        yield from (f"{place}: fetches {address}" for address in page.fetched if _is_elsewhere(address))
        addresses = [*page.fetched, *page.links]
        yield from (f"{place}: leads nowhere: {each}" for each in addresses if not _leads_somewhere(each, path, pages))


def _is_elsewhere(address: str) -> bool:
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https")


def _leads_somewhere(address: str, path: Path, pages: dict[Path, BuiltPage]) -> bool:
    parts = urlsplit(address)
    if parts.scheme or parts.netloc:
        return True
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    target = target / "index.html" if target.is_dir() else target
    anchor = unquote(parts.fragment)
    return target.exists() and (not anchor or target not in pages or anchor in pages[target].anchors)


if __name__ == "__main__":
    found = list(find_faults(Path(sys.argv[1]).resolve()))
    sys.exit("\n".join(found) if found else 0)
