"""Compile: every pipeline of this package to the YAML that Kubeflow takes."""

import re
from pathlib import Path
from typing import Any

from kfp import compiler

from bodyposenet.common.kubeflow.yaml_text import dump_documents, load_documents
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.together import appear_together
from bodyposenet.pipelines.batch_inference import batch_inference
from bodyposenet.pipelines.here.local import COMPILED
from bodyposenet.pipelines.prune_retrain import prune_retrain
from bodyposenet.pipelines.prune_sweep import prune_sweep

PIPELINES: dict[str, Any] = {
    "prune_retrain": prune_retrain,
    "prune_sweep": prune_sweep,
    "batch_inference": batch_inference,
}
# kfp's comment on top shows a dict in the order of a protobuf map, another one on every run; the document has it, too.
UNSTEADY = re.compile(r"^(#    \w+: dict) \[Default: .*\]$", re.MULTILINE)


def compile_all(folder: Path | None = None) -> list[Path]:
    """Compile all pipelines into ``folder``, by default that of this package; returns the files."""
    folder = Path(folder or COMPILED)
    with appear_together(locate(folder), "compile") as staged:
        return [folder / compile_one(name, Path(str(staged / f"{name}.yaml"))).name for name in PIPELINES]


def compile_one(name: str, file: Path) -> Path:
    """Compile the pipeline of this name into ``file``, and return that."""
    compiler.Compiler().compile(PIPELINES[name], str(file))
    text = file.read_text(encoding="utf-8")
    head = "".join(line for line in UNSTEADY.sub(r"\1", text).splitlines(keepends=True) if line.startswith("#"))
    spec, *platform = load_documents(text)
    for component in spec["components"].values():
        _leave_out_descriptions(component)
    file.write_text(head + dump_documents([spec, *platform]), encoding="utf-8")
    return file


def _leave_out_descriptions(component: dict[str, Any]) -> None:
    """Drop what inputs and outputs are said to be: no page shows it, and every node of a workflow would carry it."""
    for part in ("inputDefinitions", "outputDefinitions"):
        for kind in component.get(part, {}).values():
            for definition in kind.values():
                definition.pop("description", None)


if __name__ == "__main__":
    for written in compile_all():
        print(f"wrote {written}")
