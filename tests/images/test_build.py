"""What `make images` is asked for, and what it tells Docker."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Stands in for Docker where nothing is to be built: notes what it is told, and knows one pushed image.
DOCKER = """\
#!/bin/sh
echo "$*" >> "$(dirname "$0")/told"
if [ "$1" = inspect ]; then
    echo '[{"Id": "sha256:1d", "Size": 5, "RepoDigests": ["r.example.com/bodyposenet-deploy@sha256:d1"]}]'
fi
"""


@pytest.fixture
def make_images(tmp_path, monkeypatch):
    """Runs it in a copy of the checkout that has what it reads; gives what Docker was told, and the record."""
    docker = tmp_path / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{docker.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("BODYPOSENET_REGISTRY", raising=False)
    script = tmp_path / "images" / "build.py"
    script.parent.mkdir()
    script.write_text((ROOT / "images" / "build.py").read_text())

    def run(*words, code=0):
        done = subprocess.run([sys.executable, str(script), *words], capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        if code:
            return done.stderr
        record = json.loads((tmp_path / "build" / "images.json").read_text())
        return (docker.parent / "told").read_text().splitlines(), record

    return run


def test_both_images_are_built_and_have_their_ids_recorded(make_images):
    told, record = make_images()
    assert [line.split()[0] for line in told] == ["build", "inspect"] * 2
    assert {name.split(":")[0]: each["digest"] for name, each in record.items()} == {
        "bodyposenet-deploy": "sha256:1d",
        "bodyposenet-train": "sha256:1d",
    }


def test_an_image_that_was_pushed_has_its_registry_s_digest_recorded(make_images):
    told, record = make_images("deploy", "--registry", "r.example.com/", "--push")
    assert [line.split()[0] for line in told] == ["build", "push", "inspect"]
    assert [each["digest"] for each in record.values()] == ["sha256:d1"]


def test_another_registry_s_digest_is_not_this_one_s(make_images):
    _, record = make_images("deploy", "--registry", "other.example.com/")
    assert [each["digest"] for each in record.values()] == ["sha256:1d"]


def test_with_gpu_only_the_training_image_is_another(make_images):
    told, record = make_images("--gpu")
    deploy, train = (line for line in told if line.startswith("build"))
    assert "requirements.gpu.txt" in train
    assert "requirements.gpu.txt" not in deploy
    assert [name.endswith("-gpu") for name in sorted(record)] == [False, True]


def test_what_follows_two_dashes_goes_to_docker(make_images):
    pinned = "PYTHON=python:3.11-slim-bookworm@sha256:ab"
    told, _ = make_images("--", "--build-arg", pinned)
    assert [f"--build-arg {pinned}" in line for line in told if line.startswith("build")] == [True, True]


@pytest.mark.parametrize(("words", "said"), [
    (["trian"], "no image 'trian'; there are deploy and train"),
    (["--psuh"], "unrecognized arguments: --psuh"),
    (["--build-arg", "A=b"], "unrecognized arguments: --build-arg"),
])  # fmt: skip
def test_a_command_line_that_cannot_be_meant_is_refused(make_images, words, said):
    assert said in make_images(*words, code=2)


@pytest.mark.parametrize("folder", ["bodyposenet/common", "some_package/templates"])
def test_a_source_that_does_not_compile_ends_the_build_and_is_named(tmp_path, folder):
    """The very line of the Dockerfile, on a folder in the place of the image's."""
    text = (ROOT / "images/Dockerfile").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^RUN (/opt/bodyposenet/bin/python -m compileall .*)", text, re.MULTILINE)
    command = line.replace("/opt/bodyposenet/bin/python", sys.executable).replace("/opt/bodyposenet/lib", str(tmp_path))
    (tmp_path / folder).mkdir(parents=True)
    for name, source in (("good.py", "x = 1"), ("kubernetes/left_out.py", "x =")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(source)
    assert subprocess.run(command, shell=True).returncode == 0
    (tmp_path / folder / "broken.py").write_text("x =")
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"{folder}/broken.py" in done.stdout + done.stderr


def test_no_step_of_the_image_hides_that_it_failed():
    assert "|| true" not in (ROOT / "images/Dockerfile").read_text()
