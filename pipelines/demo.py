"""Demo: the prune-and-retrain pipeline on this machine, without Kubernetes and without Docker.

python -m bodyposenet.pipelines.demo --output build/demo [--data FOLDER] [--epochs 2]
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kfp import local

from bodyposenet.common.data.photo_set import dataset_spec_of
from bodyposenet.common.errors import UserError
from bodyposenet.common.report.stages import Stage, precision, shown, write_table
from bodyposenet.pipelines.local import tried_once
from bodyposenet.pipelines.specs import default

STAGES = ("base", "pruned", "retrained", "int8")
FIGURES = ("ap", "params", "gflops", "bytes", "latency_ms")
TRAININGS = ("train", "retrain")


def demo(
    output: Path, *, data: str = "", epochs: int | None = None, changes: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Run the pipeline under ``kfp.local`` and write ``summary.json`` and ``report.html``.

    Args:
        output: Gets everything: the pipeline's artifacts, the MLflow store, the summary and the report.
        data: Folder with ``images/`` and COCO keypoint files; empty draws people.
        epochs: Of both trainings; those of the specs by default.
        changes: Arguments of the pipeline that are not to have their defaults, specs as dicts among them.

    Returns:
        The summary: ceiling and start AP, the figures of each stage, and the seconds it all took.

    Raises:
        UserError: ``data`` has no photos, or no keypoint files.
    """
    begun = time.monotonic()
    if data:
        dataset_spec_of(Path(data))  # now, rather than after the retries of the task that would find out
    output = Path(output).resolve()
    output.mkdir(parents=True, exist_ok=True)
    _environment(output, f"demo-{time.strftime('%Y%m%d-%H%M%S')}")
    root = output / "pipeline"
    local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=str(root), raise_on_error=True)
    specs = {"inference_spec": default("inference")} | {f"{name}_spec": _spec(name, epochs) for name in TRAININGS}
    arguments = specs | ({"data": str(Path(data).resolve())} if data else {}) | dict(changes or {})
    _run(arguments, root)
    folder = max(root.glob("prune-retrain-*"), key=lambda path: path.stat().st_mtime)
    shutil.copyfile(folder / "report" / "page", output / "report.html")
    figures = unflattened(json.loads((folder / "report" / "figures").read_text(encoding="utf-8")))
    summary = {
        "ceiling_ap": figures.pop("ceiling_ap"),
        "start_ap": start_ap(arguments, folder / "dataset-join" / "dataset", output / "start"),
        **{name: {key: figures[name].get(key) for key in FIGURES} for name in STAGES},
        "seconds": round(time.monotonic() - begun, 1),
    }
    (output / "summary.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    return summary


def unflattened(figures: Mapping[str, float]) -> dict[str, Any]:
    """``{"base.ap": 0.6}`` as ``{"base": {"ap": 0.6}}``."""
    nested: dict[str, Any] = {}
    for name, value in figures.items():
        stage, dot, key = name.partition(".")
        if dot:
            nested.setdefault(stage, {})[key] = value
        else:
            nested[name] = value
    return nested


def as_text(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline's arguments with specs as the text that its form takes."""
    return {name: json.dumps(value) if isinstance(value, Mapping) else value for name, value in arguments.items()}


def _run(arguments: Mapping[str, Any], root: Path) -> None:
    """Run the pipeline; a task that fails has told why in its log, which is on the screen."""
    try:
        tried_once("prune_retrain")(**as_text(arguments))
    except RuntimeError as error:
        reason = str(error).splitlines()[0] if str(error) else "a task failed"
        raise UserError(reason, where=str(root), fix="its log is above; mend the cause and run again") from None


def start_ap(arguments: Mapping[str, Any], dataset: Path, results_dir: Path) -> float | None:
    """AP of the weights that the training started from, before any training, on the same held-out photos.

    Args:
        arguments: Of the pipeline: ``train_spec``, ``inference_spec``.
        dataset: What the pipeline converted.
        results_dir: Gets what was found.

    Returns:
        None where training starts from scratch, or nobody is labelled.
    """
    from bodyposenet.common.data.photo_set import spec_in
    from bodyposenet.common.evaluate.evaluate import evaluate
    from bodyposenet.common.model.start import weights_path
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.inference import InferenceSpec
    from bodyposenet.common.task_files import NOBODY

    weights = arguments["train_spec"].get("pretrained_weights")
    if not weights:
        return None
    truth = spec_in(dataset)
    spec = parse_spec(arguments["inference_spec"], InferenceSpec, where="inference_spec")
    ap = evaluate(weights_path(weights), spec, truth, results_dir).ap
    return None if ap == NOBODY else ap


def show(summary: dict[str, Any], output: Path) -> str:
    """The summary as a table, and where to look further."""
    stages = [Stage(name=name, **summary[name]) for name in STAGES]
    return "\n".join((
        "",
        write_table(stages, summary["ceiling_ap"]),
        "",
        f"start weights AP {shown(summary['start_ap'], precision)}, "
        f"ceiling AP of the set {shown(summary['ceiling_ap'], precision)}",
        f"report   {output / 'report.html'}",
        f"summary  {output / 'summary.json'}",
        f"MLflow   {_store(os.environ['MLFLOW_TRACKING_URI'])}",
        f"took     {summary['seconds'] / 60:.1f} minutes",
    ))  # fmt: skip


def _store(uri: str) -> str:
    """Where to look at the tracked runs: a server's address, or how to start one on the store."""
    return uri if uri.startswith("http") else f"mlflow server --backend-store-uri {uri}"


def _environment(output: Path, run: str) -> None:
    """What the tasks find in their environment; what is set already stays."""
    os.environ.setdefault("MLFLOW_TRACKING_URI", f"sqlite:///{output / 'mlflow.db'}")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ["BODYPOSENET_PIPELINE_RUN"] = run


def _spec(name: str, epochs: int | None) -> dict[str, Any]:
    spec = default(name)
    return {**spec, "num_epoch": epochs} if epochs else spec


def main() -> None:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description="Train, prune, retrain, quantize and evaluate on this machine.")
    parser.add_argument("--output", type=Path, default=Path("build/demo"), help="where everything goes")
    parser.add_argument("--data", default="", help="folder with images/ and COCO keypoint files; default: drawn people")
    parser.add_argument("--epochs", type=int, help="of both trainings")
    given = parser.parse_args()
    if given.epochs is not None and given.epochs < 1:
        parser.error(f"--epochs must be 1 or more (got {given.epochs})")
    try:
        print(show(demo(given.output, data=given.data, epochs=given.epochs), given.output))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
