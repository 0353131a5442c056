"""Benchmarks: what is asked of a processor is what it can do."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.processor import asked, describe_processor, measured_on
from benchmarks.throughput import find_rate
from bodyposenet.common.machine.processor import read_processor

GROUP = SimpleNamespace(ROWS={"gain": ("8 bits", "≥ 3.0"), "drop": ("AP", "≤ 0.01")}, NEEDS_VNNI=("gain",))
OLD, NEW = "Core i7: AVX2", "EPYC: AVX2, AVX-512 VNNI"


@pytest.mark.parametrize(
    ("results", "bound"),
    [({"processor_int8": NEW}, "≥ 3.0"), ({"processor_int8": OLD}, ""), ({"processor_data": OLD}, "≥ 3.0")],
)
def test_a_bound_that_needs_vnni_is_asked_unless_the_group_was_measured_without(results, bound):
    assert asked("int8", GROUP, results) == GROUP.ROWS | {"gain": ("8 bits", bound)}


def test_results_name_the_processor_its_instruction_sets_and_the_limit(monkeypatch):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    here = read_processor()
    assert describe_processor() == f"{here.name}: {', '.join(here.instruction_sets)}; ONEDNN_MAX_CPU_ISA=AVX2"
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    assert "ONEDNN" not in describe_processor()


def test_the_page_says_which_groups_were_measured_where():
    results = {"gain": 3.5, "processor_int8": NEW, "processor_codec": OLD, "processor_data": OLD}
    assert measured_on(results) == f"\n`codec`, `data`: measured on {OLD}.\n\n`int8`: measured on {NEW}.\n"


@given(st.lists(st.tuples(st.floats(0, 9), st.floats(0, 9)), max_size=4), st.integers(0, 4))
def test_a_rate_is_what_it_would_be_undisturbed_whichever_rounds_are_disturbed(disturbed, place):
    rounds = [(3 + 5 + few, 3 + 10 + many) for few, many in disturbed]
    rounds.insert(place, (3 + 5 + 2, 3 + 10))  # each count is undisturbed in one round
    rounds.insert(place, (3 + 5, 3 + 10 + 7))
    few, many = zip(*rounds, strict=True)
    assert find_rate({500: few, 1000: many}) == 100
