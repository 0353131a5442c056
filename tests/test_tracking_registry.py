"""Registry: a registered network takes a photo and returns the people in it, wherever it is loaded."""

import subprocess
import sys

import cv2
import numpy as np
import pytest

from bodyposenet.common.data.targets import encode
from bodyposenet.common.deploy.onnx_file import put_card, write_model
from bodyposenet.common.errors import UserError
from bodyposenet.common.model.files import Card
from bodyposenet.common.skeleton import BODYPOSENET_18
from bodyposenet.common.tracking import register_model, send_buffered, task_run
from bodyposenet.common.tracking.pyfunc import PoseModel

SIDE, STRIDE = 128, 8
# A person standing, in input pixels; the photo has twice the side, so photo = (input + 1/2) * 2 - 1/2.
JOINTS = np.array([
    (64, 20), (64, 36), (48, 36), (40, 52), (36, 68), (80, 36), (88, 52), (92, 68), (54, 72), (52, 92), (52, 112),
    (74, 72), (76, 92), (76, 112), (60, 16), (68, 16), (54, 20), (74, 20),
], float)  # fmt: skip
IN_PHOTO = (JOINTS + 0.5) * 2 - 0.5
BRIGHT = np.full((2 * SIDE, 2 * SIDE, 3), 255, np.uint8)
DARK = np.zeros_like(BRIGHT)


def write_network(path):
    """An ONNX network that sees the person above in a bright photo and nobody in a dark one."""
    from onnx import TensorProto, helper, numpy_helper

    maps = encode(
        JOINTS[None], np.ones((1, 18), bool), BODYPOSENET_18, size=(SIDE // STRIDE, SIDE // STRIDE), stride=STRIDE
    )
    nodes = [
        helper.make_node("ReduceMean", ["input_1"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Mul", ["mean", "four"], ["times"]),
        helper.make_node("Clip", ["times", "zero", "one"], ["gate"]),
        helper.make_node("Mul", ["gate", "heatmaps"], ["heatmap_out"]),
        helper.make_node("Mul", ["gate", "pafs"], ["paf_out"]),
    ]
    constants = {"four": np.float32(4), "zero": np.float32(0), "one": np.float32(1)}
    constants |= {"heatmaps": np.float32(maps[0][None]), "pafs": np.float32(maps[1][None])}
    picture = helper.make_tensor_value_info("input_1", TensorProto.FLOAT, ["batch", SIDE, SIDE, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 16, 16, channels])
        for name, channels in (("heatmap_out", 19), ("paf_out", 38))
    ]
    held = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "person", [picture], outputs, held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    put_card(model, Card(BODYPOSENET_18, STRIDE, input_size=(SIDE, SIDE)))
    write_model(model, path)
    return path


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


def assert_the_person(people):
    (person,) = people
    found = np.array(person["keypoints"])
    assert person["joints"] == list(BODYPOSENET_18.joints)
    assert np.abs(found[:, :2] - IN_PHOTO).max() < 3  # a cell is 16 pixels of the photo
    assert (found[:, 2] > 0.1).all()
    assert person["score"] > 0


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


def test_the_signature_is_one_photo_of_any_size(client, load, network):
    from mlflow.exceptions import MlflowException

    register_model(network, metrics={}, name="signed")
    model = load("models:/signed@candidate")
    (photo,) = model.metadata.signature.inputs.inputs
    assert (photo.type, photo.shape) == (np.dtype(np.uint8), (-1, -1, 3))
    assert model.metadata.signature.outputs.input_names() == ["keypoints", "score", "joints"]
    for wrong in (BRIGHT.astype(np.float32), BRIGHT[..., :2], BRIGHT[None]):
        with pytest.raises(MlflowException):
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


def test_several_photos_and_encoded_files_return_a_list_for_each(network):
    model = PoseModel(network, {})
    for photos in (
        np.stack([BRIGHT, DARK]),
        [BRIGHT, DARK],
        [cv2.imencode(".jpg", p)[1].tobytes() for p in (BRIGHT, DARK)],
    ):
        bright, dark = model.predict(photos)
        assert_the_person(bright)
        assert dark == []


@pytest.mark.parametrize(
    "data", ["photo.jpg", 3, [b"no photo"], ["photo.jpg"], [BRIGHT[..., 0]], BRIGHT / 255, BRIGHT[0]]
)
def test_what_is_no_photo_is_refused_with_what_would_be_one(network, data):
    with pytest.raises(UserError, match=r"photo.*; give"):
        PoseModel(network, {}).predict(data)
