"""Component pages: what a compiled component takes and gives, for people who wire it into a pipeline of their own."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bodyposenet import components
from bodyposenet.common.errors import UserError
from bodyposenet.common.kubeflow.container_images import rename_image
from bodyposenet.common.kubeflow.yaml_text import load_documents
from bodyposenet.common.spec.problems import did_you_mean

FILES = Path(components.__path__[0]) / "compiled"
IMAGE = re.compile(r"^( +image: )(\S+)$", re.MULTILINE)
PURPOSE = re.compile(r"^# Description: (.*)$", re.MULTILINE)
KINDS = {  # Kubeflow's words for types of parameters, and Python's
    "STRING": "str",
    "NUMBER_INTEGER": "int",
    "NUMBER_DOUBLE": "float",
    "BOOLEAN": "bool",
    "LIST": "list",
    "STRUCT": "dict",
    "TASK_FINAL_STATUS": "PipelineTaskFinalStatus",
}
SNIPPET = """\
# bpnet component show {name} --yaml > {name}.yaml
from kfp import components
from bodyposenet.pipelines.resources import with_resources

{name} = components.load_component_from_file("{name}.yaml")
task = with_resources({name}({arguments}))  # in a pipeline
"""


def list_purposes() -> dict[str, str]:
    """What each component does, by its name."""
    return {path.stem: find_purpose(path.read_text(encoding="utf-8")) for path in sorted(FILES.glob("*.yaml"))}


def find_purpose(text: str) -> str:
    """The first line that a component's file has of its description."""
    found = PURPOSE.search(text)
    return found[1] if found else ""


def read_component(name: str, environment: Mapping[str, str] | None = None) -> str:
    """Read a component's file, with the image that the environment names.

    Args:
        name: Of the component, with underscores or dashes.
        environment: By default that of the process.

    Raises:
        UserError: There is no such component.
    """
    known = [path.stem for path in FILES.glob("*.yaml")]
    stem = name.replace("-", "_")
    if stem not in known:
        fix = "bpnet component list names them"
        raise UserError(f"no such component{did_you_mean(stem, known)}", where=name, fix=fix)
    here = os.environ if environment is None else environment
    text = (FILES / f"{stem}.yaml").read_text(encoding="utf-8")
    return IMAGE.sub(lambda match: match[1] + rename_image(match[2], here), text)


def describe_component(text: str) -> str:
    """Tell what the component of a file does, takes and gives, where it runs, and how to load it."""
    (spec,) = load_documents(text)
    (executor,) = spec["deploymentSpec"]["executors"].values()
    name = spec["pipelineInfo"]["name"].replace("-", "_")
    inputs, outputs = (_list_ends(spec["root"].get(f"{end}Definitions", {})) for end in ("input", "output"))
    required = [end for end in inputs if not end["optional"]]
    told = [f"{name}: {find_purpose(text)}", f"runs in {executor['container']['image']}"]
    told += _tabulate("inputs", [*required, *(end for end in inputs if end["optional"])])
    told += _tabulate("outputs", outputs)
    arguments = ", ".join(f"{end['name']}=..." for end in required)
    return "\n".join([*told, "", SNIPPET.format(name=name, arguments=arguments)])


def _list_ends(definitions: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The inputs or the outputs: name, type with its default, description, and whether it may be left out."""
    ends = [each for kind in ("artifacts", "parameters") for each in definitions.get(kind, {}).items()]
    return [
        {
            "name": name,
            "type": _name_type(each),
            "description": each["description"],
            "optional": each.get("isOptional", False),
        }
        for name, each in ends
    ]


def _name_type(definition: Mapping[str, Any]) -> str:
    if "artifactType" in definition:
        kind = definition["artifactType"]["schemaTitle"].removeprefix("system.")
        kind = f"list[{kind}]" if definition.get("isArtifactList") else kind
    else:
        kind = KINDS[definition["parameterType"]]
    default = definition.get("defaultValue")
    default = int(default) if kind == "int" and default is not None else default  # YAML of kfp has floats only
    return f"{kind} = {default!r}" if definition.get("isOptional") else kind


def _tabulate(title: str, ends: list[dict[str, Any]]) -> Iterator[str]:
    """Lines of a table, each column as wide as it must be; none for nothing."""
    widths = [max((len(end[column]) for end in ends), default=0) for column in ("name", "type")]
    for number, end in enumerate(ends):
        if number == 0:
            yield from ("", title)
        yield f"  {end['name']:{widths[0]}}  {end['type']:{widths[1]}}  {end['description']}"
