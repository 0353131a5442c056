"""Charts: small SVG pictures of numbers, drawn in the page's own colours."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bodyposenet.common.pages.numbers import DASH, format_measure, is_known
from bodyposenet.common.pages.page import coordinate, fit_widths, svg

Point = tuple[float, float]

BAR_ROW, BAR_LEFT, BAR_RIGHT = 34, 88, 76  # user units; left for names, right for figures
LINE_HEIGHT = 174  # of what lies between the axes
LINE_TOP, LINE_RIGHT, LINE_BOTTOM, LINE_LEFT = 34, 14, 42, 74  # margins for a row of legend, nothing, axis, axis
LEGEND_ROW, LEGEND_KEY, LEGEND_GAP, LEGEND_LETTER = 18, 25, 20, 7  # a row's height, and widths of what is in it
TICK_ROOM = 70  # user units of the chart's width for each value along x
TICK_SLACK = 0.75  # a step may be this much smaller than asked for, or ticks get sparse just above a round step
LOG_RATIO = 30  # an axis is logarithmic where its largest value is more than this times its smallest


def bar_chart(title: str, bars: Mapping[str, float | None], text: Callable[[float], str], *, mark: float | None = None,
              mark_name: str = "") -> Markup:  # fmt: skip
    """Draw horizontal bars from zero, with their figures.

    Args:
        title: What is shown; spoken by screen readers together with the figures.
        bars: Name to value; None or NaN has no bar but a dash.
        text: Writes a value.
        mark: A value to draw a dashed line at.
        mark_name: What the line is.

    Returns:
        The chart, for each width.
    """
    return fit_widths(lambda width: _draw_bars(title, bars, text, (mark, mark_name), width))


def _draw_bars(title: str, bars: Mapping[str, float | None], text: Callable[[float], str],
               marked: tuple[float | None, str], width: int) -> Markup:  # fmt: skip
    mark, mark_name = marked
    top = 18 if mark is not None and is_known(mark) else 4
    height = top + BAR_ROW * len(bars) + 4
    lengths = bar_lengths([*bars.values(), mark], width)
    drawn = [
        _bar(name, format_measure(value, text), length, top + BAR_ROW * row, row)
        for row, ((name, value), length) in enumerate(zip(bars.items(), lengths, strict=False))
    ]
    if mark is not None and is_known(mark):
        drawn.insert(0, _bar_mark(BAR_LEFT + lengths[-1], height, f"{mark_name} {text(mark)}".strip()))
    said = ", ".join(f"{name} {format_measure(value, text)}" for name, value in bars.items())
    return svg("bars", f"{title}: {said}", (height, width), drawn)


def bar_lengths(values: Sequence[float | None], width: int) -> list[float]:
    """Return lengths in a chart of this width: the largest value fills the room, what was not measured has length 0."""
    largest = max((float(value or 0) for value in values if is_known(value)), default=0.0)
    room = width - BAR_LEFT - BAR_RIGHT
    return [
        room * max(0.0, float(value or 0) / largest) if is_known(value) and largest > 0 else 0.0 for value in values
    ]


def _bar(name: str, figure: str, length: float, y: float, row: int) -> Markup:
    middle = y + BAR_ROW / 2
    return Markup(
        '<text class="name" x="{nx}" y="{m}">{name}</text>'
        '<rect class="s{row}" x="{x}" y="{y}" width="{w}" height="{h}" rx="3"/>'
        '<text class="figure" x="{fx}" y="{m}">{figure}</text>'
    ).format(
        nx=BAR_LEFT - 10, m=coordinate(middle), name=name, row=row % 4, x=BAR_LEFT, y=coordinate(y + 6),
        w=coordinate(length), h=BAR_ROW - 12, fx=coordinate(BAR_LEFT + length + 8), figure=figure,
    )  # fmt: skip


def _bar_mark(x: float, height: float, text: str) -> Markup:
    return Markup(
        '<line class="mark" x1="{x}" x2="{x}" y1="16" y2="{h}"/><text class="marked" x="{x}" y="10">{text}</text>'
    ).format(x=coordinate(x), h=coordinate(height), text=text)


@dataclass(frozen=True)
class Axis:
    """One axis: which values it spans, where they lie, and what is written along it.

    Attributes:
        low: Value at ``start``.
        high: Value at ``end``.
        start: User units.
        end: User units.
        log: Whether equal distances are equal ratios.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Tell where a value lies, in user units."""
        low, high, here = (
            (math.log10(v) for v in (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        )
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Round values on the axis."""
        return log_ticks(self.low, self.high) if self.log else ticks(self.low, self.high, wanted)


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """List multiples of 1, 2 or 5 times a power of ten from low to high, about as many as wanted."""
    rough = (high - low) / max(1, wanted)
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * TICK_SLACK)
    first = math.ceil(low / step - 1e-9)
    return [round(index * step, 12) for index in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """List powers of ten from low to high, thinned out above six decades; 2 and 5 times them too below two."""
    decades = math.log10(high / low)
    factors = (1, 2, 5) if decades < 2 else (1,)
    every = max(1, round(decades / 6))
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found = [factor * 10.0**exponent for exponent in exponents if exponent % every == 0 for factor in factors]
    return [float(f"{tick:.6g}") for tick in found if low * (1 - 1e-9) <= tick <= high * (1 + 1e-9)]


def value_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Make a vertical axis for values: from zero, logarithmic where they span decades, or around them if negative."""
    low, high = min(values), max(values)
    if low > 0 and high / low > LOG_RATIO:
        return Axis(low / 1.1, high * 1.1, start, end, log=True)
    low, high = min(0.0, low), max(0.0, high) * 1.05
    return Axis(low, high if high > low else low + 1, start, end)


def epoch_axis(values: Sequence[float], start: float, end: float) -> Axis:
    """Make a horizontal axis from the first to the last epoch; a single one stands in the middle."""
    low, high = min(values), max(values)
    return Axis(low, high, start, end) if high > low else Axis(low - 0.5, high + 0.5, start, end)


def line_chart(
    title: str, series: Mapping[str, Sequence[Point]], *, x_name: str, y_name: str, whole: bool = True
) -> Markup:
    """Draw lines over a common pair of axes.

    Args:
        title: What is shown.
        series: Name to x, y; a line is broken where y is not a finite number.
        x_name: What x is, with its unit.
        y_name: What y is, with its unit.
        whole: Write whole numbers along x alone, as epochs are.

    Returns:
        The chart, for each width; nothing if there is nothing to draw.
    """
    finite = {name: [point for point in points if is_known(point[1])] for name, points in series.items()}
    if not any(finite.values()):
        return Markup("")
    ends = "; ".join(f"{name} from {_end(points, 0)} to {_end(points, -1)}" for name, points in finite.items())
    said = f"{title}, {y_name} over {x_name}: {ends}"
    return fit_widths(lambda width: _draw_lines(said, series, (x_name, y_name), whole, width))


def _draw_lines(
    said: str, series: Mapping[str, Sequence[Point]], names: tuple[str, str], whole: bool, width: int
) -> Markup:
    every = [point for points in series.values() for point in points if is_known(point[1])]
    legend = _place_legend(list(series), width)
    top = LINE_TOP + legend[-1][1]
    x = epoch_axis([point[0] for point in every], LINE_LEFT, width - LINE_RIGHT)
    y = value_axis([point[1] for point in every], top + LINE_HEIGHT, top)
    along = [tick for tick in x.ticks(width // TICK_ROOM) if not whole or tick == int(tick)]
    drawn = [grid(x, y, along), axis_names(x, y, names[0], names[1] + (" (log scale)" if y.log else ""))]
    for place, (name, points) in enumerate(series.items()):
        drawn += [_line(points, x, y, place), _legend(name, place, legend[place])]
    return svg("lines", said, (top + LINE_HEIGHT + LINE_BOTTOM, width), drawn)


def _end(points: Sequence[Point], place: int) -> str:
    return tick_text(points[place][1]) if points else DASH


def grid(x: Axis, y: Axis, x_ticks: Sequence[float]) -> Markup:
    """Draw lines across at round values of y, and ticks along x."""
    across = Markup("").join(
        Markup(
            '<line class="grid" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/><text class="y" x="{t}" y="{y}">{text}</text>'
        ).format(
            a=coordinate(x.start),
            b=coordinate(x.end),
            y=coordinate(y.at(tick)),
            t=coordinate(x.start - 8),
            text=tick_text(tick),
        )
        for tick in y.ticks()
    )
    below = Markup("").join(
        Markup(
            '<line class="tick" x1="{x}" x2="{x}" y1="{y}" y2="{z}"/><text class="x" x="{x}" y="{t}">{text}</text>'
        ).format(
            x=coordinate(x.at(tick)),
            y=coordinate(y.start),
            z=coordinate(y.start + 5),
            t=coordinate(y.start + 18),
            text=tick_text(tick),
        )
        for tick in x_ticks
    )
    return (
        across
        + below
        + Markup('<line class="axis" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(
            coordinate(x.start), coordinate(x.end), coordinate(y.start), coordinate(y.start)
        )
    )


def axis_names(x: Axis, y: Axis, x_name: str, y_name: str) -> Markup:
    """Write what the axes are, along them."""
    return Markup(
        '<text class="axis-name x" x="{x}" y="{y}">{x_name}</text>'
        '<text class="axis-name" transform="translate(12 {m}) rotate(-90)">{y_name}</text>'
    ).format(
        x=coordinate((x.start + x.end) / 2), y=coordinate(y.start + LINE_BOTTOM - 8), x_name=x_name, y_name=y_name,
        m=coordinate((y.start + y.end) / 2),
    )  # fmt: skip


def _line(points: Sequence[Point], x: Axis, y: Axis, place: int) -> Markup:
    parts = [[(x.at(a), y.at(b)) for a, b in part] for part in unbroken(points)]
    path = " ".join("M" + " L".join(f"{coordinate(a)},{coordinate(b)}" for a, b in part) for part in parts)
    alone = [part[0] for part in parts if len(part) == 1]
    dots = Markup("").join(
        Markup('<circle class="s{}" cx="{}" cy="{}" r="3.5"/>').format(place % 4, coordinate(a), coordinate(b))
        for a, b in alone
    )
    return Markup('<path class="s{}" d="{}"/>').format(place % 4, path) + dots


def unbroken(points: Sequence[Point]) -> list[list[Point]]:
    """List the stretches of points between those whose y is no finite number."""
    parts: list[list[Point]] = [[]]
    for point in points:
        if is_known(point[1]):
            parts[-1].append(point)
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if part]


def _place_legend(names: Sequence[str], width: int) -> list[Point]:
    """Place names beside each other, and where they leave the chart below: x and y of each, y from 0."""
    places: list[Point] = []
    x, y = LINE_LEFT, 0
    for name in names:
        room = LEGEND_KEY + LEGEND_LETTER * len(name)
        if x > LINE_LEFT and x + room > width:
            x, y = LINE_LEFT, y + LEGEND_ROW
        places.append((x, y))
        x += room + LEGEND_GAP
    return places


def _legend(name: str, place: int, at: Point) -> Markup:
    x, y = at
    return Markup(
        '<rect class="s{}" x="{}" y="{}" width="18" height="5" rx="2"/><text class="legend" x="{}" y="{}">{}</text>'
    ).format(place % 4, x, y + 9, x + LEGEND_KEY, y + 12, name)


def tick_text(value: float) -> str:
    """Write a number along an axis: ``0.05``, ``1500``, ``2e-05``."""
    return f"{value:.0e}" if value and not 1e-3 <= abs(value) < 1e5 else f"{value:.4g}"
