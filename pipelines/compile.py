"""Compile: every pipeline of this package to the YAML that Kubeflow takes."""

import re
from pathlib import Path
from typing import Any

from kfp import compiler

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
    folder.mkdir(parents=True, exist_ok=True)
    return [compile_one(name, folder / f"{name}.yaml") for name in PIPELINES]


def compile_one(name: str, file: Path) -> Path:
    """Compile the pipeline of this name into ``file``, and return that."""
    compiler.Compiler().compile(PIPELINES[name], str(file))
    file.write_text(UNSTEADY.sub(r"\1", file.read_text(encoding="utf-8")), encoding="utf-8")
    return file


if __name__ == "__main__":
    for written in compile_all():
        print(f"wrote {written}")
