"""Tracking against a real MLflow server that keeps the artifacts itself: registry, datasets, Kubeflow's own logging."""

import base64
import json
import os
import shlex
import threading

import cv2
import pytest
from support.documents import SHELL, Plan, Reader, blocks_of
from support.mlflow_server import MLflow2, RefusedError, Relay, ask, relaying, serving
from support.person_net import BRIGHT, DARK, assert_the_person, write_network
from support.registry import assert_the_way

from bodyposenet.common.errors import UserError
from bodyposenet.common.tracking import Dataset, fetch, promote, register_model, send_buffered, task_run
from bodyposenet.pipelines.catalogue import all_components

pytestmark = pytest.mark.slow

PAGE = "docs/tracking.md"


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture
def store(tracked_at, mlflow_url):
    return tracked_at(mlflow_url)


@pytest.fixture
def client(store):
    with task_run("opens the store"):
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=store)


def test_a_network_goes_into_the_registry_and_comes_out_of_it_over_http(client, network, tmp_path):
    version = assert_the_way(network, "over", tmp_path / "new")
    assert client.get_model_version("over", version).source.startswith("models:/m-")


def test_a_network_goes_the_same_way_on_a_server_of_mlflow_2(mlflow_url, tracked_at, network, tmp_path):
    """There it lies among the artifacts of its run, each of several apart."""
    from mlflow import MlflowClient

    with relaying(MLflow2, mlflow_url) as url:
        client = MlflowClient(tracked_at(url))
        versions = [
            assert_the_way(network, "older", tmp_path / "new"),
            register_model(network, metrics={}, name="older"),
        ]
        held = [client.get_model_version("older", version) for version in versions]
        assert [version.model_id for version in held] == [None, None]
        places = {version.source.rpartition("/")[2] for version in held}
        assert len(places) == 2
        entries = {entry.path for entry in client.list_artifacts(held[0].run_id)}
        assert {path for path in entries if path.startswith("older-")} == {held[0].source.rpartition("/")[2]}


class WithoutVersions(Relay):
    """A server whose registry is out of order."""

    def answer(self):
        return (503, "text/plain", b"no database") if self.path.endswith("/model-versions/create") else None


def test_a_registration_that_does_not_happen_is_told_and_ends_the_task(mlflow_url, tracked_at, network, tmp_path):
    from mlflow import MlflowClient

    with relaying(WithoutVersions, mlflow_url) as url:
        tracked_at(url)
        with (
            pytest.raises(UserError, match=rf"lost: {url} did not register it: .*503.*; check") as told,
            task_run("a") as run,
        ):
            register_model(network, metrics={}, name="lost")
        ended = MlflowClient(mlflow_url).get_run(run.id)
        assert (ended.info.status, ended.data.tags["bodyposenet.failure"]) == ("FAILED", str(told.value))
        assert register_model(network, metrics={}, name="lost", buffer=tmp_path) == "", "it is kept for later"
    tracked_at(mlflow_url)
    (run_id,) = send_buffered(tmp_path)
    assert MlflowClient(mlflow_url).get_model_version_by_alias("lost", "candidate").run_id == run_id


def test_what_a_task_worked_on_is_on_its_run_s_page(client):
    import mlflow

    used = Dataset("coco train", "0123456789abcdef" * 4, "gs://bucket/data", {"images": 3}, "training")
    with task_run("train") as run:
        run.log_dataset(lambda: used)
        run.log_dataset(lambda: Dataset("drawn", "f" * 64, "/data/drawn", {}, "validation"))
    far, near = sorted(client.get_run(run.id).inputs.dataset_inputs, key=lambda entry: entry.dataset.name)
    assert (far.dataset.name, far.dataset.digest) == ("coco train", "0123456789abcdef" * 2 + "0123")
    assert json.loads(far.dataset.profile) == {"images": 3, "sha256": used.digest}
    assert [(tag.key, tag.value) for tag in far.tags] == [("mlflow.data.context", "training")]
    assert mlflow.data.get_source(far).uri == "gs://bucket/data"
    assert mlflow.data.get_source(near).uri == "/data/drawn"


def test_the_machine_is_watched_while_a_task_wants_it_and_no_longer(client, monkeypatch):
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with task_run("train") as run:
        with run.system_metrics():
            wait_until(lambda: len(history(client, run, "cpu_utilization_percentage")) >= 3)
        logged = len(history(client, run, "system_memory_usage_megabytes"))
        assert not [thread for thread in threading.enumerate() if thread.name == "system metrics"]
    assert len(history(client, run, "system_memory_usage_megabytes")) == logged
    steps = [point.step for point in history(client, run, "cpu_utilization_percentage")]
    assert steps == list(range(len(steps)))
    assert all(point.value > 0 for point in history(client, run, "system_memory_usage_megabytes"))
    assert client.get_run(run.id).info.status == "FINISHED"


def wait_until(holds, seconds=120):
    waiting = threading.Event()
    for _ in range(int(seconds / 0.2)):
        if holds():
            return
        waiting.wait(0.2)
    pytest.fail("it never came")


def history(client, run, name):
    return client.get_metric_history(run.id, f"system/{name}")


