"""Run report: one page that shows what pruning and quantization made of a network, with nothing outside it."""

import base64
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from bodyposenet.common.pages import charts
from bodyposenet.common.pages.numbers import DASH, format_measure, is_known, percent, precision, share
from bodyposenet.common.pages.page import render
from bodyposenet.common.report.channels import channels_chart
from bodyposenet.common.report.comparison_table import (
    COLUMNS,
    HEADINGS,
    Stage,
    final_float,
    rows,
    stage_named,
    verdict,
    write_table,
)
from bodyposenet.common.storage.files import write_text

__all__ = ["Stage", "write_report", "write_table"]

FACTS = '<h2 id="facts">'  # where a page's last part begins
WIDEST = 720  # pixels of an embedded picture
QUALITY = 85  # of its JPEG
MOST_BYTES = 1_500_000  # of all pictures of a page; Kubeflow shows pages of 2 MB
MOST_CURVES = 6
FIRST_CURVES = ("loss", "val_loss", "val_ap", "learning_rate")


@dataclass(frozen=True)
class Picture:
    """A picture as the page holds it: its JPEG in base64, and its size in pixels."""

    caption: str
    jpeg: str
    height: int
    width: int


PEOPLE = ("People found", "Photos with the joints and limbs the network placed.")


def write_report(
    path: Path,
    *,
    title: str,
    ceiling_ap: float | None,
    stages: Sequence[Stage],
    curves: Mapping[str, Sequence[Mapping[str, Any]]],
    pictures: Sequence[tuple[str, np.ndarray]],
    facts: Mapping[str, Any],
    channels: Mapping[str, tuple[int, int]] | None = None,
    said: str = "",
    gallery: tuple[str, str] = PEOPLE,
) -> Path:
    """Write the report: one file that a browser shows anywhere, offline and without JavaScript.

    Args:
        path: The page to write.
        title: Its heading.
        ceiling_ap: AP of perfect maps with the same decoder on the same set; None if unknown.
        stages: What was measured; the first is the base that the others are compared with.
        curves: A history, one dict an epoch, by the name of its training; equal keys share a chart.
        pictures: Caption and RGB uint8 ``(H, W, 3)``.
        facts: What else to know: data, specs, versions.
        channels: For each layer how many filters stayed, and of how many.
        said: The sentence below the heading; by default what the stages come to.
        gallery: Heading of the pictures, and what they show.

    Returns:
        The path.
    """
    page = render(
        "bodyposenet.common.report",
        "report.html",
        title=title,
        verdict=said or verdict(stages, ceiling_ap),
        gallery=gallery,
        tiles=tiles(stages, ceiling_ap),
        headings=HEADINGS,
        rows=rows(stages, ceiling_ap) if stages else [],
        ceiling=format_measure(ceiling_ap, precision),
        bars=_bars(stages, ceiling_ap),
        channels=channels_chart(channels or {}),
        lines=_lines(curves),
        single=_single(curves),
        pictures=_fitting([embed(caption, image) for caption, image in pictures]),
        facts=[(name, fact_text(value)) for name, value in facts.items()],
    )
    write_text(path, page)
    return path


def add_pictures(page: str, heading: str, hint: str, pictures: Sequence[tuple[str, np.ndarray]]) -> str:
    """Add a section of pictures to a report that is written, before what it was made from.

    Args:
        page: What :func:`write_report` wrote.
        heading: Of the section.
        hint: What the pictures show.
        pictures: Caption and RGB uint8 ``(H, W, 3)``.
    """
    figure = Markup(
        '<figure class="card" style="padding: 0"><img src="data:image/jpeg;base64,{0.jpeg}" width="{0.width}" '
        'height="{0.height}" alt="{0.caption}"><figcaption>{0.caption}</figcaption></figure>'
    )
    drawn = Markup("").join(figure.format(embed(caption, image)) for caption, image in pictures)
    section = Markup('<h2>{}</h2>\n<p class="hint">{}</p>\n<div class="pictures">{}</div>\n')
    before, mark, after = page.partition("</main>" if FACTS not in page else FACTS)
    return before + str(section.format(heading, hint, drawn)) + mark + after


