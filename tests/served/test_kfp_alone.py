"""A pipeline of one's own compiles in an environment of kfp alone; with our resources, where this package is there."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from support.composed import compile_alone, write_page

from bodyposenet.pipelines.package import read_package

pytestmark = pytest.mark.served

ROOT = Path(__file__).parents[2]
FOLDERS = ("bodyposenet", "common", "components", "pipelines")
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
LIST = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    return write_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def kfp_alone(make_environment):
    return make_environment("kfp>=2.17,<3", "kfp-kubernetes>=2.17,<3")


def packages(python):
    return set(json.loads(subprocess.run([python, "-I", "-c", LIST], capture_output=True, check=True).stdout))


def test_the_page_s_pipeline_compiles_where_only_kfp_is(kfp_alone, programs):
    assert not {"bodyposenet", "numpy", "tensorflow"} & packages(kfp_alone)
    package = read_package(compile_alone(kfp_alone, programs[0]))
    assert {"exec-calibrate", "exec-bundle", "exec-weigh"} <= package.spec["deploymentSpec"]["executors"].keys()


@pytest.fixture
def source(tmp_path):
    """A copy of the tree: building in the tree itself would leave things there, or find some."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def test_our_function_for_resources_is_there_when_the_package_is_put_beside_kfp(make_environment, programs, source):
    python = make_environment("kfp>=2.17,<3", "kfp-kubernetes>=2.17,<3")
    subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), "--no-deps", str(source)], check=True)
    assert not {"numpy", "tensorflow"} & packages(python)
    package = read_package(compile_alone(python, programs[1]))
    container = package.spec["deploymentSpec"]["executors"]["exec-evaluate"]["container"]
    assert container["resources"]["resourceMemoryLimit"] == "6G"
    assert package.platform["platforms"]["kubernetes"]
