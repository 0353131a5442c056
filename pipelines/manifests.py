"""Manifests: pipelines as the resources that Kubeflow's Kubernetes-native mode takes from ``kubectl apply``."""

import re
from pathlib import Path

from kfp import compiler

from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.yaml_text import dump_documents, load_documents
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.together import appear_together
from bodyposenet.pipelines.compile import PIPELINES
from bodyposenet.pipelines.package import find_package

NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def write_manifests(folder: Path, namespace: str) -> list[Path]:
    """Write a ``Pipeline`` and a ``PipelineVersion`` for each pipeline; returns the files.

    The version is shown by the name that an upload would give it, so that either finds the other's.

    Raises:
        UserError: Kubernetes takes no namespace of this name.
    """
    if not NAMESPACE.fullmatch(namespace):
        fix = "write lower-case letters, digits and dashes between them, 63 at most"
        raise UserError(f"{namespace!r} is no name of a namespace", where="--namespace", fix=fix)
    with appear_together(locate(folder), "compile") as staged:
        made = [_write(name, Path(str(staged / f"{name}.kubernetes.yaml")), namespace) for name in PIPELINES]
        return [folder / path.name for path in made]


def _write(name: str, file: Path, namespace: str) -> Path:
    package = find_package(name)
    options = compiler.KubernetesManifestOptions(
        pipeline_name=package.name,
        pipeline_version_name=f"{package.name}-{package.version}",
        pipeline_version_display_name=package.version,
        namespace=namespace,
        include_pipeline_manifest=True,
    )
    compiler.Compiler().compile(
        PIPELINES[name], str(file), kubernetes_manifest_format=True, kubernetes_manifest_options=options
    )
    resources = load_documents(file.read_text(encoding="utf-8"))
    for resource in resources:
        if resource["kind"] == "PipelineVersion":  # without what inputs are said to be, as an upload has it
            resource["spec"]["pipelineSpec"] = package.spec
    file.write_text(dump_documents(resources), encoding="utf-8")
    return file
