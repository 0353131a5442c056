"""Recorded calls: the tests' Kubeflow server answers what a real one was asked as that one did.

Every recorded call is made again, in order. Where the real one gave an id, the fake gave one of its own; paths and
bodies that name it are rewritten. What people and controllers did between the calls stands in ``BETWEEN``.
"""

import gzip
import json
import re
from collections import Counter
from functools import cache

import pytest
from click.testing import CliRunner
from support.kubeflow_fake import kubeflow
from support.kubeflow_rules import Refusal
from support.kubeflow_store import DATABASE, KUBERNETES
from urllib3 import PoolManager, encode_multipart_formdata

from bodyposenet.common.cli.main import main
from bodyposenet.common.errors import UserError
from bodyposenet.pipelines import package
from bodyposenet.pipelines.runs import follow
from bodyposenet.pipelines.runs.reasons import read_reason
from bodyposenet.pipelines.runs.story import STANDS_STILL, WOULD_TELL
from bodyposenet.pipelines.server.access import HOST, NAMESPACE
from bodyposenet.pipelines.server.connection import Server

find_package = cache(package.find_package)
CUT = "(the compiled pipeline)"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NEVER = ("1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z")
DEFAULT_EXPERIMENT = "e2d21c28-e3b4-4d64-8deb-3dd2a75c0c6e"
BY_CLOCK = "f7d5d40b-3819-48c6-be35-00dd0ef01dda"  # a run that the schedule every-minute has started
NO_CHAMPION = "e691597a-641e-43bc-9cd7-261ce066adf1"
FAILED_NODE = "batch-inference-zhlhh-retry-system-container-impl-636944484"
WRONG_SPEC = {"root": {}}  # the body of line 94 is cut: this stands for it
# What is not compared, by the lines of calls.jsonl, and why
DIFFERENT = {78: "a log is what the task has printed; compared is the line that says why, and who writes after it"}


def a_run_by_the_clock(fake, ids):
    (schedule,) = [key for key, each in fake.recurring.items() if each["display_name"] == "every-minute"]
    ids[BY_CLOCK] = fake.run_by_clock(schedule)["run_id"]


def tell_a_failure(fake, ids):
    run = ids[NO_CHAMPION]
    fake.continue_run(run, "FAILED")
    fake.tell_run({}, None, run)
    (ids[FAILED_NODE],) = fake.logs


def store_in(store):
    def switch(fake, ids):
        fake.pipeline_store = store

    return switch


def name_the_default(fake, ids):
    ids[DEFAULT_EXPERIMENT] = fake.find_default()["experiment_id"]


def delete_scheduled_workflow(fake, ids):
    (schedule,) = [key for key, each in fake.recurring.items() if each["display_name"] == "gone"]
    fake.gone.add(fake.scheduled[schedule])


BETWEEN = {  # before the call of which line, and what
    53: a_run_by_the_clock,
    77: a_run_by_the_clock,
    78: tell_a_failure,
    80: store_in(KUBERNETES),
    89: store_in(DATABASE),
    115: name_the_default,
    116: delete_scheduled_workflow,
}


