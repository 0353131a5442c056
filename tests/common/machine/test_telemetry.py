"""Telemetry: no library that this one uses calls its maker."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.every_verb import PRINTING
from support.lookups import MARK, NOT_PERMITTED, REACHED
from support.pose_net import CARD, pose_net
from support.verb_cases import CASES

from bodyposenet.common.machine.telemetry import QUIET
from bodyposenet.common.model.files.model_file import save_model

TESTS = Path(__file__).parents[2]
LOOKUPS, EVERY_VERB = TESTS / "support/lookups.py", TESTS / "support/every_verb.py"
VERBS = """
import socket, sys
from pathlib import Path
import numpy as np
from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.runtime.runners import OnnxRunner
folder = sys.argv[1]
main(["export", "-m", folder + "/net.keras", "-o", folder + "/net.onnx", "-d", "64,64,3"], standalone_mode=False)
OnnxRunner(Path(folder, "net.onnx"), runner="auto")(np.zeros((1, 64, 64, 3), np.float32))
try:
    socket.getaddrinfo("asked-for.example", 80)
except OSError:
    pass
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"asked for", ("192.0.2.7", 9))
"""


def silent_environment(folder):
    """What a user's shell has: nothing of telemetry; libraries that keep files do so in the folder."""
    kept = {name: value for name, value in os.environ.items() if name not in (*QUIET, "CI")}
    kept["PYTHONPATH"] = str(TESTS)
    return kept | {"TMPDIR": str(folder), "HOME": str(folder), "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db"}


def run_unconnected(folder, *command):
    """What a command prints that can reach nothing, and what it wanted to reach."""
    (folder / "aside").mkdir()
    done = subprocess.run(
        [sys.executable, LOOKUPS, folder / "aside", sys.executable, *command],
        env=silent_environment(folder / "aside"), cwd=TESTS, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode == NOT_PERMITTED and os.environ.get("CI") != "true":
        pytest.skip(f"a network of its own is not permitted here: {done.stdout}")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    marks = (MARK, REACHED)
    return done.stdout, {line for line in done.stdout.splitlines() if line.startswith(marks)}


@pytest.mark.slow
@pytest.mark.heavy
def test_a_verb_that_runs_networks_and_is_tracked_looks_up_nothing(tmp_path):
    """In a network of its own, whose name server notes every question; ONNX Runtime's client keeps a file ``.ses``.

    With a runner chosen, OpenVINO is imported, too, which reports that otherwise.
    """
    save_model(pose_net(stages=1), tmp_path / "net.keras", CARD)
    _, asked = run_unconnected(tmp_path, "-c", VERBS, tmp_path)
    assert (tmp_path / "net.onnx").stat().st_size > 100
    assert (tmp_path / "aside/mlflow.db").stat().st_size > 100
    assert asked == {f"{MARK}asked-for.example", f"{REACHED}192.0.2.7"}
    assert not (tmp_path / "aside/.ses").exists()


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("what", [(), ("demo",)], ids=["verbs", "pipeline"])
def test_no_verb_and_no_pipeline_wants_to_reach_anything(tmp_path, what):
    said, asked = run_unconnected(tmp_path, EVERY_VERB, tmp_path, *what)
    assert asked == set()
    assert what or said.count("ran: ") == len(CASES) + len(PRINTING)


def test_what_the_user_has_set_stays_and_the_rest_is_off_as_soon_as_the_package_is_imported(tmp_path):
    code = "import os, bodyposenet; print(*(os.environ[name] for name in ('ORT_DISABLE_TELEMETRY', 'DO_NOT_TRACK')))"
    environment = silent_environment(tmp_path) | {"DO_NOT_TRACK": "0"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "0"]


def test_the_image_has_the_same_settings():
    settings = (Path(__file__).parents[3] / "images/Dockerfile").read_text()
    assert [name for name, value in QUIET.items() if f" {name}={value} " not in settings] == []
