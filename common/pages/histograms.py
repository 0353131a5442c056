"""Histograms: how often each size, count and joint occurs, as small SVG pictures in the page's colours."""

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from bodyposenet.common.pages.page import coordinate, fit_widths, svg

HEIGHT = 236  # in user units
TOP, BOTTOM, GAP = 44, 48, 0.16  # margins for legend and figures, and for names; the share of a column left empty
MOST_COLUMNS = 18
CHARACTER = 9  # user units that a character of a name takes, with the space around a name
FIGURE = 6.5  # those of a figure above a column


def histogram(title: str, names: Sequence[str], parts: Mapping[str, Sequence[int]], *, x_name: str) -> Markup:
    """Draw columns, each stacked of parts, with the sum of each above it.

    Args:
        title: What is counted; spoken by screen readers together with the figures.
        names: Of the columns.
        parts: For each part of the columns, a count for each.
        x_name: What tells the columns apart.

    Returns:
        The chart, for each width.
    """
    sums = [sum(counts) for counts in zip(*parts.values(), strict=True)]
    said = f"{title} by {x_name}: " + ", ".join(f"{name} {count}" for name, count in zip(names, sums, strict=True))
    return fit_widths(lambda width: _draw(said, names, parts, x_name, width))


def _draw(said: str, names: Sequence[str], parts: Mapping[str, Sequence[int]], x_name: str, width: int) -> Markup:
    """Draw columns; where they are narrower than the figures above them, these stand upright."""
    sums = [sum(counts) for counts in zip(*parts.values(), strict=True)]
    step = width / max(1, len(names))
    every = max(1, math.ceil(CHARACTER * max(map(len, names), default=0) / step))  # which of the names have room
    longest = FIGURE * max((len(short(count)) for count in sums), default=0)
    upright = longest > step
    top = max(TOP, 24 + longest) if upright else TOP
    scale = (HEIGHT - top - BOTTOM) / max([1, *sums])
    drawn = [_legend(parts), _x_axis(x_name, width)]
    for place, (name, counts) in enumerate(zip(names, zip(*parts.values(), strict=True), strict=True)):
        middle = (place + 0.5) * step
        drawn.append(_column(place * step, step, counts, scale))
        text = Markup('<text class="x" x="{}" y="{}">{}</text>')
        drawn.append(text.format(coordinate(middle), HEIGHT - BOTTOM + 15, "" if place % every else name))
        drawn.append(_write_sum(middle, sums[place], scale, upright=upright))
    return svg("columns", said, (HEIGHT, width), drawn)


def make_groups(most: int) -> list[range]:
    """Group the numbers from 1 to ``most`` with their neighbours, in no more groups than a chart has columns."""
    size = max(1, -(-most // MOST_COLUMNS))
    return [range(at, min(at + size, most + 1)) for at in range(1, most + 1, size)]


def shares(parts: Sequence[tuple[str, int]]) -> Markup:
    """Draw a bar that is divided as a whole is; it fills the cell of a table that has the figures.

    Args:
        parts: Class and count of each part.
    """
    whole = sum(count for _, count in parts)
    drawn, at = [], 0.0
    for kind, count in parts:
        length = 100 * count / whole if whole else 0.0
        drawn.append(
            Markup('<rect class="{}" x="{}" y="0" width="{}" height="10"/>').format(
                kind, coordinate(at), coordinate(length)
            )
        )
        at += length
    bar = Markup('<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">{}</svg>')
    return bar.format(Markup("").join(drawn))


def short(count: int) -> str:
    """Write a count above a column, to three digits: ``950``, ``1.25k``, ``150k``, ``1.2M``."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= 0.9995 * factor:
            return f"{count / factor:.3g}{prefix}"
    return str(count)


def _column(x: float, step: float, counts: Sequence[int], scale: float) -> Markup:
    y, drawn = float(HEIGHT - BOTTOM), []
    for part, count in enumerate(counts):
        y -= count * scale
        drawn.append(
            Markup('<rect class="p{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                part, coordinate(x + GAP / 2 * step), coordinate(y), coordinate((1 - GAP) * step),
                coordinate(count * scale),
            )
        )  # fmt: skip
    return Markup("").join(drawn)


def _write_sum(x: float, count: int, scale: float, *, upright: bool) -> Markup:
    top = HEIGHT - BOTTOM - count * scale
    if upright:
        text = '<text class="sum" transform="translate({} {}) rotate(-90)">{}</text>'
        return Markup(text).format(coordinate(x), coordinate(top - 4), short(count))
    return Markup('<text class="x sum" x="{}" y="{}">{}</text>').format(
        coordinate(x), coordinate(top - 9), short(count)
    )


def _x_axis(name: str, width: int) -> Markup:
    """Draw the line that the columns stand on, and what tells them apart below their names."""
    return Markup(
        '<line class="axis" x1="0" x2="{w}" y1="{y}" y2="{y}"/><text class="axis-name" x="{x}" y="{n}">{name}</text>'
    ).format(w=width, y=HEIGHT - BOTTOM, x=width / 2, n=HEIGHT - 9, name=name)


def _legend(parts: Mapping[str, Sequence[int]]) -> Markup:
    return Markup("").join(
        Markup('<rect class="p{}" x="{}" y="4" width="12" height="12" rx="3"/><text x="{}" y="11">{}</text>').format(
            part, 130 * part, 130 * part + 18, name
        )
        for part, name in enumerate(parts)
    )
