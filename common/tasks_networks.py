"""Tasks with networks: train, prune, export and quantize them."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bodyposenet.common.data.photo_set import DATASET_SPEC, spec_in
from bodyposenet.common.settings import whole
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.task_files import CALIBRATION_IMAGES, INT8, MODEL, ONNX, Settings, copy_whole, noted
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.datasets import shards

if TYPE_CHECKING:
    from bodyposenet.common.deploy.ranges import Method


def train(dataset: str, settings: Settings, start: str | None, model: str, metrics: str) -> dict[str, float]:
    """Train on a dataset's shards, from the spec's start or from the network in ``start``."""
    from bodyposenet.common.model.plan import make_plan

    folder = Path(model)
    spec = _train_spec(settings, dataset, start)
    plan = make_plan(spec)
    from bodyposenet.common.model.train import train as train_model
    from bodyposenet.common.validation import validation_of

    with task_run("retrain" if start else "train", buffer=folder) as run, run.system_metrics():
        run.log_params(spec.model_dump(mode="json", by_alias=True, exclude={"key"}), prefix="spec")
        for name, context in {"train": "training", "val": "validation"}.items():
            run.log_dataset(partial(shards, Path(dataset), name, context))
        done = train_model(spec, folder, source=plan.source, validate=validation_of(plan), told=run.log_curves)
        run.log_metrics({"params": done.params})
        run.log_artifact(done.model, "model")
    for checkpoint in folder.glob("model.epoch-*"):
        checkpoint.unlink()
    last = done.history[-1]
    told = {name: last[name] for name in ("loss", "images_per_second", "val_loss", "val_ap") if name in last}
    return noted({"params": done.params, **told}, metrics)


def _located(settings: Settings, dataset: Path, start: str | None) -> dict[str, Any]:
    """A train spec's data with its paths set to artifacts."""
    name = json.loads((dataset / DATASET_SPEC).read_text())["dataset"]
    loader = dict(settings.get("dataloader", {}))
    loader["dataset_config"] = {
        "train_records_folder_path": str(dataset),
        "train_records_path": ["train"],
        "val_records_folder_path": str(dataset),
        "val_records_path": ["val"],
        "dataset_specs": {name: str(dataset / DATASET_SPEC)},
    }
    located = {**settings, "dataloader": loader, "final_model_name": Path(MODEL).stem}
    return {**located, "pretrained_weights": str(Path(start) / MODEL), "load_graph": True} if start else located


def prune(
    model: str, settings: Settings, pruned: str, metrics: str, summary: str, picture: str, *,
    cut: Settings | None = None, dataset: str | None = None, train_settings: Settings | None = None,
) -> tuple[float, dict[str, float]]:  # fmt: skip
    """Prune a network; returns the share of the parameters that is left, and the numbers.

    ``cut`` changes some of the settings; the criterion taylor needs a dataset and the settings of a training on it.
    """
    from bodyposenet.common.prune.prune import prune_file
    from bodyposenet.common.report.pruning import write_pruning_page
    from bodyposenet.common.rounds import training_data

    spec = parse_spec(with_cut(whole(settings), whole(cut or {})), PruneSpec, where="prune_spec")
    training = _train_spec(train_settings, dataset) if train_settings and dataset else None
    with task_run("prune", buffer=Path(pruned)) as run:
        run.log_params(spec.model_dump(mode="json"), prefix="spec")
        data = training_data(spec, training) if training else None
        done = prune_file(Path(model) / MODEL, Path(pruned) / MODEL, spec, data=data)
        numbers = {"params_before": done.params_before, "params": done.params_after, "kept": done.kept}
        numbers |= {"gflops_before": done.gflops_before, "gflops": done.gflops_after, "threshold": done.threshold}
        run.log_metrics(numbers)
        run.log_artifact(Path(pruned) / MODEL, "model")
        write_pruning_page(Path(picture), done, spec)
        run.log_artifact(Path(picture), "report")
    Path(summary).write_text(done.markdown())
    return done.kept, noted(numbers, metrics)


def with_cut(settings: Settings, cut: Settings) -> dict[str, Any]:
    """A prune spec's dict with some keys changed; a threshold or target in them replaces whichever there was."""
    amounts = ("pruning_threshold", "target_params", "target_flops")
    others = {name: value for name, value in settings.items() if name not in amounts}
    return {**(others if any(name in cut for name in amounts) else settings), **cut}


def _train_spec(settings: Settings, dataset: str, start: str | None = None) -> TrainSpec:
    """A train spec for a dataset, from the spec's start or from the network in ``start``."""
    return parse_spec(_located(whole(settings), Path(dataset), start), TrainSpec, where="train_spec")


