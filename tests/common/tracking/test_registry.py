"""Registry: a registered network takes a photo and returns the people in it, wherever it is loaded."""

import base64
import subprocess
import sys

import cv2
import numpy as np
import pandas
import pytest
from support.local_server import free_port
from support.person_net import BRIGHT, DARK, assert_the_person, write_network

from bodyposenet.common.errors import UserError
from bodyposenet.common.tracking import register_model, send_buffered, task_run
from bodyposenet.common.tracking.pyfunc import RegisteredPoseModel


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def client(uri, monkeypatch, request):
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "BODYPOSENET_PIPELINE_RUN", "KFP_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    with task_run("first"):  # opens the store
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri)


@pytest.fixture
def load(uri, monkeypatch):
    import mlflow

    def loaded(name):
        return mlflow.pyfunc.load_model(name)

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return loaded


def test_a_registered_network_takes_a_photo_and_returns_people(client, load, network):
    version = register_model(network, metrics={"AP": 0.5, "note": None}, name="one", tags={"dataset": "synthetic"})
    model = load("models:/one@candidate")
    assert_the_person(model.predict(BRIGHT))
    assert model.predict(DARK) == []
    held = client.get_model_version("one", version)
    assert held.tags["dataset"] == "synthetic"
    assert held.tags["bodyposenet.file"] == "person.onnx"
    assert float(held.tags["metric.AP"]) == client.get_run(held.run_id).data.metrics["AP"] == 0.5
    assert client.get_run(held.run_id).info.status == "FINISHED"


def test_the_code_that_it_carries_hides_no_part_of_the_package_from_other_processes(client, load, network):
    register_model(network, metrics={}, name="carried")
    load("models:/carried@candidate")
    code = f"import sys; sys.path[:] = {sys.path!r}; import bodyposenet.common.data.conversion.convert"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_its_metadata_tell_input_and_output_and_the_model_itself_checks_what_it_gets(client, load, network):
    register_model(network, metrics={}, name="told")
    model = load("models:/told@candidate")
    assert model.metadata.signature is None, "MLServer loads none that leaves the input open"
    assert "base64" in model.metadata.metadata["input"]
    (person,) = model.predict(BRIGHT)
    assert [name for name in person if name not in model.metadata.metadata["output"]] == []
    for wrong in (BRIGHT.astype(np.float32), BRIGHT[..., :2], BRIGHT[0]):
        with pytest.raises(UserError, match="is no photo; give"):
            model.predict(wrong)


def test_the_alias_moves_to_the_newest_version_of_the_run_around(client, network):
    with task_run("export") as run:
        versions = [register_model(network, metrics={"AP": ap}, name="twice", alias="best") for ap in (0.1, 0.2)]
    assert versions == ["1", "2"]
    newest = client.get_model_version_by_alias("twice", "best")
    assert (newest.version, newest.run_id) == ("2", run.id) or (int(newest.version), newest.run_id) == (2, run.id)


def test_the_settings_it_was_measured_with_go_with_it(load, client, network):
    register_model(network, metrics={}, name="strict", settings={"heatmap_threshold": 1.0, "model_path": "/gone.onnx"})
    assert load("models:/strict@candidate").predict(BRIGHT) == []


def test_another_process_loads_it_without_tensorflow(client, uri, network, tmp_path):
    register_model(network, metrics={}, name="elsewhere")
    np.save(tmp_path / "photo.npy", BRIGHT)
    code = (
        "import sys, mlflow, numpy; model = mlflow.pyfunc.load_model('models:/elsewhere@candidate')\n"
        "print(len(model.predict(numpy.load('photo.npy'))), 'tensorflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "False"]
    assert "requirement" not in done.stderr  # what it says it needs is what is here


def test_a_network_is_registered_when_the_store_is_back(client, load, uri, network, monkeypatch, tmp_path):
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(network.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert register_model(copy, metrics={"AP": 0.25}, name="late", buffer=tmp_path) == ""
    copy.unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    (run,) = send_buffered(tmp_path)
    assert client.get_model_version_by_alias("late", "candidate").run_id == run
    assert client.get_run(run).data.metrics == {"AP": 0.25}
    assert_the_person(load("models:/late@candidate").predict(BRIGHT))


def test_registering_needs_a_file_and_does_nothing_without_a_store(monkeypatch, network, tmp_path):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="no such model file"):
        register_model(tmp_path / "absent.onnx", metrics={})
    assert register_model(network, metrics={}) == ""


def test_a_name_that_the_store_refuses_is_told_wherever_there_is_a_buffer(client, network, tmp_path):
    with pytest.raises(UserError, match=r"model_name: MLflow takes no model named 'no/name': leave out /"):
        register_model(network, metrics={}, name="no/name", buffer=tmp_path)


def test_a_kept_network_that_the_store_refuses_is_told_when_it_is_sent_and_stays(
    client, uri, network, monkeypatch, tmp_path
):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    assert register_model(network, metrics={}, name="no-name", buffer=tmp_path) == ""
    for kept in tmp_path.rglob("*.jsonl"):  # as an earlier version kept it
        kept.write_text(kept.read_text().replace("no-name", "no/name"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(UserError, match=r"the tracking store does not take the runs: .*name"):
        send_buffered(tmp_path)
    assert len(list(tmp_path.rglob("person.onnx"))) == 1


def test_a_network_that_is_neither_registered_nor_kept_is_told(monkeypatch, network):
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    with pytest.raises(UserError, match=f"gone: {address} did not register it"):
        register_model(network, metrics={}, name="gone")


def encoded(photo):
    return cv2.imencode(".jpg", photo)[1].tobytes()


def in_base64(photo):
    return base64.b64encode(encoded(photo)).decode()


@pytest.mark.parametrize(
    "wrapped",
    [
        np.stack,
        list,
        lambda photos: [encoded(photo) for photo in photos],
        lambda photos: [in_base64(photo) for photo in photos],
        lambda photos: pandas.DataFrame({"photo": [in_base64(photo) for photo in photos]}),
        lambda photos: {"b64": np.array([in_base64(photo) for photo in photos])},
        lambda photos: np.stack(photos).astype(np.int64),
    ],
)
def test_several_photos_in_whatever_they_come_return_a_list_for_each(network, wrapped):
    bright, dark = RegisteredPoseModel(network, {}).predict(wrapped([BRIGHT, DARK]))
    assert_the_person(bright)
    assert dark == []


@pytest.mark.parametrize("one", [BRIGHT, encoded(BRIGHT), in_base64(BRIGHT), np.array(in_base64(BRIGHT))])
def test_one_photo_returns_its_people(network, one):
    assert_the_person(RegisteredPoseModel(network, {}).predict(one))


@pytest.mark.parametrize(
    "data",
    [
        "photo.jpg", 3, [b"no photo"], ["photo.jpg"], [BRIGHT[..., 0]], BRIGHT / 255, BRIGHT[0], BRIGHT.astype(int) * 2,
        BRIGHT.astype(int) - 300, np.zeros((0, 0, 3), np.uint8), b"", pandas.DataFrame({"a": ["x"], "b": ["y"]}),
    ],
)  # fmt: skip
def test_what_is_no_photo_is_refused_with_what_would_be_one(network, data):
    with pytest.raises(UserError, match=r"(photo|image).*; (give|replace|copy)"):
        RegisteredPoseModel(network, {}).predict(data)


def test_a_file_that_is_no_network_is_not_registered(client, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"model\.onnx"):
        register_model(tmp_path / "model.onnx", metrics={}, name="none")
