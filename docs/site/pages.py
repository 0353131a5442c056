"""Pages: the tree that mkdocs makes the site of: the repository's pages as they are, and those that are generated."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bodyposenet.common.spec.kinds import KINDS
from docs.site.flowchart import draw_chart
from docs.site.links import FENCE, list_links
from docs.site.python_names import write_names
from docs.site.spec_keys import write_keys
from docs.site.verbs import write_verbs

ROOT = Path(__file__).parents[2]
FOLDERS = ("docs", "components", "pipelines", "images", "manifests", "benchmarks")
REFERENCE = "docs/reference"
NOTEBOOK = "docs/first-people.ipynb"
PAGES = "pages"
SETTINGS = "mkdocs.yml"
WORKER = "iframe-worker.js"
TEMPLATES = "templates"
LOST = "404.html"


def list_pages() -> list[Path]:
    """List the repository's pages."""
    below = (page for folder in FOLDERS for page in sorted((ROOT / folder).rglob("*.md")))
    return [*sorted(ROOT.glob("*.md")), *below]


def write_site(folder: Path) -> None:
    """Write the pages, what they link to, and mkdocs' settings; a tree that is there is replaced.

    Every page has the place in it that it has in the repository, so that links hold as they are.

    Args:
        folder: Gets ``pages/`` and ``mkdocs.yml``.
    """
    shutil.rmtree(folder / PAGES, ignore_errors=True)
    for page in list_pages():
        _write(folder / PAGES / page.relative_to(ROOT), draw_charts(page.read_text()))
        for file in _list_files(page):
            _copy(file, folder / PAGES / file.relative_to(ROOT))
    for name, text in make_reference().items():
        _write(folder / PAGES / REFERENCE / name, text)
    run_notebook(ROOT / NOTEBOOK, (folder / PAGES / NOTEBOOK).with_suffix(".md"))
    _copy(Path(__file__).with_name(SETTINGS), folder / SETTINGS)
    _copy(Path(__file__).with_name(WORKER), folder / PAGES / "assets" / WORKER)
    _copy(Path(__file__).with_name(LOST), folder / TEMPLATES / LOST)


def make_reference() -> dict[str, str]:
    """Generate the pages of the reference, by their file names."""
    keys = {f"spec-{kind}.md": write_keys(kind) for kind in KINDS}
    return {"verbs.md": write_verbs(), **keys, "python.md": write_names()}


def draw_charts(text: str) -> str:
    """Put pictures into the places of a page's charts in mermaid's words."""
    return FENCE.sub(lambda match: draw_chart(match[2]) if match[1] == "mermaid" else match[0], text)


def run_notebook(notebook: Path, page: Path) -> None:
    """Run a notebook in a process of its own, and write it as a page."""
    command = [sys.executable, "-m", "docs.site.notebook", str(notebook), str(page)]
    subprocess.run(command, cwd=ROOT, check=True)


def _list_files(page: Path) -> Iterator[Path]:
    """List the files that a page links to and that are no pages."""
    for link in list_links(page):
        target = (page.parent / link.partition("#")[0]).resolve()
        if target.is_file() and target.suffix != ".md":
            yield target


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
