"""An image that is pushed to a registry, and run by the digest that was recorded of it."""

import os
import subprocess
import sys

import docker
import pytest
from kfp import components
from support.docker_daemon import install
from support.image_registry import PACKAGE, digest_of, image_registry

from bodyposenet import __version__

pytestmark = pytest.mark.docker

COMPILE = """
import sys
from kfp.compiler import Compiler
from bodyposenet.components.gate import gate
Compiler().compile(gate, sys.argv[1])
"""


@pytest.fixture(scope="module")
def pushed(built, tmp_path_factory):
    """The image's name in a registry, what was recorded of it, and what Docker knows."""
    install(PACKAGE, PACKAGE)
    with image_registry(tmp_path_factory.mktemp("registry")) as address:
        recorded, image = built("deploy", address, "--push")
        yield f"{address}bodyposenet-deploy:{__version__}", recorded, image


def test_the_recorded_digest_is_the_registry_s(pushed):
    name, recorded, image = pushed
    assert recorded["digest"] == digest_of(name) != image.id


def test_a_component_that_is_compiled_for_a_digest_runs_in_what_was_pushed(client, pushed, runner, tmp_path):
    name, recorded, image = pushed
    by_digest = f"{name.rpartition(':')[0]}@{recorded['digest']}"
    client.images.remove(name)  # and the digest with it, as no other image of that registry is here
    with pytest.raises(docker.errors.ImageNotFound):
        client.images.get(by_digest)
    assert client.images.pull(by_digest).id == image.id
    found = compiled_for(by_digest, tmp_path / "gate.yaml")
    assert f"image: {by_digest}" in found.read_text()
    done = components.load_component_from_file(str(found))(float_ap=0.5, int8_ap=0.49, min_ap=0.4)
    assert done.outputs["Output"] is True


def compiled_for(image, path):
    """A component as it is compiled where a variable names its image."""
    environment = {**os.environ, "BODYPOSENET_DEPLOY_IMAGE": image}
    subprocess.run([sys.executable, "-c", COMPILE, str(path)], env=environment, check=True)
    return path
