"""Trainings in containers that are killed at random moments, each followed by another on an empty disk."""

import contextlib
import math
import os
import shutil
import time
from pathlib import Path

import docker
import pytest
from support.container_runner import READ_ONLY
from support.evicted import OUTPUTS, evict_often, make_inputs
from support.gcs_server import make_bucket, storage_server

pytestmark = pytest.mark.docker

KILLS = 10
EPOCHS = 60
COMPONENT = """
import json, sys
from pathlib import Path
from bodyposenet.common import tasks
inputs, pod, work = sys.argv[1:]
spec = json.loads(Path(inputs, "spec.json").read_text())
outputs = [f"{pod}/{name}" for name in %r]
tasks.train(f"{inputs}/dataset", spec, f"{inputs}/base", *outputs, work=work)
"""


class Containers:
    """Starts attempts as containers, which see the inputs, a folder of their own and the work folder.

    Args:
        client: Of the daemon.
        image: What they run.
        inputs: Folder of :func:`make_inputs`.
        shared: A folder that all of them see, as a volume.
        environment: Of each.
    """

    def __init__(self, client, image, inputs, shared, environment):
        self.client, self.image, self.environment = client, image, environment
        self.inputs, self.shared = inputs, shared

    def run(self, pod, work, seconds=None):
        """The exit code of an attempt; 137 of one that was killed after some seconds."""
        pod.mkdir()
        folders = {str(self.inputs): "ro", str(self.shared): "rw", str(pod): "rw"}
        container = self.client.containers.create(
            self.image.id, ["python", "-c", COMPONENT % (OUTPUTS,), str(self.inputs), str(pod), work],
            volumes={folder: {"bind": folder, "mode": mode} for folder, mode in folders.items()},
            network_mode="host", environment=self.environment, **READ_ONLY,
        )  # fmt: skip
        try:
            container.start()
            return wait(container, seconds)
        finally:
            Path(f"{pod}.log").write_bytes(container.logs())
            container.remove(force=True)


def wait(container, seconds):
    """A container's exit code; if there are seconds, it is killed after so many."""
    end = time.monotonic() + (math.inf if seconds is None else seconds)
    while True:
        container.reload()
        if container.status == "exited":
            return container.attrs["State"]["ExitCode"]
        if time.monotonic() > end:
            with contextlib.suppress(docker.errors.APIError):  # it has ended by itself
                container.kill("SIGKILL")
        time.sleep(0.05)


@pytest.fixture
def folder(tmp_path):
    """Where everybody may write: the user of the image is not this one."""
    before = os.umask(0)
    for each in (tmp_path, *tmp_path.parents[:2]):
        each.chmod(0o777)
    yield tmp_path
    os.umask(before)


@pytest.mark.parametrize("kind", ["volume", "bucket"])
def test_a_training_killed_in_its_container_at_random_moments_ends_with_the_same_bits(
    client, train_image, folder, kind, monkeypatch
):
    for name in ("inputs", "shared", "server"):
        (folder / name).mkdir()
    make_inputs(folder / "inputs", epochs=EPOCHS)
    with storage_server(folder / "server") as url:
        make_bucket(url, "evicted")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        work = "gs://evicted/work" if kind == "bucket" else str(folder / "shared")
        attempts = Containers(
            client, train_image[1], folder / "inputs", folder / "shared", {"STORAGE_EMULATOR_HOST": url}
        )
        seconds, moments, wrong = evict_often(attempts, folder, work, kills=KILLS, seed=1)
    print(f"{kind}: {seconds:.1f} s undisturbed; {moments.total()} killed: {dict(moments)}")
    assert moments.total() == KILLS
    assert any(not told.startswith("0 ") for told in moments), "one at least was killed after a checkpoint"
    assert wrong == {}
    shutil.rmtree(folder / "inputs")
