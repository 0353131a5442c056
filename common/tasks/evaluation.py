"""Tasks with scores: evaluate networks, and write the pages that compare them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bodyposenet.common.data.photo_set import TEST_IMAGES, spec_in
from bodyposenet.common.data.records.manifest import read_manifest
from bodyposenet.common.kubeflow.parameter_values import whole
from bodyposenet.common.report.comparison_table import Stage
from bodyposenet.common.report.pareto import choose, cut_name
from bodyposenet.common.report.sweep_page import write_sweep_page
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.inside import join_inside
from bodyposenet.common.tasks.files import INT8_CPU, MODEL, NOBODY, ONNX, Settings, copy_whole, model_in, noted
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.datasets import held_out

NOTHING = "reason.txt"  # instead of a network, where none was chosen


def evaluate(
    model: str, dataset: str, settings: Settings, name: str, detections: str, metrics: str
) -> tuple[float, dict[str, float]]:
    """AP of any model artifact on a dataset's held-out photos, -1 where nobody is labelled; and the numbers."""
    from bodyposenet.common.evaluation.evaluate import evaluate as evaluate_model

    spec = parse_spec(whole(settings), InferenceSpec, where="inference_spec")
    truth = spec_in(Path(dataset))
    with task_run(f"evaluate_{name}", buffer=Path(detections)) as run:
        run.log_params({**spec.model_dump(mode="json"), "model": name}, prefix="spec")
        done = evaluate_model(model_in(model), spec, truth, Path(detections))
        run.log_dataset(lambda: held_out(Path(dataset) / "test", truth.dataset, done.images))
        numbers = {_metric_name(key): value for key, value in done.metrics.items()}
        run.log_params({"ran": done.ran}, prefix="data")
        numbers |= {} if done.speed_up is None else {"speed_up": done.speed_up}
        numbers |= {"people_found": done.people, "people_labelled": done.labelled, "skipped": len(done.skipped)}
        run.log_metrics(numbers)
    return done.ap, noted(numbers, metrics)


def _metric_name(name: str) -> str:
    """MLflow takes no colon on every store: ``AP_0.50:0.95_all`` becomes ``AP_0.50-0.95_all``."""
    return name.replace(":", "-")


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
    figures = [json.loads(Path(numbers).read_text(encoding="utf-8")) for _, numbers, _, _ in made]
    before = {name.removesuffix("_before"): value for name, value in figures[0].items() if name.endswith("_before")}
    start = _stage("base", base, base_ap, before)
    stages = [
        _stage(cut_name(whole(cut)), onnx, ap, row) for (onnx, _, ap, cut), row in zip(made, figures, strict=True)
    ]
    choice = choose(start, stages, max_ap_drop)
    with task_run("choose_smallest", buffer=Path(chosen)) as run:
        write_sweep_page(Path(page), start, stages, choice)
        numbers = {"networks": float(len(stages)), "base_ap": base_ap}
        ap = NOBODY if choice.place is None else made[choice.place][2]
        if choice.place is None:
            _write(Path(chosen) / NOTHING, choice.reason)
        else:
            copy_whole(model_in(made[choice.place][0]), Path(chosen) / ONNX)
            numbers |= {"ap": ap, **_measured(stages[choice.place])}
        _write(Path(reason), choice.reason)
        run.log_params({"choice": choice.reason}, prefix="data")
        run.log_metrics(numbers)
        run.log_artifact(Path(page), "report")
    return ap, noted(numbers, metrics)


def _stage(name: str, onnx: str, ap: float, numbers: Settings) -> Stage:
    """A network as the pages show it: its AP, the size of its file, and what its pruning noted."""
    size = model_in(onnx).stat().st_size
    return Stage(name, None if ap == NOBODY else ap, numbers.get("params"), numbers.get("gflops"), size)


