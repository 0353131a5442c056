"""Page: its colours can be read, in light and dark."""

import re
from pathlib import Path

import pytest

from bodyposenet.common import pages

STYLE = (Path(pages.__file__).parent / "page.html").read_text(encoding="utf-8")
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