def tiles(stages: Sequence[Stage], ceiling_ap: float | None) -> list[tuple[str, str, str]]:
    """List figure, name and explanation of what the page opens with."""
    if not stages:
        return []
    base, small = stages[0], final_float(stages)
    fast = stage_named(stages, "int8") or small
    compared = f"; base {format_measure(base.ap, precision)}" if small is not base else ""
    figures = [
        (
            format_measure(small.ap, precision),
            "AP",
            f"{small.name}{compared}; ceiling {format_measure(ceiling_ap, precision)}",
        )
    ]
    if small is not base:
        figures.append(
            (
                format_measure(share(small.params, base.params), percent),
                "of the parameters",
                f"{small.name} against base",
            )
        )
    if fast is not base:
        figures.append(
            (format_measure(share(fast.bytes, base.bytes), percent), "of the file size", f"{fast.name} against base")
        )
        figures.append(
            (
                format_measure(share(base.latency_ms, fast.latency_ms), "{:.1f}×".format),  # noqa: RUF001
                "CPU speed",
                f"{fast.name} against base",
            )
        )
    return [figure for figure in figures if figure[0] != DASH]


def _bars(stages: Sequence[Stage], ceiling_ap: float | None) -> list[tuple[str, Markup]]:
    """Draw, under its heading, a bar chart of every measure that was taken of any stage."""
    measures = {column: {stage.name: getattr(stage, column.key) for stage in stages} for column in COLUMNS}
    return [
        (
            column.heading,
            charts.bar_chart(
                column.heading, bars, column.text, mark=ceiling_ap if column.key == "ap" else None, mark_name="ceiling"
            ),
        )
        for column, bars in measures.items()
        if any(is_known(value) for value in bars.values())
    ]


def _lines(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[tuple[str, Markup]]:
    """Draw, under its heading, a line chart of every number in the histories that has two values in one of them."""
    drawn = [(key.replace("_", " "), _series(curves, key)) for key in _list_keys(curves)]
    made = [
        (name, charts.line_chart(name, series, x_name="epoch", y_name=name)) for name, series in drawn if _bends(series)
    ]
    return [(name, chart) for name, chart in made if chart]


def _single(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[tuple[str, str]]:
    """Tell the numbers that no history has twice: of each its name, and the value of each training."""
    told = [(key.replace("_", " "), _series(curves, key)) for key in _list_keys(curves)]
    return [
        (name, "; ".join(f"{run} {points[0][1]:.3g}" for run, points in series.items() if points))
        for name, series in told
        if not _bends(series)
    ]


def _list_keys(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """List what the histories have numbers of, what is looked at first before the rest, and not too many."""
    rows = itertools.chain.from_iterable(curves.values())
    numbers = dict.fromkeys(key for row in rows for key, value in row.items() if is_number(value) and key != "epoch")
    first = {key: place for place, key in enumerate(FIRST_CURVES)}
    return sorted(numbers, key=lambda key: first.get(key, len(first)))[:MOST_CURVES]


def _series(curves: Mapping[str, Sequence[Mapping[str, Any]]], key: str) -> dict[str, list[charts.Point]]:
    return {run: _points(rows, key) for run, rows in curves.items()}


def _bends(series: Mapping[str, Sequence[charts.Point]]) -> bool:
    """Tell whether one of the series has more than one point: a single one is a number, and no curve."""
    return any(len(points) > 1 for points in series.values())


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> list[charts.Point]:
    """Return epoch and value of the epochs with one; the epoch is the row's own or else its place, from 1."""
    return [
        (float(row.get("epoch", place)), float(row[key]))
        for place, row in enumerate(rows, 1)
        if is_number(row.get(key))
    ]


def is_number(value: Any) -> bool:
    """Tell whether a value is a number (true and false are none)."""
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _fitting(pictures: Sequence[Picture]) -> list[Picture]:
    """Take the first pictures, as many as leave the page within Kubeflow's 2 MB."""
    sizes = itertools.accumulate(len(picture.jpeg) for picture in pictures)
    return [picture for picture, size in zip(pictures, sizes, strict=True) if size <= MOST_BYTES]


def embed(caption: str, image: np.ndarray) -> Picture:
    """Make a picture no larger than the page needs, as a JPEG in base64."""
    import cv2

    height, width = image.shape[:2]
    scale = min(1, WIDEST / max(height, width))
    if scale < 1:
        height, width = max(1, round(height * scale)), max(1, round(width * scale))
        image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    return Picture(caption, base64.b64encode(jpeg.tobytes()).decode(), height, width)


def fact_text(value: Any) -> str:
    """Write a fact as text; a dash for what is unknown."""
    if value is None or value == "" or (isinstance(value, float) and not is_known(value)):
        return DASH
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(fact_text(item) for item in value) or DASH
    return str(value)
