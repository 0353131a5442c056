"""Numbers: counts and measures as pages and messages write them."""

import math
from collections.abc import Callable

DASH = "–"  # noqa: RUF001 - what stands where nothing was measured
IRREGULAR = {"person": "people"}
MINUS = "−"  # noqa: RUF001


def is_known(value: float | None) -> bool:
    """Tell whether something was measured."""
    return value is not None and math.isfinite(value)


def share(part: float | None, whole: float | None) -> float:
    """Divide a part by the whole; NaN where either was not measured."""
    if part is None or whole is None or not is_known(part) or not is_known(whole) or whole == 0:
        return math.nan
    return part / whole


def pluralize(number: int, noun: str) -> str:
    """Write a number of things: ``1 person``, ``2 people``, ``1,200 photos``."""
    return f"{number:,} {noun if number == 1 else IRREGULAR.get(noun, noun + 's')}"


def precision(value: float) -> str:
    """Write an AP: ``0.451``."""
    return f"{value:.3f}"


def count(value: float) -> str:
    """Write a number of parameters: ``7.95 M``."""
    return _with_prefix(value, "")


def size(value: float) -> str:
    """Write a file's size in powers of ten: ``31.9 MB``."""
    return _with_prefix(value, "B")


def plain(value: float, unit: str = "") -> str:
    """Write three significant digits: ``12.3``."""
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{min(digits, 4)}f} {unit}".rstrip()


def milliseconds(value: float) -> str:
    """Write a latency: ``35.1 ms``."""
    return plain(value, "ms")


def percent(value: float) -> str:
    """Write a share: ``41 %``."""
    return f"{value * 100:.0f} %"


def _with_prefix(value: float, unit: str) -> str:
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return plain(value / factor, prefix + unit)
    return f"{value:.0f} {unit}".rstrip()


def format_measure(value: float | None, text: Callable[[float], str]) -> str:
    """Write a value as text; a dash where nothing was measured."""
    return text(float(value)) if value is not None and is_known(value) else DASH
