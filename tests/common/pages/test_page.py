"""Page: its colours and the letters of its charts can be read, in light and dark, on a desk and on a phone."""

import re
from pathlib import Path

import pytest

from bodyposenet.common import pages
from bodyposenet.common.pages.page import NARROW, WIDE

COMMON = Path(pages.__file__).parents[1]
STYLE = (COMMON / "pages/page.html").read_text(encoding="utf-8")
PHONE = 360 - 2 * (16 + 14 + 1)  # pixels that a chart has: without edges of page and card, and its border
READABLE = 10  # pixels
TEXTS = ("ink", "soft", "accent", "good", "bad")


def read_colours(scheme):
    """The page's colours by name; ``#fff`` is ``#ffffff``."""
    rules = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[("light", "dark").index(scheme)]
    found = dict(re.findall(r"--(\w+): #(\w+)", rules))
    return {name: code if len(code) == 6 else "".join(digit * 2 for digit in code) for name, code in found.items()}


def luminance(colour):
    """Relative luminance (WCAG 2.1, definitions)."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("ground", ["page", "card"])
@pytest.mark.parametrize("text", TEXTS)
def test_texts_have_contrast_with_what_they_stand_on(scheme, ground, text):
    colours = read_colours(scheme)
    low, high = sorted(luminance(colours[name]) for name in (ground, text))
    assert (high + 0.05) / (low + 0.05) >= 4.5  # criterion 1.4.3, AA


def test_letters_of_charts_are_ten_pixels_or_more_wherever_they_are_shown():
    templates = [path.read_text(encoding="utf-8") for path in COMMON.rglob("*.html")]
    sizes = [int(size) for text in templates for size in re.findall(r"font-size: (\d+)px", text)]  # others are in rem
    assert len(sizes) > 5
    (changes_at,) = re.findall(r"@container \(max-width: (\d+)px\)", STYLE)
    assert min(sizes) * PHONE / NARROW >= READABLE
    assert min(sizes) * int(changes_at) / WIDE >= READABLE
