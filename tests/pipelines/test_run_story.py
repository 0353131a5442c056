"""Run story: what is told of runs that a real Kubeflow ran, and why they failed."""

import gzip
import json
from collections import Counter

import kfp_server_api as api
import pytest

from bodyposenet.pipelines.run_story import STANDS_STILL, Story, find_failures, read_reason

STILL = ": ".join(STANDS_STILL)
RECORDED = ["run_good", "run_from_cache", "run_failed_no_champion", "run_short", "run_failed_before_any_task"]


class Answer:
    """What the client makes a model of."""

    def __init__(self, document):
        self.data = json.dumps(document)


def model(document):
    return api.ApiClient().deserialize(Answer(document), "V2beta1Run")


@pytest.fixture
def recorded(data_folder):
    def read(name):
        with gzip.open(data_folder / "kubeflow" / f"{name}.jsonl.gz", "rt") as lines:
            return [model(json.loads(line)["run"]) for line in lines]

    return read


@pytest.mark.data
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_run_is_told_in_few_lines_of_which_none_comes_twice(recorded, name):
    story = Story()
    lines = [line for run in recorded(name) for line in story.tell(run)]
    assert [line for line, times in Counter(lines).items() if times > 1] == []
    tasks = Counter(line.rpartition(": ")[0] for line in lines if line != STILL)
    assert max(times for thing, times in tasks.items() if thing != "run") <= 2
    assert not [
        thing
        for thing in tasks
        if thing.startswith(("root", "exit-handler", "condition", "executor")) or "(" in thing or "iteration" in thing
    ]
    assert lines[-1].startswith("run: ")


@pytest.mark.data
def test_the_tasks_of_the_good_run_are_those_of_the_pipeline_until_the_list_stands_still(recorded):
    story = Story()
    lines = [line for run in recorded("run_good") for line in story.tell(run)]
    assert {"fingerprint: SUCCEEDED", "dataset-convert: SUCCEEDED", "train: SUCCEEDED", "prune: SUCCEEDED"} <= set(
        lines
    )
    assert lines.index(STILL) == len(lines) - 2
    assert lines[-1] == "run: SUCCEEDED"


@pytest.mark.data
def test_what_failed_is_named_with_the_pod_that_knows_why(recorded):
    assert find_failures(recorded("run_failed_no_champion")[-1]) == (
        ["infer-batch"],
        ["batch-inference-zhlhh-636944484"],
    )
    names, pods = find_failures(recorded("run_failed_before_any_task")[-1])
    assert "the driver of root" in names
    assert pods


@pytest.mark.data
def test_the_recorded_log_says_why_in_our_own_line(data_folder):
    calls = map(json.loads, (data_folder / "kubeflow/calls.jsonl").read_text().splitlines())
    (log,) = [call["answer_text"] for call in calls if call["path"].endswith("/log")]
    assert read_reason(log).startswith(
        "infer_batch failed: registered model nobody: has no version or alias 'champion'; run"
    )


@pytest.mark.parametrize(("log", "reason"), [
    ("a\nValueError: no\nE1 x] Component failed to execute successfully: exit status 1\nend\n", "ValueError: no"),
    ("only this\n", "only this"),
    ("", ""),
])  # fmt: skip
def test_other_logs_say_what_stands_before_the_launcher_s_word(log, reason):
    assert read_reason(log) == reason


def node(name, state, number, start="2026-11-28T19:00:00Z", pods=()):
    child_tasks = [{"pod_name": pod} for pod in pods]
    return {
        "display_name": name,
        "state": state,
        "task_id": f"id-{number}",
        "start_time": start,
        "child_tasks": child_tasks,
    }


def test_a_loop_s_tasks_are_counted_and_tries_are_told_once():
    parts = [node("dataset-convert", "RUNNING", number, f"2026-11-28T19:0{number}:00Z") for number in range(3)]
    tries = [node("train", "RUNNING", 7), node("train(0)", "FAILED", 8), node("train(1)", "RUNNING", 9)]
    story = Story()
    first = {"state": "RUNNING", "run_details": {"task_details": [*parts[::-1], *tries]}}
    assert list(story.tell(model(first))) == [
        "dataset-convert 1 of 3: RUNNING", "train: RUNNING", "dataset-convert 2 of 3: RUNNING",
        "dataset-convert 3 of 3: RUNNING", "run: RUNNING",
    ]  # fmt: skip
    assert list(story.tell(model(first))) == []
    parts[1]["state"] = "SUCCEEDED"
    assert list(story.tell(model(first))) == ["dataset-convert 2 of 3: SUCCEEDED"]
