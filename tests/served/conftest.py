"""Environments and servers that these tests make from a package index; make test-served runs them."""

import base64
import os
import shutil
import subprocess
import sys

import pytest
from support.mlflow_server import ask

import bodyposenet
from bodyposenet.common.model.files.bundled import weights_path
from bodyposenet.common.tracking.pyfunc import RegisteredPoseModel


@pytest.fixture(scope="session")
def make_environment(tmp_path_factory):
    """Makes an environment of its own with what is asked for, as uv's words say it; gives its Python."""
    uv = shutil.which("uv")
    assert uv, "uv is not on the PATH: run make test-served"

    def make(*words):
        folder = tmp_path_factory.mktemp("environment") / "env"
        subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        python = folder / "bin" / "python"
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *words], check=True)
        return python

    return make


@pytest.fixture(scope="session")
def foreign_home(tmp_path_factory):
    """Variables under which a server finds nothing that was compiled here."""
    home = tmp_path_factory.mktemp("home")
    return {"HOME": str(home), "BODYPOSENET_CACHE": str(home / "cache")}


@pytest.fixture(scope="session")
def drawn_network(tmp_path_factory):
    """The network of the start weights, exported."""
    file = tmp_path_factory.mktemp("exported") / "model.onnx"
    bodyposenet.export_onnx(weights_path("pretrained:drawn_people"), file)
    return file


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory):
    """Files of drawn people."""
    folder = tmp_path_factory.mktemp("people")
    bodyposenet.synthesize(folder, train=3, val=2)
    return [file.read_bytes() for file in sorted((folder / "images").iterdir())]


@pytest.fixture
def assert_the_same_people(drawn_network, drawn_photos):
    """Asks a server for the people in the photos, and holds them to those that this project finds itself."""
    here = RegisteredPoseModel(drawn_network, {})
    wanted = [here.predict(photo) for photo in drawn_photos]
    assert sum(map(len, wanted)) >= len(drawn_photos), "somebody is in them"

    def compare(url):
        assert ask(url, {"inputs": [base64.b64encode(photo).decode() for photo in drawn_photos]}) == wanted

    return compare


@pytest.fixture(autouse=True)
def no_other_run(monkeypatch):
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
