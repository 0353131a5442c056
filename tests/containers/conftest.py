"""Images and containers of a Docker daemon that these tests start, and end."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import docker
import pytest
from kfp import local
from support.base_image import import_base_image
from support.container_runner import READ_ONLY, trusted_exit_codes
from support.docker_daemon import PACKAGE, daemon, install
from support.local_run import without_words_of_kfp

from bodyposenet import __version__

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim-bookworm"
RUNNING = "BODYPOSENET_DOCKER_HOST"  # names a daemon that runs already and has the base image, to try things faster


@pytest.fixture(scope="session")
def host():
    """The daemon's address; it has the base image."""
    if os.environ.get(RUNNING):
        yield os.environ[RUNNING]
        return
    install("dockerd", PACKAGE)
    with tempfile.TemporaryDirectory(prefix="docker-") as folder, daemon(Path(folder) / "d") as running:
        import_base_image(["docker", "--host", running.host], BASE)
        yield running.host


@pytest.fixture(scope="session")
def client(host):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", host)
        connected = docker.from_env(timeout=600)
        yield connected
        connected.close()


@pytest.fixture(scope="session")
def built(client):
    """Builds an image as `make images` does, and gives what was recorded of it with what Docker knows."""

    def build(image, registry="", *flags):
        docker_flags = ["--network", "host", "--build-arg", f"PYTHON={BASE}"]
        asked = [image, "--registry", registry, *flags, "--", *docker_flags]
        subprocess.run([sys.executable, str(ROOT / "images" / "build.py"), *asked], check=True, cwd=ROOT)
        recorded = json.loads((ROOT / "build" / "images.json").read_text())
        name = f"{registry}bodyposenet-{image}:{__version__}"
        return recorded[name], client.images.get(name)

    return build


@pytest.fixture(scope="session")
def deploy_image(built):
    return built("deploy")


@pytest.fixture(scope="session")
def train_image(built):
    return built("train")


@pytest.fixture
def runner(client, deploy_image, tmp_path):
    """kfp's local runner of containers, whose user is not this one."""
    before = os.umask(0)
    root = tmp_path / "run"
    root.mkdir()
    local.init(local.DockerRunner(network_mode="none", **READ_ONLY), pipeline_root=str(root), raise_on_error=True)
    with trusted_exit_codes(), without_words_of_kfp():
        yield root
    os.umask(before)
