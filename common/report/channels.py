"""Channels: a network's filters before and after pruning, layer by layer, as a picture."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from bodyposenet.common.pages.page import NARROW, coordinate, fit_widths, svg

ROW, LEFT, RIGHT = 17, 170, 84  # user units: of a bar, of the names beside them, and of figures
ABOVE, BELOW = 36, 14  # of a bar with its name above it, and from there to the bar, nearer to it than the next one
THICK = 9
LONGEST_NAME, LONGEST_ABOVE = 26, 46  # characters that have room; the middle of a longer one is left out


def channels_chart(layers: Mapping[str, tuple[int, int]]) -> Markup:
    """Draw a bar for each layer: pale for the filters that it had, strong for those that stayed.

    Args:
        layers: For each layer how many filters stayed, and of how many, in the network's order.

    Returns:
        The chart, for each width, in the colours of the page; nothing where there are no layers.
    """
    return fit_widths(lambda width: _draw(layers, width)) if layers else Markup("")


def _draw(layers: Mapping[str, tuple[int, int]], width: int) -> Markup:
    """Draw names beside their bars, or above them where a chart is narrow."""
    above = width <= NARROW
    left, step, down = (0, ABOVE, BELOW) if above else (LEFT, ROW, 0)
    unit = (width - left - RIGHT) / max(of for _, of in layers.values())
    drawn = []
    for row, (name, (kept, of)) in enumerate(layers.items()):
        y = 4 + step * row
        said = f"{name}: {kept} of {of}"
        drawn.append(Markup("<g><title>{}</title>{}{}</g>").format(
            said, _write_name(name, y, above=above), _bar(kept, of, unit, (left, y + down))
        ))  # fmt: skip
    kept, of = (sum(counts) for counts in zip(*layers.values(), strict=True))
    said = f"Filters of {len(layers)} layers, before and after pruning: {kept:,} of {of:,} stayed"
    return svg("channels", said, (8 + step * len(layers), width), drawn)


def _write_name(name: str, y: float, *, above: bool) -> Markup:
    longest, x = (LONGEST_ABOVE, 0) if above else (LONGEST_NAME, LEFT - 8)
    half = (longest - 1) // 2
    fitting = name if len(name) <= longest else f"{name[:half]}…{name[-half:]}"
    kind, middle = "above" if above else "name", coordinate(y + ROW / 2)
    return Markup('<text class="{}" x="{}" y="{}">{}</text>').format(kind, x, middle, fitting)


def _bar(kept: int, of: int, unit: float, corner: tuple[float, float]) -> Markup:
    x, y = corner
    return Markup(
        '<rect class="gone" x="{x}" y="{y}" width="{w}" height="{h}" rx="2"/>'
        '<rect class="stayed" x="{x}" y="{y}" width="{k}" height="{h}" rx="2"/>'
        '<text class="figure" x="{fx}" y="{m}">{figure}</text>'
    ).format(
        x=x, y=coordinate(y + (ROW - THICK) / 2), m=coordinate(y + ROW / 2), w=coordinate(of * unit),
        k=coordinate(kept * unit), h=THICK, fx=coordinate(x + of * unit + 6),
        figure=str(of) if kept == of else f"{kept} of {of}",
    )  # fmt: skip


def widths(model: Any) -> dict[str, int]:
    """Count the filters of each convolution and dense layer, in the network's order; nested models' beneath them.

    Args:
        model: A ``keras.Model``.
    """
    found: dict[str, int] = {}
    for layer in model.layers:
        if hasattr(layer, "layers"):
            found |= {f"{layer.name}/{name}": width for name, width in widths(layer).items()}
        width = getattr(layer, "filters", None) or getattr(layer, "units", None)
        if width and hasattr(layer, "kernel"):
            found[layer.name] = int(width)
    return found
