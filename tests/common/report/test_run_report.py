# ruff: noqa: RUF001 - the page sets minus, times and dash as a printer would
"""Report: the figures of the table, the coordinates of the charts, and a page that stands alone."""

import base64
import io
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.page import Page, read_chart

import bodyposenet
from bodyposenet.common.pages import charts
from bodyposenet.common.pages.numbers import count, milliseconds, plain, precision, size
from bodyposenet.common.pages.page import NARROW, WIDE
from bodyposenet.common.report.comparison_table import format_signed, rows, verdict
from bodyposenet.common.report.run_report import (
    Stage,
    add_pictures,
    embed,
    fact_text,
    tiles,
    write_report,
    write_table,
)

STAGES = [
    Stage("base", ap=0.460, params=2_000_000, gflops=4.0, bytes=8_000_000, latency_ms=40.0),
    Stage("pruned", ap=0.010, params=820_000, gflops=1.9, bytes=3_300_000, latency_ms=22.0),
    Stage("retrained", ap=0.455, params=820_000, gflops=1.9, bytes=3_300_000, latency_ms=22.0),
    Stage("int8", ap=0.450, params=820_000, gflops=None, bytes=900_000, latency_ms=20.0),
]
CURVES = {
    "train": [{"epoch": 1, "loss": 9.0, "learning_rate": 1e-5}, {"epoch": 2, "loss": 5.0, "learning_rate": 2e-5}],
    "retrain": [{"epoch": 1, "loss": 4.0, "learning_rate": 1e-5}],
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    photo = np.full((40, 60, 3), (250, 10, 10), np.uint8)
    path = write_report(
        tmp_path_factory.mktemp("report") / "new" / "report.html",
        title='Walk & <run> "fast"',
        ceiling_ap=0.65,
        stages=STAGES,
        curves=CURVES,
        pictures=[('Two people, <img src="x">', photo)],
        facts={"Data <b>": "a & b", "Seed": 0, "Unknown": None, "Lost": math.nan},
    )
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def shapes(svg, tag):
    return [shape.attrib for shape in svg.iter(tag)]


def words(svg):
    return [shape.text for shape in svg.iter("text")]


def draw_lines(series, room="wide"):
    return read_chart(charts.line_chart("Loss", series, x_name="epoch", y_name="loss"), room)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (count(7_952_633), "7.95 M"),
        (count(499_765), "500 k"),
        (count(12), "12"),
        (size(31_949_000), "31.9 MB"),
        (size(612), "612 B"),
        (milliseconds(35.12), "35.1 ms"),
        (milliseconds(0.5), "0.500 ms"),
        (plain(1234.5), "1234"),
        (plain(0), "0"),
        (format_signed(-0.0051, precision), "−0.005"),
        (format_signed(0.0051, precision), "+0.005"),
        (format_signed(-0.0001, precision), "±0.000"),
    ],
)
def test_figures_are_written_short(written, wanted):
    assert written == wanted


def test_differences_are_from_the_base_and_know_which_way_is_better():
    _, cells = rows(STAGES, 0.65)[3]
    assert [(cell.text, cell.change, cell.tone) for cell in cells] == [
        ("0.450", "−0.010", "bad"),
        ("69 %", "", ""),
        ("820 k", "−59 %", "good"),
        ("–", "", ""),
        ("900 kB", "−89 %", "good"),
        ("20.0 ms", "−50 %", "good"),
    ]
    assert all(cell.change == "" for cell in rows(STAGES, 0.65)[0][1])


def test_no_difference_is_neither_good_nor_bad_and_a_slower_network_is_bad():
    twin = Stage("twin", ap=0.460, params=2_000_000, gflops=4.0, bytes=8_000_000, latency_ms=40.0)
    _, same = rows([STAGES[0], twin], None)[1]
    _, slower = rows([Stage("a", latency_ms=10), Stage("b", latency_ms=15)], None)[1]
    assert [cell.change for cell in same] == ["±0.000", "", "±0 %", "±0 %", "±0 %", "±0 %"]
    assert {cell.tone for cell in same} == {""}
    assert (slower[5].change, slower[5].tone) == ("+50 %", "bad")


