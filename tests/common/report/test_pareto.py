# ruff: noqa: RUF001 - the page sets minus and dash as a printer would
"""Front: which networks no other beats, which one is chosen, and how the page shows it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.page import Page, read_chart

from bodyposenet.common.report.channels import channels_chart
from bodyposenet.common.report.comparison_table import Stage
from bodyposenet.common.report.pareto import choose, cut_name, on_front
from bodyposenet.common.report.sweep_page import front_chart, write_sweep_page

LONG = "a_layer_with_a_very_very_long_name"
BASE = Stage("base", ap=0.60, params=8e6, gflops=26.0, bytes=32e6)
SWEPT = [
    Stage("target_flops 0.7", ap=0.59, params=5e6, gflops=18.0, bytes=20e6),
    Stage("target_flops 0.5", ap=0.58, params=3e6, gflops=13.0, bytes=12e6),
    Stage("target_params 0.4", ap=0.57, params=3e6, gflops=15.0, bytes=12e6),
    Stage("target_flops 0.3", ap=0.50, params=1e6, gflops=7.8, bytes=6e6),
]
networks = st.lists(
    st.builds(
        Stage,
        name=st.just("one"),
        ap=st.sampled_from([None, 0.0, 0.1, 0.25, 0.5, 0.75]),
        gflops=st.sampled_from([None, 0.5, 1.0, 2.0, 4.0]),
    ),
    max_size=8,
)


def measured(stages):
    return [one for one in stages if one.ap is not None and one.gflops is not None]


def test_the_front_leaves_out_what_another_beats():
    assert on_front([BASE, *SWEPT]) == [True, True, True, False, True]
    twins = [Stage("a", ap=0.5, gflops=1.0), Stage("b", ap=0.5, gflops=1.0)]
    assert on_front(twins) == [True, True]
    assert on_front([*twins, Stage("c", ap=0.5, gflops=0.9)]) == [False, False, True]
    assert on_front([*twins, Stage("c", ap=0.51, gflops=1.0)]) == [False, False, True]
    assert on_front([Stage("unknown", gflops=0.1), twins[0], Stage("free", ap=0.9)]) == [False, True, False]


@given(networks)
def test_along_the_front_more_work_is_more_ap_and_all_others_are_below_it(stages):
    kept = on_front(stages)
    front = sorted({(one.gflops, one.ap) for one, on in zip(stages, kept, strict=True) if on})
    assert all(a[0] < b[0] and a[1] < b[1] for a, b in pairwise(front))
    for one in measured(stages):
        assert any(gflops <= one.gflops and ap >= one.ap for gflops, ap in front)


@given(stages=networks, base=st.sampled_from([0.1, 0.25, 0.5]), drop=st.sampled_from([0.0, 0.15, 0.25, 1.0]))
def test_no_good_network_is_smaller_than_the_chosen_one(stages, base, drop):
    choice = choose(Stage("base", ap=base, gflops=4.0), stages, drop)
    good = [one for one in measured(stages) if base - one.ap <= drop + 1e-9 and one.ap > 0]
    assert (choice.place is None) == (not good)
    if choice.place is not None:
        chosen = stages[choice.place]
        assert chosen in good
        assert (chosen.gflops, -chosen.ap) == min((one.gflops, -one.ap) for one in good)


@pytest.mark.parametrize(("drop", "place", "reason"), [
    (0.02, 1, "target_flops 0.5 is the smallest within the budget: 13.0 GFLOPs (50 % of the base) at AP 0.580, 0.020 "
              "below the base; 0.020 below was allowed."),
    (0.1, 3, "target_flops 0.3 is the smallest within the budget: 7.80 GFLOPs (30 % of the base) at AP 0.500, 0.100 "
             "below the base; 0.100 below was allowed."),
    (0.001, None, "No network keeps AP 0.599, which is 0.001 below the base's; the best, target_flops 0.7, has 0.590. "
                  "Nothing is promoted."),
])  # fmt: skip
def test_the_choice_says_why(drop, place, reason):
    choice = choose(BASE, SWEPT, drop)
    assert (choice.place, choice.reason) == (place, reason)
    assert choice.least_ap == pytest.approx(0.6 - drop)


@pytest.mark.parametrize(("ap", "against"), [(0.61, "0.010 above the base"), (0.6, "as the base")])
def test_a_network_no_worse_than_the_base_is_said_to_be_so(ap, against):
    assert f"at AP {ap:.3f}, {against};" in choose(BASE, [Stage("x", ap=ap, gflops=1.0)], 0.02).reason


def test_cuts_have_names():
    assert cut_name({"target_flops": 0.5}) == "target_flops 0.5"
    assert cut_name({"pruning_threshold": 0.2, "min_num_filters": 8}) == "pruning_threshold 0.2, min_num_filters 8"
    assert cut_name({}) == "as the spec says"


def draw(base, stages, room="wide"):
    return read_chart(front_chart(base, stages, choose(base, stages, 0.02)), room)


def circles(chart):
    found = [circle.attrib for circle in chart.iter("circle")]
    return {kind: [one for one in found if one["class"] == kind] for kind in {one["class"] for one in found}}


@pytest.mark.parametrize("room", ["wide", "narrow"])
def test_the_chart_puts_every_network_where_it_belongs(room):
    chart = draw(BASE, SWEPT, room)
    found = circles(chart)
    assert {kind: len(found[kind]) for kind in found} == {"dot base": 1, "dot best": 3, "dot beaten": 1, "ring": 1}
    (ring,), half = found["ring"], found["dot best"][1]
    assert (ring["cx"], ring["cy"]) == (half["cx"], half["cy"])
    x = [float(one["cx"]) for one in (*found["dot base"], *found["dot best"])]
    assert (x[1] - 62) / (x[0] - 62) == pytest.approx(18 / 26, abs=1e-3)  # the axis begins at zero, 62 units in
    y = [float(one["cy"]) for one in (*found["dot base"], *found["dot best"])]
    assert y == sorted(y)
    (budget,) = [line.attrib for line in chart.iter("line") if line.get("class") == "mark"]
    assert float(budget["y1"]) == pytest.approx(y[2], abs=0.01)  # at AP 0.580
    words = [text.text for text in chart.iter("text")]
    assert "budget: AP 0.580" in words


def test_the_line_goes_up_only_where_a_better_network_begins():
    chart = draw(BASE, SWEPT)
    (path,) = [path.get("d") for path in chart.iter("path")]
    places = sorted(
        (float(one["cx"]), float(one["cy"])) for kind in ("dot best", "dot base") for one in circles(chart)[kind]
    )
    assert path == f"M{places[0][0]:g},{places[0][1]:g}" + "".join(f" H{x:g} V{y:g}" for x, y in places[1:])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0.01, 30)), min_size=1, max_size=6))
def test_every_network_is_drawn_within_the_chart(points):
    stages = [Stage(f"cut {number}", ap=ap, gflops=gflops) for number, (ap, gflops) in enumerate(points)]
    for room in ("wide", "narrow"):
        chart = draw(BASE, stages, room)
        width, height = map(float, chart.get("viewBox").split()[2:])
        for one in chart.iter("circle"):
            assert 0 <= float(one.get("cx")) <= width
            assert 0 <= float(one.get("cy")) <= height
        assert sum(text.get("class") == "label" for text in chart.iter("text")) == 1 + len(stages)


@pytest.fixture
def page(tmp_path):
    def written(base, stages, drop=0.02):
        path = write_sweep_page(tmp_path / "new" / "page.html", base, stages, choose(base, stages, drop))
        return Page(path.read_text(encoding="utf-8"))

    return written


def test_the_table_has_every_network_with_what_it_lost_and_whether_it_is_on_the_front(page):
    text = page(BASE, SWEPT).text
    start = text.index("target_flops 0.5", text.index("Network"))
    assert text[start : start + 10] == [
        "target_flops 0.5", "0.580", "0.020", "3.00 M", "38 %", "13.0", "50 %", "12.0 MB", "38 %", "yes",
    ]  # fmt: skip
    start = text.index("target_params 0.4", text.index("Network"))
    assert text[start + 9] == "no"
    assert text[text.index("base", text.index("Network")) :][1:3] == ["0.600", "–"]


def test_what_lost_too_much_is_marked_and_the_chosen_row_stands_out(page):
    found = page(BASE, SWEPT)
    assert [row["class"] for row in found.all("tr") if "class" in row] == ["chosen"]
    assert [cell["data-label"] for cell in found.all("td") if cell.get("class") == "bad"] == ["AP lost"] * 2
    none = page(BASE, SWEPT, drop=0.001)
    assert not [row for row in none.all("tr") if "class" in row]
    assert any("Nothing is promoted." in words for words in none.text)


def test_without_any_ap_there_is_no_chart_but_a_table(page):
    found = page(Stage("base", params=8e6), [Stage('<b>"x"', params=3e6)])
    assert not found.all("svg")
    assert '<b>"x"' in found.text
    assert "The AP of the base was not measured: nothing is promoted." in found.text


@pytest.mark.parametrize(("room", "long"), [("wide", "a_layer_with…ry_long_name"), ("narrow", LONG)])
def test_filters_are_drawn_to_scale_and_the_kept_ones_over_all(room, long):
    layers = {"a": (64, 64), "b": (8, 128), LONG: (16, 32)}
    chart = read_chart(channels_chart(layers), room)
    bars = {kind: [float(bar.get("width")) for bar in chart.iter("rect") if bar.get("class") == kind]
            for kind in ("gone", "stayed")}  # fmt: skip
    unit = bars["gone"][1] / 128
    assert bars["gone"] == pytest.approx([of * unit for _, of in layers.values()], abs=0.01)
    assert bars["stayed"] == pytest.approx([kept * unit for kept, _ in layers.values()], abs=0.01)
    words = [text.text for text in chart.iter("text")]
    assert words == ["a", "64", "b", "8 of 128", long, "16 of 32"]
    assert chart.get("aria-label").endswith("88 of 224 stayed")
    assert channels_chart({}) == ""


def test_a_network_that_finds_nobody_is_never_chosen_however_large_the_budget():
    blind = [Stage("a", ap=0.0, gflops=1.0, params=1e6), Stage("b", ap=0.0, gflops=0.5, params=1e6)]
    found = choose(Stage("base", ap=0.01, gflops=2.0, params=2e6), blind, 1.0)
    assert found.place is None
    assert found.reason.endswith("Nothing is promoted.")
