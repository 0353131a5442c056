"""Pages in a browser: nothing overflows, is cut, small, pale or fetched, on a phone as on a desk, in light and dark."""

import pytest
from support.written_pages import write_pages

pytestmark = [pytest.mark.pages, pytest.mark.usefixtures("one_photo_at_a_time")]

FAULTS = ("overflow", "cut", "small", "pale", "broken", "fetched")
SOUND = (
    '<!DOCTYPE html><html lang="en"><head><title>A page</title></head><body style="background: #fff">{}</body></html>'
)
FAULTY = {
    "overflow": '<div style="width: 2000px">wide</div>',
    "cut": '<div style="width: 60px; overflow: hidden; white-space: nowrap">much more than fits there</div>',
    "small": '<svg width="120" viewBox="0 0 200 40"><text x="9" y="20">shrunk words</text></svg>',
    "pale": '<svg width="200" height="40"><text x="9" y="20" fill="#bbb">pale words</text></svg>',
    "broken": '<p style="color: #999">pale words</p><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">',
    "fetched": '<img alt="a cat" src="cat.png">',
}


def list_faults(seen):
    """What is wrong, at which width and in which scheme."""
    return [
        f"{each['page']} at {each['width']} {each['scheme']}: {fault}: {one}"
        for each in seen for fault in FAULTS for one in each[fault]
    ]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_seen(look, tmp_path, fault):
    (tmp_path / "page.html").write_text(SOUND.format(FAULTY[fault]))
    seen = look(tmp_path / "page.html")
    assert len(seen) == 6
    assert all(each[fault] for each in seen)
    assert [[kind for kind in FAULTS if each[kind]] for each in seen] == [[fault]] * 6


def test_text_that_leaves_its_chart_is_seen(look, tmp_path):
    chart = '<svg width="60" height="40" role="img" aria-label="a"><text x="9" y="20">much more than fits</text></svg>'
    (tmp_path / "page.html").write_text(SOUND.format(chart))
    assert all(each["cut"] for each in look(tmp_path / "page.html"))


def test_a_chart_whose_letters_are_large_enough_on_a_desk_alone_is_seen_on_a_phone(look, tmp_path):
    chart = '<svg width="100%" viewBox="0 0 460 40"><text x="9" y="20" font-size="11">a layer</text></svg>'
    (tmp_path / "page.html").write_text(SOUND.format(chart))
    assert {each["width"] for each in look(tmp_path / "page.html") if each["small"]} == {360}


def test_every_page_is_right_at_every_width_in_light_and_dark(look, tmp_path):
    pages = write_pages(tmp_path)
    seen = look(*pages.values())
    assert list_faults(seen) == []
    assert len(seen) == 6 * len(pages)
    assert max(page.stat().st_size for page in pages.values()) <= 2_000_000
