"""The champion is served where only MLflow was, in an environment made of what the model itself asks for."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from support.local_server import free_port
from support.mlflow_server import at_work, serving

from bodyposenet.common.tracking import promote, register_model

pytestmark = pytest.mark.served

SERVE = ("models", "serve", "-m", "models:/people@champion", "--env-manager")
LIST = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"


@pytest.fixture
def model(store, tmp_path):
    """The champion's folder."""
    from mlflow.artifacts import download_artifacts

    return Path(download_artifacts("models:/people@champion", dst_path=str(tmp_path / "model")))


@pytest.fixture
def store(mlflow_url, tracked_at, drawn_network):
    """A store with a champion."""
    tracked_at(mlflow_url)
    promote("people", register_model(drawn_network, metrics={"ap": 0.5}, name="people"))
    return {"MLFLOW_TRACKING_URI": mlflow_url}


def test_an_environment_of_its_requirements_alone_serves_it(
    store, model, make_environment, foreign_home, assert_the_same_people, tmp_path
):
    python = make_environment("--requirement", str(model / "requirements.txt"))
    there = json.loads(subprocess.run([python, "-I", "-c", LIST], capture_output=True, text=True, check=True).stdout)
    assert not {"bodyposenet", "tensorflow", "tensorflow-cpu", "keras", "kfp"} & set(there)
    assert there["numba"] == metadata.version("numba")
    with serving(tmp_path, *SERVE, "local", path="/ping", env=store | foreign_home, python=python) as url:
        assert_the_same_people(url)


def test_mlflow_makes_that_environment_itself(store, foreign_home, assert_the_same_people, tmp_path):
    path = os.pathsep.join((os.environ["PATH"], f"{sys.base_prefix}/bin"))  # there uv finds this version of Python
    where = {"MLFLOW_ENV_ROOT": str(tmp_path / "envs"), "PATH": path}
    with serving(tmp_path, *SERVE, "uv", path="/ping", env=store | foreign_home | where) as url:
        assert_the_same_people(url)
    (made,) = (tmp_path / "envs").iterdir()
    assert not list(made.glob("lib/*/site-packages/tensorflow*"))


def test_mlserver_serves_it(model, make_environment, foreign_home, assert_the_same_people, tmp_path):
    """By which KServe runs models of MLflow."""
    needed = ("mlserver>=1.7,<2", "mlserver-mlflow>=1.7,<2")
    python = make_environment("--requirement", str(model / "requirements.txt"), *needed)
    asked = {"name": "people", "implementation": "mlserver_mlflow.MLflowRuntime", "parameters": {"uri": str(model)}}
    (tmp_path / "model-settings.json").write_text(json.dumps(asked))
    ports = {f"{kind}_port": free_port() for kind in ("http", "grpc", "metrics")}
    (tmp_path / "settings.json").write_text(json.dumps({"host": "127.0.0.1", "parallel_workers": 0} | ports))
    words = [str(python.parent / "mlserver"), "start", "."]
    with at_work(
        tmp_path, words, f"http://127.0.0.1:{ports['http_port']}", "/v2/models/people/ready", foreign_home
    ) as url:
        assert_the_same_people(url)
