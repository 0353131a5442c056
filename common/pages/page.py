"""Page: what all HTML pages and their charts share: one look, nothing outside the file, everything escaped."""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from bodyposenet import __version__

LOOK = "bodyposenet.common.pages"  # the package of page.html
WIDE, NARROW = 420, 300  # user units: the widths that a chart is drawn at; page.html says which is shown where


def render(package: str, template: str, **values: Any) -> str:
    """Fill in a template that extends ``page.html``.

    Args:
        package: Where the template is.
        template: Its file name.
        **values: Its variables; one that is missing is an error. Text is escaped, ``Markup`` is not.

    Returns:
        The page.
    """
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader(LOOK, "")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=__version__, **values)


def fit_widths(draw: Callable[[int], Markup]) -> Markup:
    """Draw a chart twice, for a card on a desk and for a phone, as letters shrink with a chart that is made narrower.

    The page shows the one that there is room for.

    Args:
        draw: Draws it at a width in user units: ``WIDE`` or ``NARROW``.

    Returns:
        A ``<div>`` with two ``<svg>``, whose classes are ``wide`` and ``narrow``.
    """
    return Markup('<div class="fitted">{}{}</div>').format(draw(WIDE), draw(NARROW))


def svg(kind: str, said: str, size: tuple[float, float], drawn: Sequence[Markup]) -> Markup:
    """Draw a chart at one of its widths.

    Args:
        kind: Its class in the page's style.
        said: What screen readers say of it.
        size: ``(height, width)`` in user units.
        drawn: What is in it.
    """
    height, width = size
    room = "narrow" if width <= NARROW else "wide"
    return Markup('<svg class="chart {} {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        kind, room, coordinate(width), coordinate(height), said, Markup("").join(drawn)
    )


def coordinate(value: float) -> str:
    """Write a coordinate of a chart, to a hundredth."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