class Replay:
    """Makes recorded calls again, and compares the answers."""

    def __init__(self, fake):
        self.fake, self.ids, self.pool, self.pipelines = fake, {}, PoolManager(retries=False), {}

    def repeat(self, line, call):
        """Make a call, and give both answers in a form that can be compared."""
        BETWEEN.get(line, lambda *_: None)(self.fake, self.ids)
        body, kind = self._body(line, call)
        headers = {"Content-Type": kind} if body is not None else {}
        answer = self.pool.request(
            call["method"], self.fake.url + self._rename(call["path"]), body=body, headers=headers
        )
        if "answer_text" in call:
            told = answer.data.decode()
        else:
            told = answer.json()
            self._learn(call["answer"], told)
        recorded = call["answer"] if "answer" in call else call["answer_text"]
        return (
            (call["status"], call["type"], normalize(json.loads(self._rename(json.dumps(recorded))))),
            (answer.status, answer.headers["Content-Type"], normalize(told)),
        )

    def _rename(self, text):
        for recorded, given in self.ids.items():
            text = text.replace(recorded, given)
        return text

    def _learn(self, recorded, told):
        """Remember which id stands for which."""
        if isinstance(recorded, dict) and isinstance(told, dict):
            for key in recorded.keys() & told.keys():
                if key.endswith("_id"):
                    self.ids.setdefault(recorded[key], told[key])
                    if key == "pipeline_id":
                        self.pipelines[recorded[key]] = recorded.get("name")
                self._learn(recorded[key], told[key])
        elif isinstance(recorded, list) and isinstance(told, list):
            for each, other in zip(recorded, told, strict=False):
                self._learn(each, other)

    def _body(self, line, call):
        """Give what was sent and its type, with a compiled pipeline of ours where the recorded one was cut."""
        body = call.get("body")
        if body is None:
            return None, None
        if body == "(multipart: uploadfile)":
            name = next(
                each["display_name"] for key, each in self.fake.pipelines.items() if key in self._rename(call["path"])
            )
            return encode_multipart_formdata({"uploadfile": ("x.yaml", find_package(name).text())})
        if isinstance(body, str):
            body = self._mend(body, call["answer"])
        if body.get("pipeline_spec") == CUT:
            body = {**body, "pipeline_spec": WRONG_SPEC}
        return self._rename(json.dumps(body)), "application/json"

    def _mend(self, text, answer):
        """Make a whole body of a cut one: its pipeline is known by its first component."""
        head = json.loads(text[: text.index(', "pipeline_spec": ')] + "}")
        config = {"runtime_config": answer.get("runtime_config", {"parameters": {}})}
        package = find_package("prune_retrain" if "comp-calibrate" in text else "batch_inference")
        return {**head, "pipeline_spec": package.documents(), **config}


def normalize(value):
    """Leave out what no two servers have in common: times, generated names, and pipelines that were cut."""
    if isinstance(value, dict):
        whole = {key: normalize(each) for key, each in value.items()}
        return {**whole, "pipeline_spec": CUT} if "pipeline_spec" in whole else whole
    if isinstance(value, list):
        return [normalize(each) for each in value]
    if isinstance(value, str):
        text = "TIME" if TIME.fullmatch(value) and value not in NEVER else value
        return re.sub(r'"gone\w{5}"', '"gone....."', text)
    return value


@pytest.fixture(scope="module")
def answers(data_folder):
    """Both answers to every recorded call, by its line."""
    with kubeflow() as fake, (data_folder / "kubeflow/calls.jsonl").open() as lines:
        replay = Replay(fake)
        return {line: replay.repeat(line, json.loads(text)) for line, text in enumerate(lines, 1)}


@pytest.mark.data
def test_every_recorded_call_gets_the_recorded_status_and_type(answers):
    assert len(answers) == 128
    assert {line: (told[:2], real[:2]) for line, (real, told) in answers.items() if told[:2] != real[:2]} == {}


@pytest.mark.data
def test_every_recorded_call_gets_the_recorded_answer(answers):
    different = {line: (told[2], real[2]) for line, (real, told) in answers.items() if told[2] != real[2]}
    assert {line: both for line, both in different.items() if line not in DIFFERENT} == {}
    assert set(different) == set(DIFFERENT)


@pytest.mark.data
def test_a_failed_task_s_log_ends_as_the_recorded_one(answers):
    recorded, told = (each[2] for each in answers[78])
    assert read_reason(recorded).startswith("infer_batch failed: ")
    assert read_reason(told).startswith("infer_batch failed: ")
    writers = [re.findall(r"^[IEF]\d{4} \S+ +\d+ (\w+\.go):\d+\]", text, re.MULTILINE) for text in (recorded, told)]
    assert writers[0][-2:] == writers[1][-2:] == ["launcher_v2.go", "main.go"]


class Recorded(Refusal):
    """A refusal in the words of a recorded answer."""

    def __init__(self, call):
        super().__init__(call["status"], "")
        self.call = call

    def body(self):
        return self.call["answer"]

    def answer(self, query, body):
        raise self


