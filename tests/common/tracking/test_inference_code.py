"""Inference code: a registered network runs where nothing is installed but what it asks for."""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from support.person_net import BRIGHT, DARK, assert_the_person, write_network

import bodyposenet
from bodyposenet.common.tracking import register_model
from bodyposenet.common.tracking.inference_code import find_modules
from bodyposenet.common.tracking.pyfunc import RegisteredPoseModel

# A Python in which some libraries of this environment are not installed, nor is this package
ALONE = """
import json, sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

absent = set(json.loads(sys.argv[1]))

class Few(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if path is None and name in absent else PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [BuiltinImporter, FrozenImporter, Few]
import mlflow, numpy

model = mlflow.pyfunc.load_model(sys.argv[2])
people = [model.predict(photo) for photo in numpy.load(sys.argv[3])]
print(json.dumps({"people": people, "file": sys.modules["bodyposenet"].__file__, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network") / "person.onnx")


@pytest.fixture(scope="module")
def model(network, tmp_path_factory):
    """The folder of a registered network, as MLflow gives it to whoever serves it."""
    from mlflow.artifacts import download_artifacts

    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "BODYPOSENET_PIPELINE_RUN", "KFP_RUN_ID"):
            patch.delenv(name, raising=False)
        store = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
        patch.setenv("MLFLOW_TRACKING_URI", store)
        version = register_model(network, metrics={}, name="alone")
        target = tmp_path_factory.mktemp("model")
        return Path(download_artifacts(f"models:/alone/{version}", dst_path=str(target), tracking_uri=store))


@pytest.fixture(scope="module")
def asked(model):
    """What the model asks for, and all that these ask for in turn, by the names of an index."""
    found, to_do = {}, [Requirement(line) for line in (model / "requirements.txt").read_text().splitlines()]
    while to_do:
        wanted = to_do.pop()
        name = canonicalize_name(wanted.name)
        extras = frozenset(wanted.extras)
        if extras <= found.get(name, frozenset()) and name in found:
            continue
        found[name] = found.get(name, frozenset()) | extras
        needs = map(Requirement, metadata.requires(name) or ())
        to_do += [each for each in needs if applies(each, extras)]
    return set(found)


def applies(requirement, extras):
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *extras))


def test_it_asks_for_libraries_of_an_index_in_the_versions_at_hand_and_for_no_tensorflow(model, asked):
    lines = [Requirement(line) for line in (model / "requirements.txt").read_text().splitlines()]
    assert {line.name: str(line.specifier) for line in lines} == {
        line.name: f"=={metadata.version(line.name)}" for line in lines
    }
    assert {"mlflow", "numba", "onnxruntime"} <= asked
    assert not asked & {"bodyposenet", "tensorflow", "tensorflow-cpu", "keras", "kfp", "openvino"}
    for other in ("conda.yaml", "python_env.yaml"):
        assert "bodyposenet" not in (model / other).read_text()


@pytest.mark.slow
def test_it_finds_the_same_people_where_only_what_it_asks_for_is_installed(network, model, asked, tmp_path):
    photos = np.stack([BRIGHT, DARK])
    np.save(tmp_path / "photos.npy", photos)
    owners = metadata.packages_distributions()
    absent = [name for name, owner in owners.items() if not asked & {canonicalize_name(each) for each in owner}]
    assert {"tensorflow", "keras", "kfp", "openvino", "tf2onnx"} <= set(absent)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PYTHON"))}
    told = json.dumps([name for name in absent if name != "bodyposenet"])
    done = subprocess.run(
        [sys.executable, "-c", ALONE, told, str(model), str(tmp_path / "photos.npy")],
        cwd=tmp_path, env=kept, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert Path(told["file"]) == model / "code" / "bodyposenet" / "__init__.py"
    assert not {"tensorflow", "keras", "kfp", "openvino"} & set(told["modules"])
    here = RegisteredPoseModel(network, {})
    assert_the_person(told["people"][0])
    assert told["people"] == [here.predict(photo) for photo in photos]


def test_its_code_is_this_package_s_own_without_training_pipelines_and_weights(model):
    root = model / "code" / "bodyposenet"
    files = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    code = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    assert f"bodyposenet {bodyposenet.__version__}" in code.pop("COPY.txt").decode()
    assert code.pop("LICENSE").lstrip().startswith(b"Apache License")
    tree = Path(bodyposenet.common.__path__[0])
    assert code.pop("__init__.py") == Path(bodyposenet.__file__).read_bytes()
    assert code == {name: (tree / name.removeprefix("common/")).read_bytes() for name in code}
    assert {"common/tracking/pyfunc.py", "common/pose/decoder.py", "common/deploy/runtime/runners.py"} <= set(code)
    assert not [name for name in code if name.startswith(("common/model/training", "common/cli", "common/tasks"))]
    assert sum(map(len, code.values())) < 560_000


def test_a_module_draws_in_what_it_imports_anywhere_and_the_packages_above(tmp_path):
    assert {*find_modules("bodyposenet.common.errors")} == {
        "bodyposenet.common.errors", "bodyposenet.common", "bodyposenet", "bodyposenet.common.plain_text",
        "bodyposenet.common.machine.own_arguments",
        "bodyposenet.common.machine.telemetry", "bodyposenet.common.machine",
    }  # fmt: skip
    lazily = "bodyposenet.common.deploy.tensorrt.engine_runner"  # the runners import it where they meet an engine
    assert lazily in find_modules("bodyposenet.common.deploy.runtime.runners")
    assert "bodyposenet.common.tasks" not in find_modules("bodyposenet.common.deploy.runtime.runners")
