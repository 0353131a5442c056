"""Shares: bars of the parts that make up a whole, one below the other."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from bodyposenet.common.pages.numbers import percent
from bodyposenet.common.pages.page import coordinate, fit_widths, svg

ROW, LEFT, RIGHT = 26, 118, 54  # user units; left for names, right for figures


def share_chart(title: str, rows: Mapping[str, Sequence[float]], parts: Mapping[str, str]) -> Markup:
    """Draw a bar of equal length for each row, cut into its parts, with the first part's share beside it.

    Args:
        title: What is shown; spoken by screen readers together with the shares.
        rows: Name to the parts' sizes; a row of nothing has no bar.
        parts: Name of each part to its class of colour.

    Returns:
        The chart, for each width.
    """
    wholes = {name: sum(sizes) for name, sizes in rows.items()}
    shares = {name: [size / wholes[name] if wholes[name] else 0.0 for size in sizes] for name, sizes in rows.items()}
    said = "; ".join(
        f"{name} " + ", ".join(f"{part} {percent(share)}" for part, share in zip(parts, row, strict=True))
        for name, row in shares.items()
    )
    colours = list(parts.values())
    return fit_widths(lambda width: _draw_shares(f"{title}: {said}", shares, colours, width))


def _draw_shares(said: str, rows: Mapping[str, Sequence[float]], colours: Sequence[str], width: int) -> Markup:
    drawn = [_bar(name, row, colours, 4 + ROW * place, width) for place, (name, row) in enumerate(rows.items())]
    return svg("shares", said, (8 + ROW * len(rows), width), drawn)


def _bar(name: str, shares: Sequence[float], colours: Sequence[str], y: float, width: int) -> Markup:
    middle, x, drawn = y + ROW / 2, float(LEFT), []
    for share, colour in zip(shares, colours, strict=True):
        length = share * (width - LEFT - RIGHT)
        drawn.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}"/>').format(
                colour, coordinate(x), coordinate(y + 4), coordinate(length), ROW - 8
            )
        )
        x += length
    figure = percent(shares[0]) if sum(shares) else ""
    return Markup(
        '<text class="name" x="{nx}" y="{m}">{name}</text>{bars}<text class="figure" x="{fx}" y="{m}">{figure}</text>'
    ).format(
        nx=LEFT - 10, m=coordinate(middle), name=name, bars=Markup("").join(drawn), fx=width - RIGHT + 8, figure=figure
    )
