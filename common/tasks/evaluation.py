"""Evaluation tasks: score a network, and choose the smallest that is good enough."""

from collections.abc import Sequence
from pathlib import Path

from bodyposenet.common.data.photo_set import spec_in
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.report.comparison_table import Stage
from bodyposenet.common.report.pareto import choose, cut_name
from bodyposenet.common.report.sweep_page import write_sweep_page
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.json_files import read_json, take_mapping
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import (
    NOBODY,
    ONNX,
    Settings,
    copy_whole,
    find_dataset,
    find_runnable,
    note,
    read_spec,
)
from bodyposenet.common.tracking import task_run

NOTHING = "reason.txt"  # instead of a network, where none was chosen


@report_failures
def evaluate(
    model: str, dataset: str, inference_spec: Settings, name: str, detections: str, metrics: str
) -> tuple[float, dict[str, float]]:
    """AP of any model artifact on a dataset's held-out photos, -1 where nobody is labelled; and the numbers."""
    from bodyposenet.common.steps.evaluate import run_evaluate

    spec = read_spec(inference_spec, InferenceSpec, "inference_spec")
    truth = spec_in(find_dataset(dataset))
    with task_run(f"evaluate_{name}", buffer=Path(detections)) as run:
        done, numbers = run_evaluate(run, find_runnable(model), spec, truth, Path(detections), name=name)
    return done.ap, note(numbers, metrics)


@report_failures
def choose_smallest(
    base: str, base_ap: float, made: Sequence[tuple[str, str, float, Settings]], max_ap_drop: float, chosen: str,
    page: str, metrics: str, reason: str,
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Hand on the smallest of several pruned networks that is good enough, or nothing.

    Args:
        base: The exported network that was pruned.
        base_ap: Its AP.
        made: For each network its exported file's folder, its pruning's metrics, its AP, and what it was asked for.
        max_ap_drop: Greatest loss of AP.
        chosen: Gets a copy of the network; where there is none, a note.
        page: Gets the page.
        metrics: Gets the numbers.
        reason: Gets a sentence.

    Returns:
        AP of the network, -1 where there is none; and the numbers.
    """
    fix = "give what the prunings noted"
    figures = [read_json(numbers, take_mapping, what="table of numbers", fix=fix) for _, numbers, _, _ in made]
    before = {name.removesuffix("_before"): value for name, value in figures[0].items() if name.endswith("_before")}
    start = _stage("base", base, base_ap, before)
    stages = [
        _stage(cut_name(restore_ints(cut)), onnx, ap, row)
        for (onnx, _, ap, cut), row in zip(made, figures, strict=True)
    ]
    choice = choose(start, stages, max_ap_drop)
    with task_run("choose_smallest", buffer=Path(chosen)) as run:
        write_sweep_page(Path(page), start, stages, choice)
        numbers = {"networks": float(len(stages)), "base_ap": base_ap}
        ap = NOBODY if choice.place is None else made[choice.place][2]
        if choice.place is None:
            _write(Path(chosen) / NOTHING, choice.reason)
        else:
            copy_whole(find_runnable(made[choice.place][0]), Path(chosen) / ONNX)
            numbers |= {"ap": ap, **_measure(stages[choice.place])}
        _write(Path(reason), choice.reason)
        run.log_params({"choice": choice.reason}, prefix="data")
        run.log_metrics(numbers)
        run.log_artifact(Path(page), "report")
    return ap, note(numbers, metrics)


def _stage(name: str, onnx: str, ap: float, numbers: Settings) -> Stage:
    """A network as the pages show it: its AP, the size of its file, and what its pruning noted."""
    size = find_runnable(onnx).stat().st_size
    return Stage(name, None if ap == NOBODY else ap, numbers.get("params"), numbers.get("gflops"), size)


def _measure(stage: Stage) -> dict[str, float]:
    numbers = {"params": stage.params, "gflops": stage.gflops, "bytes": stage.bytes}
    return {name: float(number) for name, number in numbers.items() if number is not None}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
