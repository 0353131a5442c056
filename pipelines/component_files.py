"""Component files: each component as YAML, for pipelines of whoever has kfp and nothing of this package.

Our own pipelines connect our own types of artifacts, so that wrong wiring shows when they are compiled. A component
file has kfp's types instead, those that importers and other people's components have; what arrives is checked inside.
"""

import re
from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from bodyposenet.common.kubeflow import artifacts
from bodyposenet.common.kubeflow.yaml_text import dump_documents, load_documents
from bodyposenet.pipelines.catalogue import all_components, descriptions
from bodyposenet.pipelines.compile import UNSTEADY
from bodyposenet.pipelines.component_pages import FILES

OWN_TYPE = re.compile(r"\bsystem\.(\w+)")


def compile_components(folder: Path | None = None) -> list[Path]:
    """Compile all components into ``folder``, by default that of this package; returns the files."""
    folder = Path(folder or FILES)
    folder.mkdir(parents=True, exist_ok=True)
    return [compile_component(component, folder / f"{name}.yaml") for name, component in all_components().items()]


def compile_component(component: Any, file: Path) -> Path:
    """Compile a component into ``file``, and return that."""
    compiler.Compiler().compile(component, str(file))
    text = OWN_TYPE.sub(lambda match: generalize(match[1]), UNSTEADY.sub(r"\1", file.read_text(encoding="utf-8")))
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    (spec,) = load_documents(text)
    told = descriptions(component)
    for part in (*spec["components"].values(), spec["root"]):
        _describe_outputs(part, told)
    file.write_text(head + dump_documents([spec]), encoding="utf-8")
    return file


def generalize(name: str) -> str:
    """Give kfp's type for one of our own, and any other as it is, by the schema titles' last parts."""
    own = getattr(artifacts, name, None)
    kinds = own.__mro__ if own else ()
    title = next((kind.schema_title for kind in kinds if kind.__module__ == dsl.Artifact.__module__), f"system.{name}")
    return str(title)


def _describe_outputs(component: dict[str, Any], told: dict[str, str]) -> None:
    """Add what the docstring says of outputs; kfp keeps what it says of inputs only."""
    for kind in component.get("outputDefinitions", {}).values():
        for name, definition in kind.items():
            definition["description"] = told[name]


if __name__ == "__main__":
    for written in compile_components():
        print(f"wrote {written}")
