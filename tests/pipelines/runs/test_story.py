"""Story: what is told of runs that a real Kubeflow ran, and of others drawn after their shape."""

import json
from collections import Counter

import pytest
from support.run_answers import answer_with, draw_group, draw_loop, draw_task, read_recorded

from bodyposenet.common.tracking.history import TaskRow
from bodyposenet.pipelines.runs.nodes import Tree, hash_path
from bodyposenet.pipelines.runs.reasons import read_reason
from bodyposenet.pipelines.runs.story import STANDS_STILL, TELLS_ON, WOULD_TELL, Story, read_number

RECORDED = ["run_good", "run_from_cache", "run_failed_no_champion", "run_short", "run_failed_before_any_task"]


def tell(story, run):
    return [line for line in story.tell(run) if not line.startswith("run: ")]


@pytest.fixture
def recorded(data_folder):
    return lambda name: read_recorded(data_folder, name)


@pytest.mark.parametrize(("text", "number"), [("", 2166136261), ("a", 3826002220), ("foobar", 3214735720)])
def test_paths_are_hashed_by_fnv_1a(text, number):
    assert hash_path(text) == number
    assert hash_path(text[1:], hash_path(text[:1])) == number


@pytest.mark.data
@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_run_is_told_in_few_lines_of_which_none_comes_twice(recorded, name):
    story = Story()
    lines = [line for run in recorded(name) for line in story.tell(run)]
    assert [line for line, times in Counter(lines).items() if times > 1] == []
    tasks = Counter(line.rpartition(": ")[0] for line in lines if line != story.note)
    assert max(times for thing, times in tasks.items() if thing != "run") <= 2
    assert not [
        thing
        for thing in tasks
        if thing.startswith(("root", "exit-handler", "condition", "executor")) or "(" in thing or "iteration" in thing
    ]
    assert lines[-1].startswith("run: ")


@pytest.mark.data
@pytest.mark.parametrize("name", RECORDED)
def test_every_node_that_a_recorded_answer_names_has_its_place(recorded, name):
    for run in recorded(name):
        listed = (run.run_details and run.run_details.task_details) or []
        named = {read_number(child.pod_name) for task in listed for child in task.child_tasks or []}
        assert set(Tree(run).places) == named


@pytest.mark.data
def test_the_tasks_of_the_good_run_are_those_of_the_pipeline_until_the_list_stands_still(recorded):
    story = Story()
    lines = [line for run in recorded("run_good") for line in story.tell(run)]
    assert {"fingerprint: SUCCEEDED", "dataset_convert: SUCCEEDED", "train: SUCCEEDED", "prune: SUCCEEDED"} <= set(
        lines
    )
    assert lines[-2:] == [STANDS_STILL + WOULD_TELL, "run: SUCCEEDED"]
    assert [row.measure(None) for row in story.rows.values() if row.name == "train"] == [103.0]


@pytest.mark.data
def test_what_came_from_the_cache_is_told_in_one_line(recorded):
    story = Story()
    lines = [line for run in recorded("run_from_cache") for line in story.tell(run)]
    assert [line for line in lines if line.startswith("train")] == [
        f"{task}: SUCCEEDED from the cache" for task in ("train", "train-2")
    ]
    assert [line for line in lines if line.startswith(("fingerprint", "summary"))] == [
        f"{task}: {state}" for task in ("fingerprint", "summary") for state in ("RUNNING", "SUCCEEDED")
    ]


@pytest.mark.data
def test_the_driver_that_failed_is_named(recorded):
    story = Story()
    lines = [line for run in recorded("run_failed_before_any_task") for line in story.tell(run)]
    assert "the driver of fingerprint: FAILED" in lines
    assert not [line for line in lines if line.startswith("fingerprint")]


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


def test_a_loop_s_tasks_are_told_by_their_number():
    def draw(*states):
        return draw_group("condition-2", draw_loop(3, [[draw_task("dataset-convert", state)] for state in states]))

    story = Story()
    assert tell(story, answer_with(draw("RUNNING", "RUNNING", "RUNNING"))) == [
        f"dataset_convert {number} of 3: RUNNING" for number in (1, 2, 3)
    ]
    assert tell(story, answer_with(draw("RUNNING", "SUCCEEDED", "RUNNING"))) == ["dataset_convert 2 of 3: SUCCEEDED"]
    assert tell(story, answer_with(draw("RUNNING", "SUCCEEDED", "FAILED"))) == ["dataset_convert 3 of 3: FAILED"]


def test_the_first_part_that_begins_is_one_of_as_many_as_there_are():
    parts = [[draw_task("dataset-convert")], [draw_task("dataset-convert", began=False)], []]
    assert tell(Story(), answer_with(draw_loop(3, parts))) == ["dataset_convert 1 of 3: RUNNING"]


def test_a_loop_of_one_part_is_told_without_a_number():
    assert tell(Story(), answer_with(draw_loop(3, [[draw_task("dataset-convert")]]))) == ["dataset_convert: RUNNING"]


def test_loops_in_loops_have_a_number_each():
    inner = [[draw_loop(4, [[draw_task("prune")], [draw_task("prune")]])] for _ in range(2)]
    assert tell(Story(), answer_with(draw_loop(3, inner))) == [
        f"prune {outer} of 2 {number} of 2: RUNNING" for outer in (1, 2) for number in (1, 2)
    ]


