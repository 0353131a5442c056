"""Numbers: as people write them."""

import pytest

from bodyposenet.common.pages.numbers import pluralize

COUNTS = {
    (0, "photo"): "0 photos",
    (1, "photo"): "1 photo",
    (2, "photo"): "2 photos",
    (1, "person"): "1 person",
    (2, "person"): "2 people",
    (1234567, "more problem"): "1,234,567 more problems",
}


@pytest.mark.parametrize(("given", "text"), COUNTS.items())
def test_one_thing_is_singular_and_thousands_are_parted(given, text):
    assert pluralize(*given) == text