def prune_rounds(
    model: str, dataset: str, settings: Settings, retraining: Settings, rounds: int, pruned: str, metrics: str
) -> tuple[dict[str, Any], dict[str, float]]:
    """Prune and retrain in all rounds but the last; returns the prune spec of that, and the numbers.

    With one round the network is handed on as it is.
    """
    from bodyposenet.common.rounds import cut_left, prune_in_rounds

    source, folder = Path(model) / MODEL, Path(pruned)
    spec = parse_spec(whole(settings), PruneSpec, where="prune_spec")
    if rounds == 1:
        copy_whole(source, folder / MODEL)
        return _as_dict(spec), noted({"rounds": 0.0}, metrics)
    with task_run("prune_rounds", buffer=folder) as run, run.system_metrics():
        run.log_params({**spec.model_dump(mode="json"), "rounds": rounds}, prefix="spec")

        def told(number: int, entries: Sequence[Settings]) -> None:
            run.log_curves([_renamed(entry, f"round_{number}.") for entry in entries])

        done = prune_in_rounds(
            source, folder / "rounds", spec, _train_spec(retraining, dataset), rounds=rounds, only=rounds - 1, told=told
        )
        for one in done:
            run.log_metrics({"params": one.params, "gflops": one.gflops, "threshold": one.threshold}, step=one.number)
        copy_whole(folder / "rounds" / f"round_{len(done)}" / MODEL, folder / MODEL)
        run.log_artifact(folder / MODEL, "model")
    numbers = {"rounds": float(len(done)), "params_before": done[0].params_before, "params": done[-1].params}
    numbers |= {"gflops_before": done[0].gflops_before, "gflops": done[-1].gflops}
    return _as_dict(cut_left(spec, done, to_go=1)), noted(numbers, metrics)


def _renamed(entry: Settings, prefix: str) -> dict[str, Any]:
    """An epoch's entry with names of its own, but for the epoch."""
    return {name if name == "epoch" else prefix + name: value for name, value in entry.items()}


def _as_dict(spec: PruneSpec) -> dict[str, Any]:
    """A spec as Kubeflow takes it: what is null is left out."""
    return spec.model_dump(mode="json", exclude_none=True)


def export(model: str, onnx: str, metrics: str) -> dict[str, float]:
    """Export a network to ONNX."""
    from bodyposenet.common.deploy.onnx import export_onnx

    with task_run("export", buffer=Path(onnx)) as run:
        done = export_onnx(Path(model) / MODEL, Path(onnx) / ONNX, overwrite=True)
        numbers = {"bytes": float(done.bytes), "max_relative_error": done.max_relative_error}
        run.log_metrics(numbers)
        run.log_artifact(done.path, "model")
    return noted(numbers, metrics)


def calibrate(
    onnx: str, photos: str, settings: Settings, int8: str, metrics: str, summary: str, *,
    method: str = "entropy", keep: Sequence[str] = (), max_drop: float = 0.02, dataset: str | None = None,
) -> tuple[list[str], dict[str, float]]:  # fmt: skip
    """Quantize an exported network with calibration photos; returns the convolutions that stay float, and the numbers.

    ``keep`` names them, or is ``auto``: the fewest with which no more than ``max_drop`` is lost, of AP on the dataset's
    held-out photos, or, without a dataset, of the maps.
    """
    from bodyposenet.common.deploy.calibration_images import Fitting, from_folder
    from bodyposenet.common.deploy.onnx_file import card_of_model, read_model
    from bodyposenet.common.deploy.quantize import quantize_int8
    from bodyposenet.common.deploy.sensitivity import Budget
    from bodyposenet.common.evaluate.drop import ap_drop

    Path(int8).mkdir(parents=True, exist_ok=True)
    spec = parse_spec(whole(settings), InferenceSpec, where="inference_spec")
    source = Path(onnx) / ONNX
    fitting = Fitting(spec.input_shape, card_of_model(read_model(source), source), spec.keep_aspect_ratio_mode)
    images = from_folder(Path(photos) / CALIBRATION_IMAGES, fitting)
    budget = Budget(images, max_drop, ap_drop(source, spec, spec_in(Path(dataset))) if dataset else None)
    with task_run("calibrate", buffer=Path(int8)) as run:
        chooses = budget.choose if list(keep) == ["auto"] else keep
        done = quantize_int8(source, images, Path(int8) / INT8, method=cast("Method", method), keep=chooses)
        run.log_params({"method": method, "keep": list(keep), "max_drop": max_drop}, prefix="spec")
        run.log_params({"kept_in_float": list(done.kept)}, prefix="data")
        sizes = {"bytes": done.path.stat().st_size, "bytes_cpu": done.cpu_path.stat().st_size}
        numbers = {"images": float(done.images), "kept_in_float": float(len(done.kept))}
        numbers |= {name: float(size) for name, size in sizes.items()}
        if budget.choice:
            numbers |= {"drop": budget.choice.drop, "drop_without": budget.choice.drop_without}
        run.log_metrics(numbers)
        for path in (done.path, done.cpu_path, done.cache):
            run.log_artifact(path, "model")
    Path(summary).write_text(budget.markdown(done.kept))
    return list(done.kept), noted(numbers, metrics)
