"""A pipeline of one's own, of component files: it compiles where kfp is and none of our libraries can be imported."""

import sys

import pytest
from support.composed import compile_alone, write_page

from bodyposenet.pipelines.package import read_package

OURS = ("bodyposenet",)
HEAVY = ("tensorflow", "keras", "numpy", "numba", "cv2", "pydantic", "jinja2", "pycocotools", "mlflow", "onnx", "h5py")


@pytest.fixture
def programs(tmp_path):
    return write_page(tmp_path)


def tasks(package):
    """The containers of a compiled pipeline, by the component's name."""
    return {name.removeprefix("exec-"): each for name, each in package.spec["deploymentSpec"]["executors"].items()}


def test_the_page_s_pipeline_compiles_without_this_package(programs):
    package = read_package(compile_alone(sys.executable, programs[0], *OURS, *HEAVY))
    assert package.inputs["network"].kind == "STRING"
    assert {*tasks(package)} == {"calibrate", "bundle", "weigh", "importer", "importer-2"}
    resources = tasks(package)["calibrate"]["container"]["resources"]
    assert resources == {"memoryLimit": 6.0, "resourceMemoryLimit": "6G"}
    assert package.platform == {}


def test_the_page_s_other_pipeline_wants_kfp_alone_and_has_what_our_tasks_have(programs):
    package = read_package(compile_alone(sys.executable, programs[1], *HEAVY))
    container = tasks(package)["evaluate"]["container"]
    assert container["resources"]["resourceMemoryLimit"] == "6G"
    there = package.platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-evaluate"]
    assert {"configMapAsEnv", "secretAsEnv", "fieldPathAsEnv", "activeDeadlineSeconds"} <= set(there)