@pytest.mark.data
def test_every_recorded_refusal_is_told_in_a_short_line_and_its_message_says_whose_mistake_it_was(data_folder):
    calls = map(json.loads, (data_folder / "kubeflow/calls.jsonl").read_text().splitlines())
    refusals = {line: Recorded(call) for line, call in enumerate(calls, 1) if call["status"] >= 400}
    told = {}
    with kubeflow() as fake:
        for line, refusal in refusals.items():
            fake.tell_health = refusal.answer
            with pytest.raises(UserError) as caught:
                Server(fake.url)
            told[line] = caught.value
    kinds = {line: type(error).__name__ for line, error in told.items()}
    assert {line for line, kind in kinds.items() if kind == "UnstoredError"} == {55, 57, 63, 65}
    assert {line for line, kind in kinds.items() if kind == "GoneError"} == {116, 117}
    assert {line for line, kind in kinds.items() if kind == "MissingError"} == {89, 92, 95, 119}
    assert set(kinds.values()) == {"UnstoredError", "GoneError", "MissingError", "UserError"}
    assert max(len(str(error)) for error in told.values()) < 260
    assert not [error for error in told.values() if re.search(r"\n|Internal|Error \d|mlpipeline", str(error))]


def read_run(data_folder, name):
    with gzip.open(data_folder / "kubeflow" / f"{name}.jsonl.gz", "rt") as lines:
        return [json.loads(line)["run"] for line in lines]


def list_kinds(run):
    """Name, state, fields and number of children of each task of a run, whose workflow is called W."""
    tasks = run["run_details"]["task_details"]
    workflow = min((task["display_name"] for task in tasks if task["display_name"].startswith("batch-inf")), key=len)
    return Counter(
        (task["display_name"].replace(workflow, "W"), task["state"], *sorted(task), len(task.get("child_tasks", [])))
        for task in tasks
    )


def start_on(fake, name):
    """Start a pipeline's run on a fake, and return its id."""
    return fake.add_run({}, {"display_name": "one", "pipeline_spec": find_package(name).documents()})["run_id"]


@pytest.mark.data
@pytest.mark.parametrize(("name", "place", "states"), [
    ("run_short", -1, ["RUNNING", "SUCCEEDED"]),
    ("run_failed_no_champion", -1, ["RUNNING", "FAILED"]),
    ("run_failed_no_champion", 4, ["RUNNING"]),
])  # fmt: skip
def test_a_run_and_its_tasks_are_told_as_the_recorded_ones(data_folder, name, place, states):
    recorded = read_run(data_folder, name)[place]
    with kubeflow(states=states) as fake:
        run = start_on(fake, "batch_inference")
        told = [fake.tell_run({}, None, run) for _ in states][-1]
    assert list_kinds(told) == list_kinds(recorded)
    assert [each["state"] for each in told["state_history"]] == [each["state"] for each in recorded["state_history"]]
    assert told.keys() - {"pipeline_spec"} == recorded.keys() - {"pipeline_spec", "runtime_config"}


@pytest.mark.data
def test_loops_conditions_and_exit_handlers_are_wrapped_as_the_recorded_ones(data_folder):
    def name_wrappers(run):
        names = [task["display_name"] for task in run["run_details"]["task_details"]]
        wrappers = [name for name in names if re.match(r"root|exit-handler|condition|for-loop|iteration", name)]
        return {re.sub(r"\d+", "N", name) for name in wrappers}

    with kubeflow(states=["SUCCEEDED"]) as fake:
        told = fake.tell_run({}, None, start_on(fake, "prune_retrain"))
    assert name_wrappers(told) == name_wrappers(read_run(data_folder, "run_from_cache")[-1])


@pytest.mark.data
def test_a_list_that_stands_still_is_told_once_and_the_run_is_followed_to_its_end(data_folder, monkeypatch):
    monkeypatch.setattr(follow, "PAUSE", 0)
    monkeypatch.delenv(NAMESPACE, raising=False)
    with kubeflow(story=read_run(data_folder, "run_good")) as fake:
        monkeypatch.setenv(HOST, fake.url)
        done = CliRunner().invoke(main, ["pipeline", "run", "batch_inference", "--wait"], catch_exceptions=False)
    told = [line.partition(" ")[2] for line in done.stdout.splitlines()[1:]]
    assert done.exit_code == 0
    assert told[-4:-2] == [STANDS_STILL + WOULD_TELL, "run: SUCCEEDED"]
    assert {"train: SUCCEEDED", "prune: SUCCEEDED"} <= set(told)
    assert [line for line, times in Counter(told).items() if times > 1] == []
