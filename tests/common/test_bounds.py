"""Bounds: the document's table is the code's."""

import re
from pathlib import Path

from bodyposenet.common import bounds

PAGE = Path(__file__).parents[2] / "docs/bounds.md"


def test_the_page_on_bounds_has_each_with_its_value():
    rows = re.findall(r"^\| `([A-Z_0-9]+)` \| ([\d,]+) \|", PAGE.read_text(), flags=re.M)
    told = {name: int(value.replace(",", "")) for name, value in rows}
    assert told == {name: value for name, value in vars(bounds).items() if name.isupper()}
    assert len(rows) == len(told)
