"""Notebook: a notebook's cells run in order, without Jupyter, and shown as a page with what they printed and drew.

    python -m docs.site.notebook NOTEBOOK PAGE

A cell shows what it prints, then the value of its last line, unless that ends with a semicolon, then the figures that
it drew.
"""

import ast
import base64
import contextlib
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs.site.markup import format_block


@dataclass(frozen=True)
class NotebookCell:
    """A cell of a notebook.

    Attributes:
        kind: ``markdown`` or ``code``.
        text: What it holds.
    """

    kind: str
    text: str


@dataclass(frozen=True)
class CellOutput:
    """What a cell shows when it has run.

    Attributes:
        text: What it printed, and its last line's value.
        figures: PNG files of what it drew.
    """

    text: str
    figures: list[bytes] = field(default_factory=list)


def read_cells(path: Path) -> list[NotebookCell]:
    """Read a notebook's cells."""
    cells = json.loads(path.read_text())["cells"]
    return [NotebookCell(cell["cell_type"], "".join(cell["source"])) for cell in cells]


def run_cells(cells: list[NotebookCell]) -> Iterator[CellOutput]:
    """Run the cells that hold code, one after another, in one set of names."""
    import matplotlib

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in cells:
        yield _run(cell.text, names) if cell.kind == "code" else CellOutput("")


def write_page(cells: list[NotebookCell]) -> str:
    """Run a notebook, and write it as a page."""
    parts: list[str] = []
    for cell, shown in zip(cells, run_cells(cells), strict=True):
        parts.append(format_block(cell.text, "python") if cell.kind == "code" else f"{cell.text}\n")
        parts += [format_block(shown.text, "text")] if shown.text else []
        parts += [f"![]({_inline(figure)})\n" for figure in shown.figures]
    return "\n".join(parts)


def _run(text: str, names: dict[str, Any]) -> CellOutput:
    printed = io.StringIO()
    tree = ast.parse(text)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "<cell>", "exec"), names)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval"), names) if last else None
    if value is not None and not text.rstrip().endswith(";"):
        printed.write(f"{value!r}\n")
    return CellOutput(printed.getvalue(), _take_figures())


def _take_figures() -> list[bytes]:
    import matplotlib.pyplot as plt

    figures = []
    for number in plt.get_fignums():
        file = io.BytesIO()
        plt.figure(number).savefig(file, format="png", bbox_inches="tight", metadata={"Software": None})
        figures.append(file.getvalue())
    plt.close("all")
    return figures


def _inline(picture: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(write_page(read_cells(Path(sys.argv[1]))))
