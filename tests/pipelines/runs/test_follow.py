"""Follow: how a run is shown until it ends, what is said at its end, and the verbs that find, follow and end runs."""

import io
import json
import re

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow
from support.run_answers import answer_with, draw_loop, draw_task, read_recorded

from bodyposenet.common.cli.main import main
from bodyposenet.common.tracking.history import TaskRow
from bodyposenet.pipelines.runs import follow
from bodyposenet.pipelines.runs.follow import View
from bodyposenet.pipelines.runs.nodes import Tree
from bodyposenet.pipelines.runs.reasons import find_reasons
from bodyposenet.pipelines.runs.story import Story, read_number
from bodyposenet.pipelines.server.access import HOST, NAMESPACE
from bodyposenet.pipelines.server.connection import Server
from bodyposenet.pipelines.server.errors import TOKEN

pytestmark = pytest.mark.usefixtures("no_address")


def run(*args):
    return CliRunner().invoke(main, ["pipeline", *map(str, args)], catch_exceptions=False)


def start(fake, tiny, *names, experiment="bodyposenet"):
    """Start runs of these names, and return their ids."""
    for name in names:
        result = run("run", tiny, "-p", "reference=1", "--run-name", name, "--experiment", experiment)
        assert result.exit_code == 0, result.output
    return [key for key, each in fake.runs.items() if each["display_name"] in names]


def the(entries):
    (entry,) = entries.values()
    return entry


def test_waiting_tells_each_change_once_and_ends_with_the_run(fake, tiny):
    result = run("run", tiny, "-p", "reference=1", "--run-name", "mine", "--wait")
    assert result.exit_code == 0, result.output
    *told, took, page = [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in result.stdout.splitlines()[1:]]
    assert told[:4] == ["run: PENDING", "gate: RUNNING", "run: RUNNING", "gate: SUCCEEDED"]
    assert set(told[4:-1]) == {f"{task}: SUCCEEDED" for task in ("gate-2", "gate-3 1 of 2", "gate-3 2 of 2")}
    assert told[-1] == "run: SUCCEEDED"
    assert re.fullmatch(r"took    \d\.\d s", took)
    assert page == f"page    {fake.url}/#/runs/details/{the(fake.runs)['run_id']}"


@pytest.mark.parametrize("end", ["FAILED", "CANCELED", "SKIPPED"])
def test_waiting_for_a_run_that_does_not_succeed_ends_with_1_and_says_why_last(fake, tiny, end):
    fake.states = ("RUNNING", "RUNNING", end)
    result = run("run", tiny, "-p", "reference=1", "--wait")
    assert result.exit_code == 1
    assert f"page    {fake.url}/#/runs/details/" in result.stdout
    reasons = ["  gate failed: planted in a task"] if end == "FAILED" else []
    assert result.stderr.splitlines() == [f"error: the run ended as {end}", *reasons]


@pytest.mark.parametrize(("end", "code"), [("SUCCEEDED", 0), ("CANCELED", 1)])
def test_how_a_run_ended_is_told_as_json(fake, tiny, end, code):
    fake.states = ("RUNNING", end)
    result = run("run", tiny, "-p", "reference=1", "--wait", "--json")
    told = json.loads(result.stdout)
    assert (result.exit_code, told["state"], told["ap"]) == (code, end, {})
    assert told["run"] == the(fake.runs)["run_id"]
    assert f"took    {told['seconds']:.1f} s" in result.stderr


def test_a_dry_run_checks_parameters_and_sends_nothing(fake, tiny):
    good = run("run", tiny, "-p", "reference=1", "--dry-run")
    assert (good.exit_code, fake.changes) == (0, [])
    assert re.fullmatch(r"would start a run of .* in the experiment bodyposenet; nothing was sent\n", good.stdout)
    bad = run("run", tiny, "-p", "refrence=1", "--dry-run")
    assert (bad.exit_code, bad.stdout, fake.changes) == (2, "", [])