def test_the_verdict_says_what_was_kept_and_what_was_gained():
    assert verdict(STAGES, 0.65) == (
        "Pruned to 41 % of the parameters; AP 0.460 → 0.455 (70 % of the ceiling); "
        "INT8 runs 2.0× as fast as the base at AP 0.450."
    )


def test_the_verdict_leaves_out_what_was_not_measured():
    assert verdict([], 0.5) == "Nothing was measured."
    assert verdict([Stage("base", ap=math.nan)], 0.5) == "Nothing was measured."
    assert verdict([Stage("base", ap=0.5)], 0.0) == "AP 0.500."
    assert (
        verdict([Stage("base", latency_ms=9), Stage("int8", latency_ms=12)], None)
        == "INT8 runs 0.8× as fast as the base."
    )


def test_tiles_are_shares_of_the_base():
    assert [figure for figure, *_ in tiles(STAGES, 0.65)] == ["0.455", "41 %", "11 %", "2.0×"]
    assert tiles([Stage("base", ap=0.5, params=10, bytes=10, latency_ms=1)], None)[1:] == []
    assert tiles([], None) == []


def test_the_terminal_table_lines_up():
    lines = write_table(STAGES, 0.65).splitlines()
    assert lines[0].split("  ")[-1].strip() == "CPU latency"
    assert re.split(r"\s{2,}", lines[3]) == [
        "retrained", "0.455 (−0.005)", "70 %", "820 k (−59 %)", "1.90 (−52 %)", "3.30 MB (−59 %)", "22.0 ms (−45 %)",
    ]  # fmt: skip
    assert len({len(line) for line in lines}) == 1
    assert write_table([]).split() == [
        "AP",
        "Of",
        "the",
        "ceiling",
        "Parameters",
        "GFLOPs",
        "File",
        "size",
        "CPU",
        "latency",
    ]


@pytest.mark.parametrize(("drawn_for", "width"), [("wide", WIDE), ("narrow", NARROW)])
def test_bars_are_as_long_as_their_values_and_the_mark_is_on_their_scale(drawn_for, width):
    bars = {"base": 0.25, "small": 0.5, "none": None}
    svg = read_chart(charts.bar_chart("AP", bars, precision, mark=1.0, mark_name="ceiling"), drawn_for)
    room = width - charts.BAR_LEFT - charts.BAR_RIGHT
    assert [float(bar["width"]) for bar in shapes(svg, "rect")] == [room / 4, room / 2, 0]
    assert [float(line["x1"]) for line in shapes(svg, "line")] == [charts.BAR_LEFT + room]
    assert words(svg) == ["ceiling 1.000", "base", "0.250", "small", "0.500", "none", "–"]
    assert svg.attrib["aria-label"] == "AP: base 0.250, small 0.500, none –"


@given(values=st.lists(st.none() | st.floats(allow_nan=True, allow_infinity=True), max_size=6))
def test_bars_never_leave_their_room(values):
    room = NARROW - charts.BAR_LEFT - charts.BAR_RIGHT
    assert all(length <= room + 1e-6 for length in charts.bar_lengths(values, NARROW))


@pytest.mark.parametrize(("room", "width"), [("wide", WIDE), ("narrow", NARROW)])
def test_a_line_goes_through_its_points(room, width):
    svg = draw_lines({"train": [(1, 0.0), (3, 10.0), (5, 5.0)]}, room)
    left, right, top, bottom = charts.LINE_LEFT, width - charts.LINE_RIGHT, charts.LINE_TOP, charts.LINE_TOP + 174
    (path,) = shapes(svg, "path")
    points = [tuple(map(float, point.split(","))) for point in re.findall(r"[\d.]+,[\d.]+", path["d"])]
    up = (bottom - top) / 10.5  # from zero to the largest value and a twentieth
    expected = [(left, bottom), ((left + right) / 2, bottom - 10 * up), (right, bottom - 5 * up)]
    assert np.allclose(points, expected, atol=0.006)


