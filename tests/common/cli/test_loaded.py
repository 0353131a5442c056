"""Loaded: which libraries a verb with an exported network has imported when it ends."""

import os
import subprocess
import sys

import pytest

from bodyposenet.common.data.photo_set import make_dataset_spec
from bodyposenet.common.data.synthetic.dataset import synthesize

SPARED = {"tensorflow", "keras", "mlflow", "pandas", "scipy", "matplotlib", "cffi", "onnx", "kfp", "fsspec", "h5py"}
SCRIPT = """
import sys
from bodyposenet.common.cli.main import main
try:
    main(prog_name="bpnet")
finally:
    print("loaded:", *{name.partition(".")[0] for name in sys.modules if sys.modules[name] is not None})
"""


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    synthesize(folder, train=1, val=1)
    (folder / "spec.json").write_text(make_dataset_spec(folder).model_dump_json(by_alias=True))
    return folder


def loaded(*words):
    """The libraries that a command line has imported, in a process without a tracking server."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW")}
    command = [sys.executable, "-c", SCRIPT, *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {*done.stdout.split("loaded:")[1].split()}


def test_inference_with_what_ships_loads_its_three_libraries_and_little_else(photos, tmp_path):
    found = loaded("inference", "--input", photos / "images/val_000000.jpg", "-r", tmp_path, "--runner", "exact")
    assert {"numba", "cv2", "onnxruntime"} <= found
    assert not found & {*SPARED, "google"}


def test_evaluation_of_an_exported_network_loads_no_more(photos, tmp_path):
    found = loaded(
        "evaluate", "-d", photos / "spec.json", "-m", "pretrained:people", "-r", tmp_path, "--runner", "exact"
    )
    assert {"numba", "cv2", "onnxruntime"} <= found
    assert not found & SPARED


def test_help_loads_no_library_but_that_of_command_lines():
    assert not loaded("--help") & {*SPARED, "numba", "numpy", "cv2", "onnxruntime", "pydantic", "yaml"}