def test_the_second_try_of_a_task_is_told_as_such():
    story = Story()
    assert tell(story, answer_with(draw_task("train"))) == ["train: RUNNING"]
    assert tell(story, answer_with(draw_task("train", failed=1))) == ["train try 2: RUNNING"]
    assert tell(story, answer_with(draw_task("train", failed=1))) == []
    assert tell(story, answer_with(draw_task("train", "SUCCEEDED", failed=1))) == ["train try 2: SUCCEEDED"]
    assert [row.tries for row in story.rows.values()] == [2]


def test_a_task_that_is_called_like_a_driver_is_told_and_drivers_are_not():
    run = answer_with(draw_task("test-driver"), draw_group("screw-driver", draw_task("train")))
    assert sorted(tell(Story(), run)) == ["test_driver: RUNNING", "train: RUNNING"]


def test_tasks_of_one_name_in_several_sub_pipelines_are_told_by_where_they_lie():
    run = answer_with(draw_task("train"), draw_group("shrink", draw_group("again", draw_task("train"))))
    assert tell(Story(), run) == ["train: RUNNING", "train in again: RUNNING"]


@pytest.mark.parametrize("depth", range(4))
def test_a_task_is_told_however_deep_it_lies(depth):
    task = draw_task("train-2")
    for number in range(depth):
        task = draw_group(f"layer{number}", task)
    assert tell(Story(), answer_with(task)) == ["train-2: RUNNING"]


def stand_still(run, looks=3):
    """Answers as ``run``, to which each look adds a node without name and state."""
    for _ in range(looks):
        yield run
        nameless = type(run.run_details.task_details[0])(execution_id="7")
        run.run_details.task_details = [*run.run_details.task_details, nameless]


def number_executor(run, name):
    """Id of the pod of a task, as Kubernetes calls it."""
    (task,) = [task for task in Tree(run).list_tasks() if task.name == name]
    workflow, _, number = task.pods[-1].rpartition("-")
    return f"{workflow}-retry-system-container-impl-{number}"


def test_where_the_list_stands_still_mlflow_tells_on():
    run = answer_with(draw_task("train", "SUCCEEDED"), draw_task("prune"))
    rows = [TaskRow("train", "FINISHED", 60.0, "", {}, number_executor(run, "train"), 100.0)]
    rows += [TaskRow("prune", "RUNNING", None, "", {}, number_executor(run, "prune"), 200.0)]
    story = Story(tracked=True)
    for look in stand_still(run):
        lines = [*tell(story, look), *story.tell_tracked(rows)]
    assert lines == [STANDS_STILL + TELLS_ON]
    rows[1] = TaskRow("prune", "FINISHED", 30.0, "", {"kept": 0.5}, rows[1].pod, 200.0)
    rows += [TaskRow("evaluate_pruned", "RUNNING", None, "", {}, "drawn-x7k2p-impl-1", 240.0)]
    assert list(story.tell_tracked(rows)) == ["prune: SUCCEEDED", "evaluate_pruned: RUNNING"]
    rows[2] = TaskRow("evaluate_pruned", "FAILED", 5.0, "away", {}, "drawn-x7k2p-impl-1", 240.0)
    assert list(story.tell_tracked(rows)) == ["evaluate_pruned: FAILED"]
    rows += [TaskRow("evaluate_pruned", "FINISHED", 5.0, "", {"ap": 0.51}, "drawn-x7k2p-impl-2", 260.0)]
    assert list(story.tell_tracked(rows)) == ["evaluate_pruned try 2: SUCCEEDED"]
    assert list(story.tell_tracked(rows)) == []
    assert [(row.title, row.numbers) for row in story.rows.values()] == [
        ("train", ""), ("prune", "kept 0.5"), ("evaluate_pruned try 2", "ap 0.51"),
    ]  # fmt: skip


def test_as_long_as_the_list_moves_mlflow_adds_but_numbers():
    run = answer_with(draw_task("train"))
    story = Story(tracked=True)
    tell(story, run)
    rows = [
        TaskRow("train", "FINISHED", 60.0, "", {"val_ap": 0.5}, number_executor(run, "train"), 100.0),
        TaskRow("prune", "RUNNING", None, "", {}, "drawn-x7k2p-impl-1", 200.0),
    ]
    assert list(story.tell_tracked(rows)) == []
    assert [(row.name, row.state, row.numbers) for row in story.rows.values()] == [("train", "RUNNING", "val_ap 0.5")]


def test_tasks_of_one_name_that_run_side_by_side_are_no_tries_of_one():
    story = Story(tracked=True, note="Kubeflow tells no more")
    rows = [TaskRow("prune", state, 9.0, "", {}, f"drawn-x7k2p-impl-{number}", number)
            for number, state in enumerate(("FINISHED", "FAILED", "RUNNING", "FINISHED"), start=1)]  # fmt: skip
    assert list(story.tell_tracked(rows)) == [
        "prune: SUCCEEDED", "prune in MLflow try 2: RUNNING", "prune (3): SUCCEEDED",
    ]  # fmt: skip
