"""Images and containers of a Docker daemon that these tests start, and end."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import docker
import pytest
from support.base_image import import_base_image
from support.docker_daemon import daemon, install

ROOT = Path(__file__).parents[2]
BASE = "python:3.11-slim-bookworm"
RUNNING = "BODYPOSENET_DOCKER_HOST"  # names a daemon that runs already and has the base image, to try things faster


@pytest.fixture(scope="session")
def host():
    """The daemon's address; it has the base image."""
    if os.environ.get(RUNNING):
        yield os.environ[RUNNING]
        return
    install()
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


def built(client, image):
    """Build an image as `make images` does, and return what was recorded of it with what Docker knows."""
    command = [sys.executable, str(ROOT / "images" / "build.py"), image, "--network", "host"]
    subprocess.run(command, check=True, cwd=ROOT)
    recorded = json.loads((ROOT / "build" / "images.json").read_text())
    (name,) = [name for name in recorded if name.startswith(f"bodyposenet-{image}:")]
    return recorded[name], client.images.get(name)


@pytest.fixture(scope="session")
def deploy_image(client):
    return built(client, "deploy")


@pytest.fixture(scope="session")
def train_image(client):
    return built(client, "train")
