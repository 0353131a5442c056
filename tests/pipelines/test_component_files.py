"""Component files: what somebody loads who has kfp and nothing of this package."""

import os
import subprocess
import sys

import pytest
from google.protobuf import json_format
from kfp import components, dsl
from kfp.dsl.types.type_utils import InconsistentTypeException
from kfp.pipeline_spec import pipeline_spec_pb2

from bodyposenet.common.kubeflow import container_images
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.pipelines.catalogue import all_components
from bodyposenet.pipelines.component_files import compile_components
from bodyposenet.pipelines.component_pages import FILES

COMPONENTS = all_components()
# What kfp's importers make, and what its own components put out
KNOWN = {f"system.{name}" for name in ("Artifact", "Dataset", "Model", "Metrics", "Markdown", "HTML")}
COMPILE = """
import sys
from pathlib import Path
from bodyposenet.pipelines.component_files import compile_components
compile_components(Path(sys.argv[1]))
"""


def document(path):
    """A compiled component, the SDK's version dropped and nothing else."""
    (spec,) = load_documents(path.read_text())
    spec.pop("sdkVersion")
    return spec


def load(name):
    return components.load_component_from_file(str(FILES / f"{name}.yaml"))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("components")
    compile_components(folder)
    return folder


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_committed_yaml_is_what_this_code_compiles_to(compiled, name):
    assert document(FILES / f"{name}.yaml") == document(compiled / f"{name}.yaml"), "run: make compile"


def test_every_component_has_a_file_and_nothing_else_is_committed():
    assert {path.name for path in FILES.iterdir()} == {f"{name}.yaml" for name in COMPONENTS}


def test_compiling_gives_the_same_bytes_under_any_hash_seed(compiled, tmp_path):
    command = [sys.executable, "-W", "ignore", "-c", COMPILE, str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": "4711"})
    for name in COMPONENTS:
        there, here = ((folder / f"{name}.yaml").read_bytes() for folder in (tmp_path, compiled))
        assert there == here
        assert there.isascii()


@pytest.mark.parametrize("name", COMPONENTS)
def test_kubeflow_can_read_the_file_and_it_holds_one_container_of_this_version(name):
    spec = document(FILES / f"{name}.yaml")
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    (executor,) = spec["deploymentSpec"]["executors"].values()
    assert executor["container"]["image"] in (container_images.TRAIN_IMAGE, container_images.DEPLOY_IMAGE)


@pytest.mark.parametrize("name", COMPONENTS)
def test_all_artifacts_are_of_types_that_others_have(name):
    root = document(FILES / f"{name}.yaml")["root"]
    ends = [root.get(f"{end}Definitions", {}).get("artifacts", {}) for end in ("input", "output")]
    assert {each["artifactType"]["schemaTitle"] for end in ends for each in end.values()} <= KNOWN


@pytest.mark.parametrize("name", COMPONENTS)
def test_every_input_and_output_is_described(name):
    root = document(FILES / f"{name}.yaml")["root"]
    for end in ("input", "output"):
        for kind in root.get(f"{end}Definitions", {}).values():
            assert all(each.get("description") for each in kind.values())


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_loaded_component_takes_and_gives_what_the_function_does(name):
    loaded, own = load(name).component_spec, COMPONENTS[name].component_spec
    found, wanted = ({key: (i.optional, i.default) for key, i in (s.inputs or {}).items()} for s in (loaded, own))
    assert found == wanted
    assert set(loaded.outputs or {}) == set(own.outputs or {})
    assert loaded.description.splitlines()[0] == own.description.splitlines()[0]


@pytest.mark.parametrize("kind", [dsl.Artifact, dsl.Model])
def test_a_network_that_was_imported_fits(kind):
    """A component of our own types would refuse kfp's model."""

    @dsl.pipeline
    def imported() -> None:
        network = dsl.importer(artifact_uri="gs://b/model.keras", artifact_class=kind)
        load("bundle")(onnx=load("export")(model=network.output).outputs["onnx"], server="triton")

    assert "importer" in imported.pipeline_spec.root.dag.tasks


def test_a_dataset_in_place_of_a_network_is_refused_when_the_pipeline_is_compiled():
    with pytest.raises(InconsistentTypeException, match=r"Dataset.* is incompatible .*Model"):

        @dsl.pipeline
        def wrong() -> None:
            joined = load("dataset_convert")(
                photo_set=load("photos")(data="synthetic:1,1", fingerprint="").output, fingerprint="", dataset_spec={}
            )
            load("export")(model=joined.outputs["dataset"])
