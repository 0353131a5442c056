"""Kubernetes-native mode: the pipelines as resources that ``kubectl apply`` takes."""

import re

import pytest
from click.testing import CliRunner
from support.kubeflow_rules import check_pipeline

from bodyposenet.common.cli.main import main
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.pipelines.compile import PIPELINES
from bodyposenet.pipelines.package import find_package

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")  # of a resource


def compile_here(*args):
    return CliRunner().invoke(main, ["pipeline", "compile", *map(str, args)], catch_exceptions=False)


@pytest.fixture(scope="module")
def resources(tmp_path_factory):
    """By the pipelines' names: a Pipeline and a PipelineVersion."""
    folder = tmp_path_factory.mktemp("kubernetes")
    result = compile_here("-o", folder, "--kubernetes-manifest-format", "--namespace", "poses")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [f"wrote {folder / name}.kubernetes.yaml" for name in PIPELINES]
    return {name: load_documents((folder / f"{name}.kubernetes.yaml").read_text()) for name in PIPELINES}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_version_belongs_to_its_pipeline_and_both_to_the_namespace(resources, name):
    pipeline, version = resources[name]
    assert (pipeline["kind"], version["kind"]) == ("Pipeline", "PipelineVersion")
    assert version["spec"]["pipelineName"] == pipeline["metadata"]["name"]
    for each in (pipeline, version):
        assert each["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
        assert each["metadata"]["namespace"] == "poses"
        assert NAME.fullmatch(each["metadata"]["name"])


@pytest.mark.parametrize("name", PIPELINES)
def test_they_are_shown_by_the_names_of_uploads_and_hold_the_same_documents(resources, name):
    pipeline, version = resources[name]
    package = find_package(name)
    assert pipeline["spec"]["displayName"] == package.name
    assert version["spec"]["displayName"] == package.version
    assert version["spec"]["pipelineSpec"] == package.spec
    assert version["spec"].get("platformSpec", {}) == package.platform
    check_pipeline(version["spec"]["pipelineSpec"], version["spec"].get("platformSpec", {}))


@pytest.mark.data
@pytest.mark.parametrize("name", PIPELINES)
def test_kubeflow_s_definitions_know_every_key(resources, name, data_folder):
    for each in resources[name]:
        file = data_folder / "crds" / f"pipelines.kubeflow.org_{each['kind'].lower()}s.yaml"
        (definition,) = [one for one in load_documents(file.read_text()) if one]
        (served,) = [one for one in definition["spec"]["versions"] if one["name"] == "v2beta1"]
        known = served["schema"]["openAPIV3Schema"]["properties"]["spec"]
        assert each["spec"].keys() <= known["properties"].keys()
        assert each["spec"].keys() >= set(known.get("required", ()))


def test_they_want_a_folder_of_their_own():
    result = compile_here("--kubernetes-manifest-format")
    assert result.exit_code == 2
    assert "--kubernetes-manifest-format wants a folder" in result.stderr


@pytest.mark.parametrize("namespace", ["My NS", "a_b", "", "-a", "a" * 64, "a.b"])
def test_a_namespace_that_kubernetes_does_not_take_is_refused_and_nothing_is_written(tmp_path, namespace):
    result = compile_here("-o", tmp_path / "made", "--kubernetes-manifest-format", "--namespace", namespace)
    assert result.exit_code == 2
    assert f"--namespace: {namespace!r} is no name of a namespace; write lower-case" in result.stderr
    assert not (tmp_path / "made").exists()
