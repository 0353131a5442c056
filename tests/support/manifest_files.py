"""Manifests as kustomize renders them, held to the schemas of Kubernetes and of Kubeflow's trainings."""

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[2]
KUBECTL = ROOT / ".venv" / "bin" / "kubectl"
KUBERNETES = "1.35"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CUSTOM = {  # the files of CRDs; a TrainingRuntime is a ClusterTrainingRuntime that belongs to a namespace
    "TFJob": "kubeflow.org_tfjobs.yaml",
    "TrainJob": "trainer.kubeflow.org_trainjobs.yaml",
    "TrainingRuntime": "trainer.kubeflow.org_clustertrainingruntimes.yaml",
}
DEEPER = {"items", "additionalProperties", "not", "allOf", "anyOf", "oneOf"}  # where schemas lie within a schema
POD_TEMPLATES = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "TFJob": ("spec", "tfReplicaSpecs", "Worker", "template"),
    "TrainingRuntime": ("spec", "template", "spec", "replicatedJobs", 0, "template", "spec", "template"),
}


class RenderError(Exception):
    """What kustomize says of a folder that it cannot render."""


class Pods(NamedTuple):
    """The pods that an object makes."""

    owner: dict
    labels: dict
    spec: dict

    @property
    def where(self) -> str:
        return called(self.owner)


def called(thing: dict) -> str:
    return f"{thing['kind']} {thing['metadata']['name']}"


@cache
def rendered(folder: Path) -> list[dict]:
    done = subprocess.run([KUBECTL, "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RenderError(done.stderr)
    return list(yaml.load_all(done.stdout, LOADER))


def together(*folders: Path) -> list[dict]:
    """The objects of several folders, those that several have once."""
    objects = {}
    for thing in [thing for folder in folders for thing in rendered(folder)]:
        objects.setdefault(called(thing), thing)
    return list(objects.values())


def pods_of(objects: list[dict]) -> Iterator[Pods]:
    for thing in objects:
        if thing["kind"] in POD_TEMPLATES:
            template: Any = thing
            for key in POD_TEMPLATES[thing["kind"]]:
                template = template[key]
            yield Pods(thing, template["metadata"]["labels"], template["spec"])


def core_problems(objects: list[dict]) -> list[str]:
    """What the schemas of Kubernetes say of the objects that are its own."""
    said = [_core_problem(json.dumps(thing)) for thing in objects if thing["kind"] not in CUSTOM]
    return [problem for problem in said if problem]


@cache  # most objects come again and again
def _core_problem(text: str) -> str:
    import kubernetes_validate

    thing = json.loads(text)
    try:
        kubernetes_validate.validate(thing, KUBERNETES, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{called(thing)}: {'.'.join(map(str, error.path))}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"{called(thing)}: {error}"
    return ""


def custom_problems(objects: list[dict], crds: Path) -> list[str]:
    """What the CustomResourceDefinitions in a folder say of the others."""
    return [
        f"{called(thing)}: {error.json_path}: {error.message}"
        for thing in objects
        if thing["kind"] in CUSTOM
        for error in _validator(crds / CUSTOM[thing["kind"]], thing["apiVersion"]).iter_errors(thing)
    ]


@cache
def _validator(path: Path, api_version: str) -> Any:
    from jsonschema import Draft202012Validator

    definition = yaml.load(path.read_text(), LOADER)
    group, _, wanted = api_version.partition("/")
    assert definition["spec"]["group"] == group
    version = next(one for one in definition["spec"]["versions"] if one["name"] == wanted)
    return Draft202012Validator(_closed(version["schema"]["openAPIV3Schema"]))


def _closed(schema: Any) -> Any:
    """A structural schema as a JSON schema that takes no field it does not name."""
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: value for key, value in schema.items() if not key.startswith("x-kubernetes-") and key != "nullable"}
    made |= {key: _closed(made[key]) for key in DEEPER & made.keys()}
    if "properties" in made:
        made["properties"] = {name: _closed(one) for name, one in made["properties"].items()}
        made.setdefault("additionalProperties", bool(schema.get("x-kubernetes-preserve-unknown-fields")))
    if schema.get("x-kubernetes-int-or-string"):
        made["type"] = ["integer", "string"]
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made