def test_the_log_of_a_failed_task_is_asked_for_with_the_token(tiny, monkeypatch):
    monkeypatch.setenv(TOKEN, "secret")
    with kubeflow(token="secret", states=("FAILED",)) as fake:
        result = run("run", tiny, "-p", "reference=1", "--wait", "--host", fake.url)
    assert result.stderr.splitlines()[1:] == ["  gate failed: planted in a task"]


def test_a_failed_task_without_a_log_is_named_with_the_command_that_shows_it(fake, tiny):
    fake.states, fake.keeps_logs = ("FAILED",), False
    result = run("run", tiny, "-p", "reference=1", "--wait")
    (named,) = result.stderr.splitlines()[1:]
    label = f"workflows.argoproj.io/workflow={fake.workflows[-1]}"
    command = rf"kubectl logs -n kubeflow -l {label} -c main --prefix --tail=-1 \| grep -- -\d+/"
    assert re.fullmatch(rf"  gate failed; its log, while its pod is there: {command}", named)


def test_of_many_tasks_that_failed_the_first_are_told_and_how_many_more():
    parts = [[draw_task("prune", "FAILED")] for _ in range(6)]
    failed = answer_with(draw_loop(3, parts, "FAILED"), draw_task("train", "FAILED", failed=2), state="FAILED")
    with kubeflow() as fake:
        told = find_reasons(Server(fake.url), failed)
    assert [line.partition(";")[0] for line in told[:3]] == [f"prune {number} of 6 failed" for number in (1, 2, 3)]
    assert told[3:] == ["and 4 more failed"]


def test_the_reason_of_the_last_try_that_left_one_is_told_with_its_number():
    failed = answer_with(draw_task("train", "FAILED", failed=2), state="FAILED")
    (task,) = [task for task in Tree(failed).list_tasks() if task.name == "train"]
    first, second, third = (f"drawn-x7k2p-system-container-impl-{read_number(pod)}" for pod in task.pods)
    with kubeflow() as fake:
        fake.logs = {first: "train failed: no photos\n", second: "train failed: no memory\n"}
        assert find_reasons(Server(fake.url), failed) == ["train failed (try 3): no memory"]
        fake.logs = {}
        rows = [TaskRow("train", "FAILED", 2.0, "no disk\nat all", {}, third, 5.0)]
        assert find_reasons(Server(fake.url), failed, rows) == ["train failed (try 3): no disk"]


def test_a_failure_that_the_list_does_not_hold_is_told_by_mlflow_or_not_at_all():
    failed = answer_with(draw_task("train", "SUCCEEDED"), state="FAILED")
    with kubeflow() as fake:
        rows = [TaskRow("evaluate_int8", "FAILED", 2.0, "no people", {}, "drawn-x7k2p-system-1", 5.0)]
        assert find_reasons(Server(fake.url), failed, rows) == ["evaluate_int8 failed: no people"]
        (line,) = find_reasons(Server(fake.url), failed)
    assert line.startswith("Kubeflow does not tell which task; if pods of it are there: kubectl logs -n kubeflow -l ")


@pytest.mark.data
def test_a_recorded_failure_is_explained_by_its_recorded_log(data_folder):
    failed = read_recorded(data_folder, "run_failed_no_champion")[-1]
    calls = map(json.loads, (data_folder / "kubeflow/calls.jsonl").read_text().splitlines())
    (log,) = [call for call in calls if call["path"].endswith("/log")]
    with kubeflow() as fake:
        fake.logs = {log["path"].split("/")[-2]: log["answer_text"]}
        (line,) = find_reasons(Server(fake.url), failed)
    assert line.startswith("infer_batch failed: registered model nobody: has no version or alias 'champion'; run")


@pytest.mark.data
def test_the_driver_that_failed_is_named_with_the_command_that_shows_its_log(data_folder):
    failed = read_recorded(data_folder, "run_failed_before_any_task")[-1]
    with kubeflow() as fake:
        (line,) = find_reasons(Server(fake.url), failed)
    assert line.startswith("the driver of fingerprint failed; its log, while its pod is there: kubectl logs ")
    assert line.endswith(" | grep -- -2268253712/")


