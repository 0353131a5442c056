"""Catalogue: what each component takes, gives and needs, as Markdown written from the components themselves.

python -m bodyposenet.pipelines.catalogue
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docstring_parser

from bodyposenet import components
from bodyposenet.pipelines.resources import NEEDS

FILE = Path(components.__path__[0]) / "README.md"
RETURNED = "Output"  # Kubeflow's name of the value that a function returns
INTRODUCTION = """\
# Components

<!-- Written by `python -m bodyposenet.pipelines.catalogue` from the components' signatures and docstrings. -->

One file is one Kubeflow Pipelines component: a signature, a docstring and one call of `common/tasks`. The artifact
types are declared in `common/kubeflow/artifacts.py`, the images in `common/kubeflow/container_images.py`, the resources
in `pipelines/resources.py`. How to add one: [CONTRIBUTING.md](../CONTRIBUTING.md).

`compiled/NAME.yaml` is the same component for whoever has kfp alone: `kfp.components.load_component_from_file` takes
it. Its artifacts are of kfp's own types, `Dataset` and `Model`, which importers and other people's components have:
[pipelines of one's own](../docs/composing.md).
"""


def catalogue() -> str:
    """All components as Markdown: a table of them, and a section for each."""
    found = all_components()
    index = ["| component | purpose | image |", "|---|---|---|"]
    index += [f"| [{name}](#{name}) | {purpose(component)} | {image(component)} |" for name, component in found.items()]
    sections = [section(name, component) for name, component in found.items()]
    return "\n".join([INTRODUCTION, *index, "", *sections])


def all_components() -> dict[str, Any]:
    """Every component of the package by the name of its module, in the order of the alphabet."""
    names = sorted(module.name for module in pkgutil.iter_modules(components.__path__))
    return {
        name: getattr(importlib.import_module(f"{components.__name__}.{name}"), name)
        for name in names
        if not name.startswith("_")
    }


def section(name: str, component: Any) -> str:
    """One component: purpose, image, resources, and a table of its inputs and outputs."""
    need = NEEDS[component.name]
    lines = [f"## {name}", "", purpose(component), ""]
    lines += [f"Runs in `{image(component)}`, with {need.cpu} CPU and {need.memory} of memory.", ""]
    table = list(rows(component))
    lines += ["| | name | type | default | |", "|---|---|---|---|---|", *table, ""] if table else []
    return "\n".join(lines)


def rows(component: Any) -> Iterator[str]:
    """The lines of the table: inputs, then outputs."""
    told = descriptions(component)
    spec = component.component_spec
    for name, given in (spec.inputs or {}).items():
        default = "none" if given.optional and given.default is None else repr(given.default) if given.optional else ""
        yield f"| in | `{name}` | {kind(given.type)} | {default and f'`{default}`'} | {told[name]} |"
    for name, made in (spec.outputs or {}).items():
        yield f"| out | `{name}` | {kind(made.type)} | | {told[name]} |"


def descriptions(component: Any) -> dict[str, str]:
    """What the docstring says of each argument and of what is returned; Kubeflow keeps that of the inputs only."""
    parsed = docstring_parser.parse(component.python_func.__doc__, docstring_parser.DocstringStyle.GOOGLE)
    told = {entry.arg_name: " ".join((entry.description or "").split()) for entry in parsed.params}
    return told | {RETURNED: " ".join((parsed.returns.description or "").split()) if parsed.returns else ""}


def purpose(component: Any) -> str:
    """The first sentence of the docstring."""
    return str(component.description).splitlines()[0]


def image(component: Any) -> str:
    """The image's name without registry and tag, which a compilation decides."""
    name = str(component.component_spec.implementation.container.image)
    return name.rsplit("/", 1)[-1].split(":", 1)[0].split("@", 1)[0]


def kind(title: str) -> str:
    """``system.PoseModel@0.0.1`` as ``PoseModel``; parameters have plain names."""
    return title.removeprefix("system.").split("@", 1)[0]


if __name__ == "__main__":
    FILE.write_text(catalogue(), encoding="utf-8")
    print(f"wrote {FILE}")
