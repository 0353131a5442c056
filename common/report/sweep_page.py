"""Sweep page: what several cuts left of a network, compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from bodyposenet.common.pages.charts import LINE_BOTTOM, TICK_ROOM, Axis, Point, axis_names, grid
from bodyposenet.common.pages.numbers import DASH, format_measure, is_known, percent, precision, share
from bodyposenet.common.pages.page import coordinate, fit_widths, render, svg
from bodyposenet.common.report.comparison_table import COLUMNS, Cell, Stage, format_signed
from bodyposenet.common.report.pareto import ParetoChoice, on_front
from bodyposenet.common.storage.files import write_text

HEIGHT = 300
TOP, RIGHT, LEFT = 20, 20, 62
LETTER, LINE = 6.6, 14  # size of a label's letter, and of its line
DOT, RING = 5, 9  # radii
HEADINGS = ("AP", "AP lost", "Parameters", "GFLOPs", "File size", "On the front")
Box = tuple[float, float, float, float]  # left, top, right, bottom


@dataclass(frozen=True)
class Row:
    """A network's line in the table."""

    name: str
    cells: list[Cell]
    chosen: bool


def write_sweep_page(path: Path, base: Stage, stages: Sequence[Stage], choice: ParetoChoice) -> Path:
    """Write the page about a sweep: one file that a browser shows anywhere.

    Args:
        path: The page to write.
        base: The network that was cut.
        stages: What came of each cut.
        choice: Which of them to go on with.

    Returns:
        The path.
    """
    every = [base, *stages]
    best = on_front(every)
    page = render(
        "bodyposenet.common.report",
        "sweep.html",
        title="How far to prune",
        verdict=choice.reason,
        tiles=_tiles(base, stages, choice),
        chart=front_chart(base, stages, choice),
        headings=HEADINGS,
        rows=[
            _row(one, base, choice, front, number - 1)
            for number, (one, front) in enumerate(zip(every, best, strict=True))
        ],
        facts=[],
    )
    write_text(path, page)
    return path


def _tiles(base: Stage, stages: Sequence[Stage], choice: ParetoChoice) -> list[tuple[str, str, str]]:
    """List figure, name and explanation of what the page opens with."""
    if choice.place is None:
        return []
    one = stages[choice.place]
    tiles = [(format_measure(one.ap, precision), "AP", f"{one.name}; base {format_measure(base.ap, precision)}")]
    for column, of in zip(COLUMNS[1:4], ("parameters", "GFLOPs", "file size"), strict=True):
        ours, theirs = getattr(one, column.key), getattr(base, column.key)
        if is_known(share(ours, theirs)):
            tiles.append(
                (percent(share(ours, theirs)), f"of the {of}", f"{column.text(ours)} of {column.text(theirs)}")
            )
    return tiles


def _row(stage: Stage, base: Stage, choice: ParetoChoice, front: bool, place: int) -> Row:
    ap, *others = COLUMNS[:4]
    cells = [Cell(format_measure(stage.ap, ap.text)), _format_lost(stage, base, choice)]
    for column in others:
        value, kept = getattr(stage, column.key), share(getattr(stage, column.key), getattr(base, column.key))
        of_base = percent(kept) if stage is not base and is_known(kept) else ""
        cells.append(Cell(format_measure(value, column.text), of_base))
    return Row(stage.name, [*cells, Cell("yes" if front else "no")], stage is not base and place == choice.place)


def _format_lost(stage: Stage, base: Stage, choice: ParetoChoice) -> Cell:
    if stage is base or stage.ap is None or base.ap is None:
        return Cell(DASH)
    beyond = choice.least_ap is not None and stage.ap < choice.least_ap - 1e-9
    return Cell(format_signed(base.ap - stage.ap, precision).removeprefix("+"), tone="bad" if beyond else "")


def front_chart(base: Stage, stages: Sequence[Stage], choice: ParetoChoice) -> Markup:
    """Draw the networks as points over their GFLOPs, the front as a line, and the least AP that will do.

    Returns:
        The chart, for each width; nothing if nothing was measured.
    """
    if not any(_has_place(one) for one in (base, *stages)):
        return Markup("")
    return fit_widths(lambda width: _draw_front(base, stages, choice, width))


def _has_place(stage: Stage) -> bool:
    return is_known(stage.ap) and is_known(stage.gflops)


