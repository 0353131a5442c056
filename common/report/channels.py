"""Channels: a network's filters before and after pruning, layer by layer, as a picture."""

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from bodyposenet.common.pages.page import coordinate, svg

WIDTH, ROW = 460, 17  # user units
LEFT, RIGHT = 170, 84  # room for names, and for figures
THICK = 9
LONGEST_NAME = 26  # characters that have room; the middle of a longer one is left out


def channels_svg(layers: Mapping[str, tuple[int, int]]) -> Markup:
    """Draw a bar for each layer: pale for the filters that it had, strong for those that stayed.

    Args:
        layers: For each layer how many filters stayed, and of how many, in the network's order.

    Returns:
        An ``<svg>`` in the colours of the page; nothing where there are no layers.
    """
    if not layers:
        return Markup("")
    room = WIDTH - LEFT - RIGHT
    unit = room / max(of for _, of in layers.values())
    drawn = [_row(name, kept, of, unit, 4 + ROW * row) for row, (name, (kept, of)) in enumerate(layers.items())]
    kept, of = (sum(counts) for counts in zip(*layers.values(), strict=True))
    said = f"Filters of {len(layers)} layers, before and after pruning: {kept:,} of {of:,} stayed"
    return svg("channels", said, (8 + ROW * len(layers), WIDTH), drawn)


def _row(name: str, kept: int, of: int, unit: float, y: float) -> Markup:
    half = (LONGEST_NAME - 1) // 2
    fitting = name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"
    return Markup(
        '<g><title>{said}</title><text class="name" x="{nx}" y="{m}">{name}</text>'
        '<rect class="gone" x="{x}" y="{y}" width="{w}" height="{h}" rx="2"/>'
        '<rect class="stayed" x="{x}" y="{y}" width="{k}" height="{h}" rx="2"/>'
        '<text class="figure" x="{fx}" y="{m}">{figure}</text></g>'
    ).format(
        said=f"{name}: {kept} of {of}", name=fitting, nx=LEFT - 8, x=LEFT, y=coordinate(y + (ROW - THICK) / 2),
        m=coordinate(y + ROW / 2), w=coordinate(of * unit), k=coordinate(kept * unit), h=THICK,
        fx=coordinate(LEFT + of * unit + 6), figure=str(of) if kept == of else f"{kept} of {of}",
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