@pytest.mark.parametrize("first", ["kubeflow", "task"])
def test_what_kubeflow_logs_itself_and_what_a_task_logs_do_not_get_in_each_other_s_way(
    client, monkeypatch, caplog, first, network
):
    """The launcher logs a task's inputs as parameters and its scalar metrics, in one request, and ends the run."""
    from mlflow.entities import Metric, Param

    experiment = client.create_experiment(f"Kubeflow's own, {first} first")
    parent = client.create_run(experiment)
    made = client.create_run(experiment, tags={"mlflow.parentRunId": parent.info.run_id})
    inputs = {
        name: '"as JSON"' for component in all_components().values() for name in component.component_spec.inputs or ()
    }

    def launcher():
        client.log_batch(made.info.run_id, [Metric("ap", 0.5, 1, 0)], [Param(*each) for each in inputs.items()])

    def task():
        monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
        with task_run("evaluate") as run:
            run.log_params({"name": "abc", "spec": {"a": 1}}, prefix="spec")
            run.log_metrics({"ap": 0.5})
            run.log_dataset(lambda: Dataset("drawn", "f" * 64, "/data", {}, "evaluation"))
            register_model(network, metrics={"ap": 0.5}, name=f"joined {first}")
            assert run.id == made.info.run_id

    for act in (launcher, task) if first == "kubeflow" else (task, launcher):
        act()
    client.set_terminated(made.info.run_id)
    found = client.get_run(made.info.run_id)
    assert found.data.params == inputs | {"spec.name": "abc", "spec.spec.a": "1"}
    assert found.data.metrics == {"ap": 0.5}
    assert found.info.status == "FINISHED"
    assert not [record for record in caplog.records if "refused" in record.message]
    version = client.get_model_version_by_alias(f"joined {first}", "candidate")
    assert version.run_id == made.info.run_id
    assert [model.source_run_id for model in client.search_logged_models([experiment])] == [made.info.run_id]
    assert client.get_run(parent.info.run_id).info.status == "RUNNING", "the pipeline's run is Kubeflow's to end"


def test_a_task_that_fails_leaves_kubeflow_s_own_pipeline_run_alone(client, monkeypatch):
    experiment = client.create_experiment("Kubeflow's own, failing")
    parent = client.create_run(experiment)
    made = client.create_run(experiment, tags={"mlflow.parentRunId": parent.info.run_id})
    monkeypatch.setenv("MLFLOW_RUN_ID", made.info.run_id)
    with pytest.raises(ZeroDivisionError), task_run("train") as run:
        run.log_metrics({"loss": 1 / 0})
    assert client.get_run(made.info.run_id).info.status == "FAILED"
    assert client.get_run(parent.info.run_id).info.status == "RUNNING"


USER, PASSWORD = "pose", "pa:ss/word"


class Doorkeeper(Relay):
    """Lets in only who has the right name and password, as an ingress does."""

    def answer(self):
        known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return None if self.headers["Authorization"] == f"Basic {known}" else (401, "text/plain", b"who are you?")


@pytest.fixture
def guarded(mlflow_url):
    """The address of the server behind a door that asks for name and password."""
    with relaying(Doorkeeper, mlflow_url) as url:
        yield url


def test_name_and_password_from_the_environment_open_the_store(guarded, tracked_at, monkeypatch, network, tmp_path):
    tracked_at(guarded)
    with task_run("locked out", buffer=tmp_path):
        pass
    assert len(list(tmp_path.rglob("run.jsonl"))) == 1
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    version = register_model(network, metrics={"ap": 0.5}, name="guarded")
    promote("guarded", version)
    assert fetch("guarded", "champion", tmp_path / "new").read_bytes() == network.read_bytes()


def test_the_champion_is_served_and_answers_photos_with_people(client, mlflow_url, network, tmp_path):
    promote("served", register_model(network, metrics={"ap": 0.5}, name="served"))
    bright, dark = (base64.b64encode(cv2.imencode(".jpg", photo)[1]).decode() for photo in (BRIGHT, DARK))
    command, asking = (block for block in blocks_of(PAGE, SHELL) if block.text.startswith(("mlflow models", "echo")))
    command = shlex.split(command.text.replace("bodyposenet", "served").replace("--port 5001", ""))[1:]
    with serving(tmp_path, *command, path="/ping", env={"MLFLOW_TRACKING_URI": mlflow_url}) as url:
        people, nobody = ask(url, {"inputs": [bright, dark]})
        assert_the_person(people)
        assert nobody == []
        assert_the_person(ask(url, {"inputs": bright}))
        (tmp_path / "photo.jpg").write_bytes(base64.b64decode(bright))
        there = Plan({}, {(PAGE, "http://127.0.0.1:5001"): (url, "a port that is free")})
        said = Reader(tmp_path, tmp_path, there, dict(os.environ)).run(asking)
        (people,) = json.loads(said)["predictions"]
        assert_the_person(people)
        for several in (
            {"instances": [{"b64": bright}]},
            {"dataframe_split": {"columns": ["photo"], "data": [[bright]]}},
            {"dataframe_records": [{"photo": bright}]},
        ):
            assert_the_person(ask(url, several)[0])
        assert_the_person(ask(url, {"inputs": BRIGHT.tolist()}))
        with pytest.raises(RefusedError, match=r"'photo\.jpg' is no photo in base64; give"):
            ask(url, {"inputs": ["photo.jpg"]})