def test_what_was_measured_once_is_a_number_and_has_no_chart(tmp_path):
    def write(**curves):
        path = tmp_path / "r.html"
        write_report(path, title="t", ceiling_ap=None, stages=[], curves=curves, pictures=[], facts={})
        return Page(path.read_text(encoding="utf-8"))

    once = [{"epoch": 1, "loss": 4.0, "learning_rate": 1e-5}]
    page = write(train=once, retrain=[{"epoch": 1, "loss": 3.25}])
    assert not page.all("svg")
    assert page.text[page.text.index("Training") + 2 :][:4] == [
        "Loss",
        "train 4; retrain 3.25",
        "Learning rate",
        "train 1e-05",
    ]
    page = write(train=once, retrain=[{"epoch": 1, "loss": 3.0}, {"epoch": 2, "loss": 2.0}])
    assert [one["aria-label"].split(",")[0] for one in page.charts()] == ["loss"]
    assert "train 1e-05" in page.text


def test_a_line_breaks_where_training_diverged_and_a_lone_epoch_is_a_dot():
    points = [(1, 3.0), (2, 2.0), (3, math.nan), (4, 1.0), (5, math.inf)]
    assert charts.unbroken(points) == [[(1, 3.0), (2, 2.0)], [(4, 1.0)]]
    svg = draw_lines({"train": points, "retrain": [(1, 2.0)]})
    assert [path["d"].count("M") for path in shapes(svg, "path")] == [2, 1]
    assert len(shapes(svg, "circle")) == 2
    assert charts.line_chart("Loss", {"train": [(1, math.nan)]}, x_name="epoch", y_name="loss") == ""


def test_ticks_are_round_and_inside():
    assert charts.ticks(0, 2310, 5) == [0, 500, 1000, 1500, 2000]
    assert charts.ticks(0, 5.2e-5, 5) == [0, 1e-5, 2e-5, 3e-5, 4e-5, 5e-5]
    assert charts.ticks(1, 24, 6) == [5, 10, 15, 20]
    assert charts.log_ticks(3, 250) == [5, 10, 20, 50, 100, 200]
    assert charts.log_ticks(0.02, 3e4) == [0.1, 1, 10, 100, 1000, 10000]


@given(low=st.floats(-1e6, 1e6), span=st.floats(1e-3, 1e6), wanted=st.integers(2, 10))
def test_ticks_stay_inside_and_near_the_wanted_number(low, span, wanted):
    found = charts.ticks(low, low + span, wanted)
    assert all(low - span * 1e-6 <= tick <= low + span * (1 + 1e-6) for tick in found)
    assert wanted // 3 <= len(found) <= 2 * wanted


def test_a_wide_range_is_drawn_on_a_logarithmic_axis():
    axis = charts.value_axis([1.0, 1000.0], 200, 0)
    assert axis.log
    assert axis.at(10) - axis.at(100) == pytest.approx(axis.at(100) - axis.at(1000))
    svg = draw_lines({"train": [(1, 1000.0), (2, 1.0)]})
    assert "loss (log scale)" in words(svg)
    assert not charts.value_axis([0.0, 1000.0], 200, 0).log


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5))
def test_every_value_lies_on_its_axis(values):
    axis = charts.value_axis(values, 200, 20)
    assert all(20 - 1e-6 <= axis.at(value) <= 200 + 1e-6 for value in values)


