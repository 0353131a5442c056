"""Page: what all HTML pages and their charts share: one look, nothing outside the file, everything escaped."""

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from bodyposenet import __version__

LOOK = "bodyposenet.common.pages"  # the package of page.html


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


def svg(kind: str, said: str, size: tuple[float, float], drawn: Sequence[Markup]) -> Markup:
    """Draw a chart.

    Args:
        kind: Its class in the page's style.
        said: What screen readers say of it.
        size: ``(height, width)`` in user units.
        drawn: What is in it.
    """
    height, width = size
    return Markup('<svg class="chart {}" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        kind, coordinate(width), coordinate(height), said, Markup("").join(drawn)
    )


def coordinate(value: float) -> str:
    """Write a coordinate of a chart, to a hundredth."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