def _measured(stage: Stage) -> dict[str, float]:
    numbers = {"params": stage.params, "gflops": stage.gflops, "bytes": stage.bytes}
    return {name: float(number) for name, number in numbers.items() if number is not None}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def report(
    models: Mapping[str, str], dataset: str, settings: Settings, found: str, aps: Settings, page: str, figures: str
) -> dict[str, float]:
    """Compare the networks of a run, write the page and return the figures of its table, as ``base.ap``.

    Args:
        models: Folders of ``base``, ``pruned``, ``retrained``, ``onnx`` and ``int8``.
        dataset: Whose held-out photos were used.
        settings: The inference spec of the evaluations.
        found: What was found in those photos.
        aps: AP of each network.
        page: Gets the page.
        figures: Gets the figures.
    """
    from bodyposenet.common.evaluation.ceiling import ceiling_ap
    from bodyposenet.common.model.files.model_file import read_card
    from bodyposenet.common.report.run_report import write_report
    from bodyposenet.common.tasks.comparison import Networks, channels_between, compare

    files = {name: Path(folder) for name, folder in models.items()}
    networks = Networks(
        base=files["base"] / MODEL,
        pruned=files["pruned"] / MODEL,
        retrained=files["retrained"] / MODEL,
        onnx=files["onnx"] / ONNX,
        int8=files["int8"] / INT8_CPU,
    )
    truth = spec_in(Path(dataset))
    spec = parse_spec(whole(settings), InferenceSpec, where="inference_spec")
    card = read_card(networks.base)
    with task_run("report", buffer=Path(page).parent) as run:
        ceiling = ceiling_ap(truth, spec, card.skeleton, stride=card.stride, sigma=card.sigma)
        known = {name: None if ap == NOBODY else ap for name, ap in aps.items()}
        compared = compare(networks, known, runner=spec.runner)
        write_report(
            Path(page),
            title="BodyPoseNet: trained, pruned, retrained, quantized",
            ceiling_ap=ceiling,
            stages=compared.stages,
            curves={name: _history(files[name]) for name in ("base", "retrained")},
            channels=channels_between(networks.base, networks.retrained),
            pictures=_pictures(Path(found), Path(dataset), card.skeleton),
            facts=_facts(Path(dataset), spec, card.input_size)
            | _precisions(files)
            | {"8-bit network ran in": compared.describe()},
        )
        told = {"ceiling_ap": ceiling, "int8.speed_up": compared.speed_up} | compared.list_figures()
        run.log_metrics(told)
        run.log_params({"ran": compared.describe()}, prefix="data")
        run.log_artifact(Path(page), "report")
    return noted({name: value for name, value in told.items() if value is not None}, figures)


def _history(model: Path) -> Sequence[Settings]:
    path = model / "history.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _pictures(found: Path, dataset: Path, skeleton: Any, most: int = 8) -> list[tuple[str, np.ndarray]]:
    """Held-out photos with the people found in them, those with most people first."""
    from bodyposenet.common.imaging.fit import read_image
    from bodyposenet.common.pose.draw import draw_people
    from bodyposenet.common.pose.people import People

    images = json.loads((found / "detections.json").read_text(encoding="utf-8"))["images"]
    images = sorted((entry for entry in images if entry.get("keypoints")), key=lambda entry: -len(entry["keypoints"]))
    pictures = []
    for entry in images[:: max(1, len(images) // most)][:most]:
        points = np.asarray(entry["keypoints"], np.float32)
        score = (points != 0).any(axis=-1, keepdims=True)
        people = People(
            np.concatenate([points, score], axis=-1).astype(np.float32), np.asarray(entry["scores"], np.float32)
        )
        name = entry["full_image_path"].split(f"{TEST_IMAGES}/", 1)[-1]
        path = join_inside(dataset / TEST_IMAGES, name, where=str(found / "detections.json"))
        pictures.append((f"{path.name}: {len(people)} found", draw_people(read_image(path), people, skeleton)))
    return pictures


def _precisions(files: Mapping[str, Path]) -> dict[str, str]:
    """What the trainings computed in, where their folders tell."""
    from bodyposenet.common.model.training.precision import read_precision

    found = {f"{name} trained in": read_precision(files[name]) for name in ("base", "retrained")}
    return {name: str(choice) for name, choice in found.items() if choice}


def _facts(dataset: Path, spec: InferenceSpec, size: tuple[int, int]) -> dict[str, Any]:
    sets = read_manifest(dataset)["sets"]
    return {
        "training photos": sets["train"]["images"],
        "training people": sets["train"]["people"],
        "held-out photos": sets["val"]["images"],
        "trained at": f"{size[0]}x{size[1]} pixels",
        "evaluated at": f"{spec.input_shape[0]}x{spec.input_shape[1]} pixels, {spec.keep_aspect_ratio_mode}",
        "fewest joints of a person": spec.min_parts,
    }
