"""Flowchart: a chart in mermaid's words drawn as SVG, as mermaid's own script would be fetched from elsewhere.

Nodes stand in rows, each below all that lead to it; a row is ordered by where its neighbours stand (Sugiyama et al.,
"Methods for Visual Understanding of Hierarchical System Structures", 1981).
"""

import html
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

EDGE = re.compile(r"^\s*(\w+)(\S.*?)?(?: -- (.+?))? --> (\w+)(\S.*)?$")
WIDTH, HEIGHT, DOWN, GAP = 112, 40, 78, 14  # of boxes, from row to row, and between boxes; pixels
LINE = 17  # characters of a label in a line
BEND = 10  # pixels that a line takes of the row where it passes through
SWEEPS = 8


@dataclass
class Chart:
    """Nodes and what leads where.

    Attributes:
        labels: Of each node, by its name.
        edges: From, to, and what stands at the line.
    """

    labels: dict[str, str] = field(default_factory=dict)
    edges: list[tuple[str, str, str]] = field(default_factory=list)


def read_chart(text: str) -> Chart:
    """Read the lines of a chart that are edges, with the labels that stand in them."""
    chart = Chart()
    for line in text.splitlines():
        match = EDGE.match(line)
        if match:
            start, label, said, end, other = match.groups()
            for name, shown in ((start, label), (end, other)):
                if shown or name not in chart.labels:
                    chart.labels[name] = (shown or name).strip("[](){}")
            chart.edges.append((start, end, said or ""))
    return chart


def draw_chart(text: str) -> str:
    """Draw a chart as SVG in the colours of the page."""
    chart = read_chart(text)
    rows, ways = _arrange(chart)
    places = _place(rows)
    width = max(x for x, _ in places.values()) + WIDTH / 2 + GAP
    height = len(rows) * DOWN
    drawn = [*(_draw_way(way, said, places) for way, said in ways), *_draw_boxes(chart, places)]
    view = f'viewBox="0 0 {width:.0f} {height}" style="max-width: {width:.0f}px; width: 100%; font: 11px sans-serif"'
    return "\n".join([f'<svg {view} role="img" aria-label="Flowchart">', *drawn, "</svg>"])


def _arrange(chart: Chart) -> tuple[list[list[str]], list[tuple[list[str], str]]]:
    """Put nodes into rows; a line over several rows goes through a place in each, which is a node without a label."""
    depth = dict.fromkeys(chart.labels, 0)
    for _ in chart.labels:
        for start, end, _ in chart.edges:
            depth[end] = max(depth[end], depth[start] + 1)
    rows: list[list[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for name, row in depth.items():
        rows[row].append(name)
    ways: list[tuple[list[str], str]] = []
    for start, end, said in chart.edges:
        between = [f"{start}>{end}:{row}" for row in range(depth[start] + 1, depth[end])]
        for row, name in enumerate(between, depth[start] + 1):
            rows[row].append(name)
        ways.append(([start, *between, end], said))
    _order(rows, [way for way, _ in ways])
    return rows, ways


def _order(rows: list[list[str]], ways: list[list[str]]) -> None:
    above: dict[str, list[str]] = defaultdict(list)
    below: dict[str, list[str]] = defaultdict(list)
    for way in ways:
        for one, next_one in pairwise(way):
            below[one].append(next_one)
            above[next_one].append(one)
    for sweep in range(SWEEPS):
        neighbours, order = (above, rows[1:]) if sweep % 2 == 0 else (below, rows[-2::-1])
        for row in order:
            at = {name: place / max(len(each), 1) for each in rows for place, name in enumerate(each)}
            row.sort(key=lambda name: sum(at[each] for each in neighbours[name]) / max(len(neighbours[name]), 1))


def _place(rows: list[list[str]]) -> dict[str, tuple[float, float]]:
    """Place the middles of nodes, each row in the middle of the picture."""
    lengths = [sum(_width(name) + GAP for name in row) for row in rows]
    places = {}
    for number, (row, length) in enumerate(zip(rows, lengths, strict=True)):
        x = GAP + (max(lengths) - length) / 2
        for name in row:
            places[name] = x + _width(name) / 2, number * DOWN + HEIGHT / 2 + 4
            x += _width(name) + GAP
    return places


def _width(name: str) -> int:
    return BEND if ">" in name else WIDTH


def _draw_way(way: list[str], said: str, places: dict[str, tuple[float, float]]) -> str:
    points = [places[name] for name in way]
    x, y = points[0]
    path = [f"M{x:.0f} {y + HEIGHT / 2:.0f}"]
    for number, (to_x, to_y) in enumerate(points[1:], 1):
        from_y, end_y = y + HEIGHT / 2, to_y - HEIGHT / 2
        path.append(f"C{x:.0f} {from_y + 20:.0f} {to_x:.0f} {end_y - 20:.0f} {to_x:.0f} {end_y:.0f}")
        if number < len(points) - 1:
            path.append(f"V{to_y + HEIGHT / 2:.0f}")
        x, y = to_x, to_y
    tip = f"M{x - 4:.0f} {y - HEIGHT / 2 - 6:.0f}l4 6 4-6"
    line = f'<path d="{" ".join(path)} {tip}" fill="none" stroke="currentColor" stroke-opacity=".55"/>'
    if not said:
        return line
    (x0, y0), (x1, y1) = points[0], points[1]
    middle = f'x="{(x0 + x1) / 2 + 6:.0f}" y="{(y0 + y1) / 2 + 4:.0f}"'
    return f'{line}\n<text {middle} fill="currentColor" font-style="italic">{html.escape(said)}</text>'


def _draw_boxes(chart: Chart, places: dict[str, tuple[float, float]]) -> Iterator[str]:
    for name, label in chart.labels.items():
        x, y = places[name]
        yield (
            f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" height="{HEIGHT}" rx="6"'
            ' fill="#00968822" stroke="#009688"/>'
        )
        lines = _wrap(label)
        for number, line in enumerate(lines):
            down = y + 4 + 13 * (number - (len(lines) - 1) / 2)
            text = html.escape(line)
            yield f'<text x="{x:.0f}" y="{down:.0f}" text-anchor="middle" fill="currentColor">{text}</text>'


def _wrap(label: str) -> list[str]:
    lines = [""]
    for word in label.split():
        if lines[-1] and len(lines[-1]) + len(word) >= LINE:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
