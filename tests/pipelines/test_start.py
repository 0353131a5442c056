"""Start: a run whose start goes wrong is started once, and told, whatever the server has made of it."""

import re

import pytest
from click.testing import CliRunner

from bodyposenet.common.cli.main import main
from bodyposenet.pipelines import submit
from bodyposenet.pipelines.server import connection


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch):
    monkeypatch.setattr(submit, "LOOKS", (0.0, 0.0, 0.0))


def begin(tiny):
    """Start a run, of a name that another run may have."""
    words = ["pipeline", "run", str(tiny), "-p", "reference=1", "--run-name", "one"]
    return CliRunner().invoke(main, words, catch_exceptions=False)


def check_one_told(fake, done):
    """Hold it to one run, which is told as any is."""
    (run,) = fake.runs
    assert (done.exit_code, done.stdout) == (0, f"run {run}: {fake.url}/#/runs/details/{run}\n")
    assert len(fake.workflows) == 1
    assert fake.changes.count("POST /runs") == 1


@pytest.mark.parametrize("code", [500, 503, 504])
def test_one_that_was_stored_before_the_server_failed_is_told(fake, tiny, code):
    fake.fail("POST /runs", code, done=True)
    check_one_told(fake, begin(tiny))


def test_one_that_was_stored_and_not_answered_is_told(fake, tiny):
    fake.fail("POST /runs", 0, done=True)
    check_one_told(fake, begin(tiny))


def test_one_that_is_answered_late_is_told(fake, tiny, monkeypatch):
    monkeypatch.setattr(connection, "PATIENCE", (5, 1.0))
    fake.fail("POST /runs", 0, done=True, after=1)  # once the first look for it was in vain
    check_one_told(fake, begin(tiny))
    assert fake.requests.count("GET /runs") >= 2


def test_one_that_was_stored_is_told_though_the_first_look_for_it_fails(fake, tiny):
    fake.fail("POST /runs", 0, done=True)
    fake.fail("GET /runs")
    check_one_told(fake, begin(tiny))


def test_another_of_the_same_name_is_not_taken_for_it(fake, tiny):
    begin(tiny)
    fake.fail("POST /runs", done=True)
    done = begin(tiny)
    other, run = fake.runs
    assert done.stdout == f"run {run}: {fake.url}/#/runs/details/{run}\n"
    assert fake.runs[other]["display_name"] == fake.runs[run]["display_name"]


def test_one_that_was_started_and_cannot_be_stored_is_told_with_how_to_find_it(fake, tiny):
    fake.fail("POST /runs", done=True, stored=False)
    done = begin(tiny)
    assert done.exit_code == 2
    assert done.stderr == (
        f"error: {fake.url}: it has started this run, and cannot store it (invalid connection); "
        "it is in no list: find it with `kubectl get workflows`, and delete it there\n"
    )
    assert (len(fake.workflows), len(fake.runs)) == (1, 0)
    assert fake.changes.count("POST /runs") == 1


@pytest.mark.parametrize(("code", "problem"), [
    (503, r"it fails \(503: planted\); look at its log, and run this again"),
    (0, r"Kubeflow Pipelines does not answer \(.+\); check the address, and that it runs"),
])  # fmt: skip
def test_a_start_that_came_to_nothing_is_not_tried_again_and_says_where_to_look_first(fake, tiny, code, problem):
    fake.fail("POST /runs", code)
    done = begin(tiny)
    assert done.exit_code == 2
    advice = r"once `kubectl get workflows` shows that none was started: such a one is in no list of runs"
    assert re.fullmatch(rf"error: {fake.url}: {problem}, {advice}\n", done.stderr)
    assert fake.workflows == []
    assert fake.changes.count("POST /runs") == 1
