"""Verbs that are killed or run out of disk: run again, each ends as an undisturbed one; ``make chaos`` takes all."""

import pytest
from support.full_disks import fill_disks
from support.killed_verbs import VerbBench, kill_at_random, kill_before_operations
from support.verb_cases import CASES, draw_given, list_missing

QUICK = ("synthesize", "skeleton fit", "sample_calibration")  # that run no network
REMOVES = "clean"  # which fills no disk


@pytest.fixture(scope="module")
def benches(tmp_path_factory):
    root = tmp_path_factory.mktemp("verbs")
    draw_given(root / "given")
    return {
        case.name: VerbBench(case, root / "given", root / case.verb.split()[0])
        for case in CASES
        if case.name in (*QUICK, REMOVES)
    }


def test_every_verb_has_a_case():
    assert not list_missing()


@pytest.mark.parametrize("name", [*QUICK, REMOVES])
def test_a_verb_that_is_killed_before_a_file_operation_ends_as_undisturbed_when_it_is_run_again(benches, name):
    report = kill_before_operations(benches[name], most=8)
    assert report.kills
    assert not report.wrong


def test_a_verb_that_is_killed_at_any_moment_ends_as_undisturbed_when_it_is_run_again(benches):
    assert not kill_at_random(benches["synthesize"], 3, seed=1).wrong


@pytest.mark.mounts
@pytest.mark.parametrize("name", QUICK)
def test_a_full_disk_is_told_in_a_line_and_costs_no_earlier_output(benches, name):
    report = fill_disks(benches[name], 5)
    assert report.full
    assert not report.wrong