def _draw_front(base: Stage, stages: Sequence[Stage], choice: ParetoChoice, width: int) -> Markup:
    every = [base, *stages]
    drawn = [one for one in every if _has_place(one)]
    x, y = _axes(drawn, choice.least_ap, width)
    best = {id(one) for one, front in zip(every, on_front(every), strict=True) if front}
    at = {id(one): (x.at(float(one.gflops or 0)), y.at(float(one.ap or 0))) for one in drawn}
    chosen = None if choice.place is None else stages[choice.place]
    parts = [grid(x, y, x.ticks(width // TICK_ROOM)), axis_names(x, y, "GFLOPs", "AP")]
    parts += [_budget(x, y, choice.least_ap), _stairs([at[id(one)] for one in drawn if id(one) in best])]
    for one in drawn:
        kind = "base" if one is base else "best" if id(one) in best else "beaten"
        parts.append(_dot(at[id(one)], kind, ringed=one is chosen, said=_describe(one)))
    frame, free = (x.start, y.end, x.end, y.start), _budget_box(x, y, choice.least_ap)
    parts += _labels([(at[id(one)], one.name) for one in drawn], frame, free)
    return svg("front", "AP against GFLOPs: " + "; ".join(_describe(one) for one in drawn), (HEIGHT, width), parts)


def _describe(stage: Stage) -> str:
    return f"{stage.name}: AP {precision(float(stage.ap or 0))} at {float(stage.gflops or 0):.3g} GFLOPs"


def _axes(stages: Sequence[Stage], least_ap: float | None, width: int) -> tuple[Axis, Axis]:
    """Make the axes: GFLOPs from zero, and AP around what is shown."""
    aps = [float(one.ap or 0) for one in stages] + ([] if least_ap is None else [max(0.0, least_ap)])
    slack = 0.2 * max(max(aps) - min(aps), 0.02)
    across = Axis(0.0, 1.1 * max(float(one.gflops or 0) for one in stages) or 1.0, LEFT, width - RIGHT)
    return across, Axis(max(0.0, min(aps) - slack), max(aps) + slack, HEIGHT - LINE_BOTTOM, TOP)


def _budget(x: Axis, y: Axis, least_ap: float | None) -> Markup:
    """Draw a dashed line at the least AP that will do, with its name below."""
    if least_ap is None or least_ap < y.low:
        return Markup("")
    return Markup(
        '<line class="mark" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/><text class="marked" x="{n}" y="{t}">{text}</text>'
    ).format(
        a=coordinate(x.start), b=coordinate(x.end), y=coordinate(y.at(least_ap)), t=coordinate(y.at(least_ap) + 9),
        n=coordinate(x.start + 4),
        text=f"budget: AP {precision(least_ap)}",
    )  # fmt: skip


def _budget_box(x: Axis, y: Axis, least_ap: float | None) -> list[Box]:
    """Return the room that the budget's line takes, and its name at the line's beginning."""
    if least_ap is None or least_ap < y.low:
        return []
    line = y.at(least_ap)
    return [(x.start, line - 1, x.end, line + 1), (x.start, line, x.start + 17 * LETTER, line + LINE)]


def _stairs(points: Sequence[Point]) -> Markup:
    """Draw the best AP for at most so many GFLOPs: level until the next network, then up."""
    (x, y), *others = sorted(points)
    path = f"M{coordinate(x)},{coordinate(y)}" + "".join(f" H{coordinate(a)} V{coordinate(b)}" for a, b in others)
    return Markup('<path class="front-line" d="{}"/>').format(path)


def _dot(point: Point, kind: str, *, ringed: bool, said: str) -> Markup:
    x, y = map(coordinate, point)
    ring = Markup('<circle class="ring" cx="{}" cy="{}" r="{}"/>').format(x, y, RING) if ringed else Markup("")
    dot = Markup('<circle class="dot {}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>')
    return ring + dot.format(kind, x, y, DOT, said)


def _labels(points: Sequence[tuple[Point, str]], frame: Box, lines: Sequence[Box]) -> list[Markup]:
    """Write each point's name beside it, where it covers no other name, point or line, if there is room."""
    taken: list[Box] = [*((x - RING, y - RING, x + RING, y + RING) for (x, y), _ in points), *lines]
    labels = []
    for place, ((x, y), name) in enumerate(points):
        others = taken[:place] + taken[place + 1 :]
        boxes = _around(x, y, LETTER * len(name))
        box = next(
            (box for box in boxes if _within(box, frame) and not any(_meet(box, one) for one in others)), boxes[0]
        )
        taken.append(box)
        labels.append(
            Markup('<text class="label" x="{}" y="{}">{}</text>').format(
                coordinate(box[0]), coordinate((box[1] + box[3]) / 2), name
            )
        )
    return labels


def _around(x: float, y: float, width: float) -> list[Box]:
    """List where a label may stand: above, below, right, left, and further above and below."""
    near, far = RING + 2, RING + LINE + 2
    middle = x - width / 2
    return [
        (middle, y - near - LINE, middle + width, y - near),
        (middle, y + near, middle + width, y + near + LINE),
        (x + near, y - LINE / 2, x + near + width, y + LINE / 2),
        (x - near - width, y - LINE / 2, x - near, y + LINE / 2),
        (middle, y - far - LINE, middle + width, y - far),
        (middle, y + far, middle + width, y + far + LINE),
    ]


def _within(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] + RIGHT and box[3] <= frame[3]


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