def test_the_page_stands_alone(page, text):
    assert page.all("script") == page.all("link") == []
    assert not re.search(r"https?://|@import|url\(", text)
    assert all(image["src"].startswith("data:image/jpeg;base64,") for image in page.all("img"))
    assert "prefers-color-scheme: dark" in text
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def test_the_page_escapes_what_it_is_told(page):
    assert 'Walk & <run> "fast"' in page.text
    assert {"Data <b>", "a & b", 'Two people, <img src="x">'} <= set(page.text)
    assert [image["alt"] for image in page.all("img")] == ['Two people, <img src="x">']
    assert page.all("run") == page.all("b")[4:] == []
    assert not {"nan", "None", "nan %"} & set(page.text)


def test_the_page_shows_every_cell_and_says_what_is_unknown(page):
    for name, cells in rows(STAGES, 0.65):
        assert name in page.text
        assert all(cell.text in page.text and (not cell.change or cell.change in page.text) for cell in cells)
    assert page.text[page.text.index("Unknown") + 1] == page.text[page.text.index("Lost") + 1] == "–"
    assert page.text[page.text.index("Seed") + 1] == "0"


def test_the_page_can_be_heard(page):
    assert {header["scope"] for header in page.all("th")} == {"col", "row"}
    labels = [svg["aria-label"] for svg in page.charts()]
    assert labels == [svg["aria-label"] for svg in page.charts("narrow")]
    assert all(svg["role"] == "img" for svg in page.all("svg"))
    assert labels[0] == "AP: base 0.460, pruned 0.010, retrained 0.455, int8 0.450"
    assert "loss, loss over epoch: train from 9 to 5; retrain from 4 to 4" in labels
    assert len(labels) == 7


def test_an_empty_page_is_still_a_page(tmp_path):
    path = write_report(tmp_path / "r.html", title="t", ceiling_ap=None, stages=[], curves={}, pictures=[], facts={})
    assert Page(path.read_text(encoding="utf-8")).text[-2:] == [
        "Nothing was measured.",
        f"Written by bodyposenet {bodyposenet.__version__}.",
    ]


def test_curves_leave_out_words_and_join_over_epochs_without_a_figure(tmp_path):
    history = [{"loss": 2.0, "note": "x", "AP": 0.1}, {"loss": 1.0, "AP": None}, {"loss": 0.5, "AP": 0.2}]
    path = write_report(
        tmp_path / "r.html", title="t", ceiling_ap=None, stages=[], curves={"train": history}, pictures=[], facts={}
    )
    page = Page(path.read_text(encoding="utf-8"))
    assert [svg["aria-label"].partition(",")[0] for svg in page.charts()] == ["loss", "AP"]
    assert [line["d"].count("M") for line in page.all("path")] == [1] * 4  # each for a desk and for a phone


def test_pictures_keep_their_colours_and_shape_and_shrink_to_the_page():
    photo = np.zeros((900, 1440, 3), np.uint8)
    photo[..., 0] = 240
    picture = embed("c", photo)
    image = Image.open(io.BytesIO(base64.b64decode(picture.jpeg)))
    assert image.size == (picture.width, picture.height) == (720, 450)
    assert np.abs(np.asarray(image).astype(int).mean((0, 1)) - (240, 0, 0)).max() < 3


def test_facts_are_words():
    assert [fact_text(value) for value in (None, math.nan, "", [], 0.1, 3, True, ["a", None])] == [
        "–", "–", "–", "–", "0.1", "3", "True", "a, –",
    ]  # fmt: skip


def test_pictures_are_added_to_a_page_before_what_it_was_made_from(tmp_path):
    given = {
        "title": "A run",
        "ceiling_ap": None,
        "stages": [],
        "curves": {},
        "pictures": [],
        "facts": {"data": "drawn"},
    }
    page = write_report(tmp_path / "page.html", **given).read_text()
    more = add_pictures(page, "A <photo>", "One of it.", [("a & b", np.zeros((20, 30, 3), np.uint8))])
    assert page.count("<img") == 0
    start, end = more.index("<h2>A &lt;photo&gt;</h2>"), more.index('<h2 id="facts">')
    assert start < more.index('width="30" height="20" alt="a &amp; b"') < end
    assert more[:start] + more[end:] == page
