"""Shares: bars of the parts that make up a whole, one below the other."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from bodyposenet.common.pages.numbers import percent
from bodyposenet.common.pages.page import coordinate, svg

WIDTH, ROW, LEFT, RIGHT = 420, 26, 118, 54  # user units; left for names, right for figures


def share_chart(title: str, rows: Mapping[str, Sequence[float]], parts: Mapping[str, str]) -> Markup:
    """Draw a bar of equal length for each row, cut into its parts, with the first part's share beside it.

    Args:
        title: What is shown; spoken by screen readers together with the shares.
        rows: Name to the parts' sizes; a row of nothing has no bar.
        parts: Name of each part to its class of colour.

    Returns:
        An ``<svg>``.
    """
    wholes = {name: sum(sizes) for name, sizes in rows.items()}
    shares = {name: [size / wholes[name] if wholes[name] else 0.0 for size in sizes] for name, sizes in rows.items()}
    drawn = [_bar(name, row, list(parts.values()), 4 + ROW * place) for place, (name, row) in enumerate(shares.items())]
    said = "; ".join(
        f"{name} " + ", ".join(f"{part} {percent(share)}" for part, share in zip(parts, row, strict=True))
        for name, row in shares.items()
    )
    return svg("shares", f"{title}: {said}", (8 + ROW * len(rows), WIDTH), drawn)


def _bar(name: str, shares: Sequence[float], colours: Sequence[str], y: float) -> Markup:
    middle, x, drawn = y + ROW / 2, float(LEFT), []
    for share, colour in zip(shares, colours, strict=True):
        width = share * (WIDTH - LEFT - RIGHT)
        drawn.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                colour, coordinate(x), coordinate(y + 4), coordinate(width), ROW - 8
            )
        )
        x += width
    figure = percent(shares[0]) if sum(shares) else ""
    return Markup(
        '<text class="name" x="{nx}" y="{m}">{name}</text>{bars}<text class="figure" x="{fx}" y="{m}">{figure}</text>'
    ).format(
        nx=LEFT - 10, m=coordinate(middle), name=name, bars=Markup("").join(drawn), fx=WIDTH - RIGHT + 8, figure=figure
    )