def test_whoever_no_longer_waits_is_told_that_the_run_goes_on(fake, tiny, monkeypatch):
    def press_ctrl_c(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", press_ctrl_c)
    result = run("run", tiny, "-p", "reference=1", "--wait")
    assert result.exit_code == 130
    key = the(fake.runs)["run_id"]
    told = f"the run goes on: {fake.url}/#/runs/details/{key}; wait again: bpnet pipeline wait {key}"
    assert told in result.stderr


def test_waiting_outlasts_a_server_that_starts_anew(fake, tiny):
    fake.fail("GET /runs/.*", times=3)
    assert run("run", tiny, "-p", "reference=1", "--wait").exit_code == 0


def test_waiting_for_a_server_that_stays_away_ends_with_2(fake, tiny, monkeypatch):
    monkeypatch.setattr(follow, "MISSES", 2)
    fake.fail("GET /runs/.*", times=2)
    result = run("run", tiny, "-p", "reference=1", "--wait")
    assert result.exit_code == 2
    assert "it fails (503: planted)" in result.stderr


class Screen(io.StringIO):
    """A terminal that keeps what it shows: lines, of which the last is written on."""

    def __init__(self):
        super().__init__()
        self.lines = [""]

    def isatty(self):
        return True

    def write(self, text):
        for part in re.findall(r"\x1b\[2K|\x1b\[1A|\r|\n|[^\x1b\r\n]+", text):
            if part == "\x1b[1A":
                self.lines.pop()
            elif part == "\n":
                self.lines.append("")
            elif part == "\x1b[2K":
                self.lines[-1] = ""
            elif part != "\r":
                self.lines[-1] += part


def show(view, *runs):
    story = Story()
    for each in runs:
        view.show(each, list(story.tell(each)), story)


def test_on_a_terminal_a_table_is_drawn_in_the_place_of_the_one_before():
    screen = Screen()
    view = View(screen)
    show(view, answer_with(draw_task("train")), answer_with(draw_task("train"), draw_task("prune", failed=1)))
    assert [line.split()[:2] for line in screen.lines[:2]] == [["drawn", "RUNNING"], ["train", "RUNNING"]]
    assert screen.lines[2].split()[:4] == ["prune", "try", "2", "RUNNING"]
    end = answer_with(draw_task("train", "SUCCEEDED"), draw_task("prune", "SUCCEEDED", failed=1), state="SUCCEEDED")
    show(view, end)
    view.terminal.close(keep=True)
    view.terminal.say("that was it")
    assert [re.split(r"  +", line) for line in screen.lines] == [
        ["drawn", "SUCCEEDED", "4:05"],
        ["train", "SUCCEEDED", "1.0 s"],
        ["prune try 2", "SUCCEEDED", "1.0 s"],
        ["that was it"],
        [""],
    ]


def test_a_task_whose_end_was_never_told_is_shown_as_such_once_the_run_has_ended():
    screen, story = Screen(), Story()
    for each in (answer_with(draw_task("train")), answer_with(draw_task("train"), state="SUCCEEDED")):
        View(screen).show(each, list(story.tell(each)), story)
    assert screen.lines[-1].split() == ["train", "not", "told"]


def test_without_a_terminal_a_run_without_news_is_told_of_once_a_minute():
    file, story, running = io.StringIO(), Story(), answer_with(draw_task("train"))
    moment = 0.0
    view = View(file, lambda: moment)
    for moment in (0.0, 59.0, 61.0, 100.0, 122.0):  # noqa: B007 - the clock reads it
        view.show(running, list(story.tell(running)), story)
    *news, first, second = [line.partition(" ")[2] for line in file.getvalue().splitlines()]
    assert news == ["train: RUNNING", "run: RUNNING"]
    assert re.fullmatch(r"RUNNING for [\d:]+: train [\d:]+", first)
    assert re.fullmatch(r"RUNNING for [\d:]+: train [\d:]+", second)


@pytest.mark.parametrize("by_name", [True, False])
def test_a_run_is_waited_for_by_its_name_or_its_id(fake, tiny, by_name):
    first, second = start(fake, tiny, "first 50%", "second")
    result = run("wait", "first 50%" if by_name else first)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == f"run {first}: {fake.url}/#/runs/details/{first}"
    assert fake.runs[first]["state"] == "SUCCEEDED"
    assert fake.runs[second]["state"] == "PENDING"


def test_waiting_for_a_run_that_failed_says_why(fake, tiny):
    fake.states = ("FAILED",)
    start(fake, tiny, "mine")
    result = run("wait", "mine")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "  gate failed: planted in a task"


def test_of_several_runs_of_one_name_it_is_the_one_that_goes_on_or_the_newest(fake, tiny):
    old, new = start(fake, tiny, "mine", "mine")
    result = run("wait", "mine")
    assert result.exit_code == 2
    assert result.stderr == f"error: mine: 2 runs of this name go on; say which, by its id: {new}, {old}\n"
    run("wait", new)
    assert f"run {old}: " in run("wait", "mine").stdout
    assert f"run {new}: " in run("wait", "mine").stdout


@pytest.mark.parametrize("verb", ["wait", "stop"])
@pytest.mark.parametrize("named", ["nihgtly 3", "00000000-0000-0000-0000-000000000000"])
def test_a_run_that_is_not_there_is_told_with_the_names_of_those_near(fake, tiny, verb, named):
    assert run(verb, named).stderr == f"error: {named}: no such run; there are no runs yet\n"
    start(fake, tiny, "nightly 1", "nightly 3")
    result = run(verb, named)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {named}: no such run; did you mean 'nightly 3'")
    assert [each["state"] for each in fake.runs.values()] == ["PENDING", "PENDING"]


def test_a_run_is_ended_once(fake, tiny):
    other, mine = start(fake, tiny, "other", "mine")
    result = run("stop", "mine")
    assert (result.exit_code, fake.runs[mine]["state"], fake.runs[other]["state"]) == (0, "CANCELING", "PENDING")
    assert result.stdout == f"run {mine} (mine) is being ended; bpnet pipeline wait {mine} tells when it has\n"
    assert run("wait", "mine").exit_code == 1
    before = len(fake.changes)
    assert run("stop", "mine").stdout == f"run {mine} (mine) has ended already: FAILED\n"
    assert len(fake.changes) == before


def test_the_newest_runs_are_listed_first(fake, tiny):
    start(fake, tiny, "a", "b", "c", experiment="night")
    (day,) = start(fake, tiny, "d", experiment="day")
    run("stop", "d")
    headings, *rows = [re.split(r"  +", line) for line in run("list").stdout.splitlines()]
    assert headings == ["name", "state", "started", "duration", "id"]
    assert [row[:2] for row in rows] == [["d", "CANCELING"], *([name, "PENDING"] for name in "cba")]
    assert rows[0][4] == day
    assert [row.split()[0] for row in run("list", "--limit", "2").stdout.splitlines()[1:]] == ["d", "c"]
    assert [row.split()[0] for row in run("list", "--experiment", "night").stdout.splitlines()[1:]] == ["c", "b", "a"]


def test_runs_are_listed_as_json(fake, tiny):
    (key,) = start(fake, tiny, "mine")
    (told,) = json.loads(run("list", "--json").stdout)["runs"]
    assert told.keys() == {"name", "state", "started", "seconds", "id"}
    assert (told["name"], told["state"], told["id"]) == ("mine", "PENDING", key)
    assert told["started"] == the(fake.runs)["created_at"]


def test_an_experiment_that_is_not_there_is_not_made(fake):
    result = run("list", "--experiment", "nights")
    assert (result.exit_code, fake.changes) == (2, [])
    assert "nights: no such experiment; leave --experiment out" in result.stderr


def test_runs_of_one_user_of_several_are_listed(tiny, monkeypatch):
    with kubeflow(multi_user=True) as fake:
        monkeypatch.setenv(HOST, fake.url)
        monkeypatch.setenv(NAMESPACE, "mine")
        start(fake, tiny, "one")
        assert "one   PENDING" in run("list").stdout
