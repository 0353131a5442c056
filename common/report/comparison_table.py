"""Comparison table: base, pruned, retrained and INT8 network side by side, as cells of a table and as one sentence."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bodyposenet.common.pages.numbers import (
    MINUS,
    count,
    format_measure,
    is_known,
    milliseconds,
    percent,
    plain,
    precision,
    share,
    size,
)


@dataclass(frozen=True)
class Stage:
    """What was measured of one network; None or NaN where it was not.

    Attributes:
        name: ``base``, ``pruned``, ``retrained``, ``int8`` or another.
        ap: Average precision, in [0, 1].
        params: Weights, how many.
        gflops: Billions of floating point operations for one image.
        bytes: Size of its file.
        latency_ms: Median milliseconds for one image on the CPU.
    """

    name: str
    ap: float | None = None
    params: float | None = None
    gflops: float | None = None
    bytes: float | None = None
    latency_ms: float | None = None


@dataclass(frozen=True)
class Cell:
    """One cell: its text, its difference from the base, and whether that is ``good``, ``bad`` or neither."""

    text: str
    change: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """One measure: the stage's attribute, its heading, how it is written, and whether more of it is better."""

    key: str
    heading: str
    text: Callable[[float], str]
    more_is_better: bool = False


COLUMNS = (
    Column("ap", "AP", precision, more_is_better=True),
    Column("params", "Parameters", count),
    Column("gflops", "GFLOPs", plain),
    Column("bytes", "File size", size),
    Column("latency_ms", "CPU latency", milliseconds),
)
HEADINGS = (COLUMNS[0].heading, "Of the ceiling", *(column.heading for column in COLUMNS[1:]))


def rows(stages: Sequence[Stage], ceiling_ap: float | None) -> list[tuple[str, list[Cell]]]:
    """Name and cells of every stage, in the order of ``HEADINGS``; differences are from the first stage.

    Args:
        stages: The first is the base.
        ceiling_ap: AP that perfect maps would have with the same decoder.
    """
    table = []
    for stage in stages:
        first, *others = (
            cell(column, getattr(stage, column.key), getattr(stages[0], column.key), stage is stages[0])
            for column in COLUMNS
        )
        of_ceiling = Cell(format_measure(share(stage.ap, ceiling_ap), percent))
        table.append((stage.name, [first, of_ceiling, *others]))
    return table


def cell(column: Column, value: float | None, base: float | None, is_base: bool) -> Cell:
    """Write one measure of a network, and its difference from the base's."""
    if is_base or not is_known(value) or not is_known(base):
        return Cell(format_measure(value, column.text))
    difference = float(value or 0) - float(base or 0)
    relative = share(difference, base)
    if column.key == "ap":
        change = format_signed(difference, precision)
    else:
        change = format_signed(relative, percent) if is_known(relative) else ""
    if not any(digit in change for digit in "123456789"):
        return Cell(column.text(float(value or 0)), change)
    return Cell(column.text(float(value or 0)), change, "good" if (difference > 0) == column.more_is_better else "bad")


def format_signed(value: float, text: Callable[[float], str]) -> str:
    """Write a difference with its sign; what is written as zero has none but ±."""
    written = text(abs(value))
    sign = "+" if value > 0 else MINUS
    return (sign if any(digit in written for digit in "123456789") else "±") + written


def verdict(stages: Sequence[Stage], ceiling_ap: float | None) -> str:
    """Say what pruning and quantization made of the base, in one sentence."""
    parts = [part for part in _parts(stages, ceiling_ap) if part] if stages else []
    sentence = "; ".join(parts)
    return sentence[:1].upper() + sentence[1:] + "." if sentence else "Nothing was measured."


def _parts(stages: Sequence[Stage], ceiling_ap: float | None) -> list[str]:
    base, small, int8 = stages[0], final_float(stages), stage_named(stages, "int8")
    kept = share(small.params, base.params)
    parts = [f"pruned to {percent(kept)} of the parameters" if is_known(kept) and small is not base else ""]
    if is_known(base.ap) and is_known(small.ap):
        of_ceiling = share(small.ap, ceiling_ap)
        moved = (
            f"AP {format_measure(base.ap, precision)} → {format_measure(small.ap, precision)}"
            if small is not base
            else ""
        )
        parts.append(
            (moved or f"AP {format_measure(base.ap, precision)}")
            + (f" ({percent(of_ceiling)} of the ceiling)" if is_known(of_ceiling) else "")
        )
    speed = share(base.latency_ms, int8.latency_ms) if int8 else math.nan
    if int8 and is_known(speed):
        at = f" at AP {format_measure(int8.ap, precision)}" if is_known(int8.ap) else ""
        parts.append(f"INT8 runs {speed:.1f}× as fast as the base{at}")  # noqa: RUF001
    return parts


def stage_named(stages: Sequence[Stage], word: str) -> Stage | None:
    """Find the last stage with a word in its name."""
    return next((stage for stage in reversed(stages) if word in stage.name.lower()), None)


def final_float(stages: Sequence[Stage]) -> Stage:
    """Find the last network that is not quantized: the retrained one where there is one."""
    unquantized = [stage for stage in stages if "int8" not in stage.name.lower()] or list(stages)
    return stage_named(unquantized, "retrain") or unquantized[-1]


def write_table(stages: Sequence[Stage], ceiling_ap: float | None = None) -> str:
    """Write the stages as a table for a terminal, differences from the base in brackets.

    Args:
        stages: The first is the base.
        ceiling_ap: AP that perfect maps would have; without it that column is all dashes.

    Returns:
        Lines, without a newline at the end.
    """
    body = [
        [name, *(f"{cell.text} ({cell.change})" if cell.change else cell.text for cell in cells)]
        for name, cells in rows(stages, ceiling_ap)
    ]
    table = [["", *HEADINGS], *body]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(_line(row, widths) for row in table)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = [
        text.ljust(width) if place == 0 else text.rjust(width)
        for place, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join([first, *others]).rstrip()
