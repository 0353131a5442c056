"""Tasks: what each component does, as one call; the library's functions plus specs from dicts and tracking.

Paths are those of Kubeflow artifacts: a model is a folder, a dataset another. Every task writes a file at each output.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bodyposenet.common.data.photo_set import DATASET_SPEC, TEST_IMAGES, spec_in
from bodyposenet.common.settings import whole
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.prune import PruneSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.tracking import register_model, task_run

if TYPE_CHECKING:
    from bodyposenet.common.data.publish import Conversion

Settings = Mapping[str, Any]

MODEL, ONNX, INT8, INT8_CPU = "model.keras", "model.onnx", "model.int8.onnx", "model.int8.cpu.onnx"
CALIBRATION_IMAGES = "images"  # folder of a calibration artifact
SETS = {"train": "train", "val": "test"}  # sets of a dataset, and the halves of a dataset spec that they are
NOBODY = -1.0  # COCO's AP of a set without labelled people


def gather_photos(source: str, photos: str, *, train: int, val: int, seed: int) -> str:
    """Find or draw the photo set; returns the fingerprint of its content."""
    from bodyposenet.common.data.fingerprint import fingerprint
    from bodyposenet.common.data.photo_set import gather

    with task_run("photos", buffer=Path(photos)) as run:
        digest = fingerprint(gather(source, Path(photos), train=train, val=val, seed=seed))
        run.log_params({"source": source or "drawn people", "fingerprint": digest}, prefix="data")
    return digest


def convert(photos: str, settings: Settings, part: str, dataset: str, metrics: str) -> dict[str, float]:
    """Convert a part of both halves of a photo set to shards: ``0/1`` is all, ``2/4`` the third of four parts."""
    from bodyposenet.common.data.convert import convert_dataset
    from bodyposenet.common.data.parts import part_of
    from bodyposenet.common.data.photo_set import dataset_spec_of, photos_in

    spec = dataset_spec_of(photos_in(Path(photos)), whole(settings))
    index, of = part_of(part)
    folder = Path(dataset)
    name = "dataset_convert" if of == 1 else f"dataset_convert {index + 1} of {of}"
    with task_run(name, buffer=folder) as run:
        run.log_params(spec.model_dump(mode="json", by_alias=True), prefix="spec")
        run.log_params({"part": part}, prefix="data")
        shards = {"num_shards": of if of > 1 else 0, "part": (index, of)}
        numbers = {}
        for name, mode in SETS.items():
            done = convert_dataset(
                spec, folder / name, mode=mode, check_files=True, results_dir=folder / name, **shards
            )
            numbers |= _counts(name, done)
        run.log_metrics(numbers)
    return _noted(numbers, metrics)


def join(photos: str, settings: Settings, parts: Sequence[str], dataset: str, metrics: str) -> dict[str, float]:
    """Make one dataset of the parts of a conversion, with the held-out photos beside the shards."""
    from bodyposenet.common.data.join import join_parts
    from bodyposenet.common.data.photo_set import dataset_spec_of, keep_test_half, photos_in

    spec = dataset_spec_of(photos_in(Path(photos)), whole(settings))
    folder = Path(dataset)
    with task_run("dataset_join", buffer=folder) as run:
        numbers = {}
        for name in SETS:
            numbers |= _counts(name, join_parts(parts, folder / name))
        kept = keep_test_half(spec, folder)
        (folder / DATASET_SPEC).write_text(kept.model_dump_json(by_alias=True, indent=1))
        run.log_metrics(numbers)
    return _noted(numbers, metrics)


def _counts(name: str, done: "Conversion") -> dict[str, float]:
    counts = {"images": done.images, "people": done.people, "samples": done.samples, "skipped": len(done.skipped)}
    return {f"{name}_{what}": float(count) for what, count in counts.items()}


def train(dataset: str, settings: Settings, start: str | None, model: str, metrics: str) -> dict[str, float]:
    """Train on a dataset's shards, from the spec's start or from the network in ``start``."""
    from bodyposenet.common.model.plan import make_plan

    folder = Path(model)
    spec = parse_spec(_located(whole(settings), Path(dataset), start), TrainSpec, where="train_spec")
    plan = make_plan(spec)
    from bodyposenet.common.model.train import train as train_model
    from bodyposenet.common.validation import validation_of

    with task_run("retrain" if start else "train", buffer=folder) as run:
        run.log_params(spec.model_dump(mode="json", by_alias=True, exclude={"key"}), prefix="spec")
        done = train_model(spec, folder, source=plan.source, validate=validation_of(plan), told=run.log_curves)
        run.log_metrics({"params": done.params})
        run.log_artifact(done.model, "model")
    for checkpoint in folder.glob("model.epoch-*"):
        checkpoint.unlink()
    last = done.history[-1]
    told = {name: last[name] for name in ("loss", "images_per_second", "val_loss", "val_ap") if name in last}
    return _noted({"params": done.params, **told}, metrics)


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


def prune(model: str, settings: Settings, pruned: str, metrics: str, summary: str) -> tuple[float, dict[str, float]]:
    """Prune a network; returns the share of the parameters that is left, and the numbers."""
    from bodyposenet.common.prune.prune import prune_file

    spec = parse_spec(whole(settings), PruneSpec, where="prune_spec")
    with task_run("prune", buffer=Path(pruned)) as run:
        run.log_params(spec.model_dump(mode="json"), prefix="spec")
        done = prune_file(Path(model) / MODEL, Path(pruned) / MODEL, spec)
        numbers = {"params_before": done.params_before, "params": done.params_after, "kept": done.kept}
        numbers |= {"gflops_before": done.gflops_before, "gflops": done.gflops_after}
        run.log_metrics(numbers)
        run.log_artifact(Path(pruned) / MODEL, "model")
    Path(summary).write_text(done.markdown())
    return done.kept, _noted(numbers, metrics)


def export(model: str, onnx: str, metrics: str) -> dict[str, float]:
    """Export a network to ONNX."""
    from bodyposenet.common.deploy.onnx import export_onnx

    with task_run("export", buffer=Path(onnx)) as run:
        done = export_onnx(Path(model) / MODEL, Path(onnx) / ONNX, overwrite=True)
        numbers = {"bytes": float(done.bytes), "max_relative_error": done.max_relative_error}
        run.log_metrics(numbers)
        run.log_artifact(done.path, "model")
    return _noted(numbers, metrics)


def sample_calibration(
    photos: str, settings: Settings, images: int, seed: int, calibration: str, metrics: str
) -> dict[str, float]:
    """Copy training photos that stand for all: as many as asked, or all that qualify."""
    from bodyposenet.common.data.calibration_sample import copy_sample
    from bodyposenet.common.data.photo_set import dataset_spec_of, photos_in
    from bodyposenet.common.data.source import Source

    source = Source.read(dataset_spec_of(photos_in(Path(photos)), whole(settings)), "train")
    least = source.spec.data_filtering_params.min_acceptable_kpts
    output = Path(calibration) / CALIBRATION_IMAGES
    with task_run("sample_calibration", buffer=Path(calibration)) as run:
        run.log_params({"images": images, "seed": seed}, prefix="data")
        done = copy_sample(source.coco, source.store, output, num_images=images, min_kpts=least, seed=seed, fewer=True)
        numbers = {"images": len(done.photos), "qualified": done.qualified, "left_out": len(done.left_out)}
        run.log_metrics(numbers)
    return _noted({name: float(number) for name, number in numbers.items()}, metrics)


def calibrate(onnx: str, photos: str, settings: Settings, int8: str, metrics: str) -> dict[str, float]:
    """Quantize an exported network with calibration photos."""
    from bodyposenet.common.deploy.quantize import quantize_int8

    Path(int8).mkdir(parents=True, exist_ok=True)
    spec = parse_spec(whole(settings), InferenceSpec, where="inference_spec")
    source, images = Path(onnx) / ONNX, Path(photos) / CALIBRATION_IMAGES
    with task_run("calibrate", buffer=Path(int8)) as run:
        done = quantize_int8(source, _calibration_inputs(images, spec, source), Path(int8) / INT8)
        sizes = {"bytes": done.path.stat().st_size, "bytes_cpu": done.cpu_path.stat().st_size}
        numbers = {"images": float(done.images)} | {name: float(size) for name, size in sizes.items()}
        run.log_metrics(numbers)
        for path in (done.path, done.cpu_path, done.cache):
            run.log_artifact(path, "model")
    return _noted(numbers, metrics)


def _calibration_inputs(folder: Path, spec: InferenceSpec, onnx: Path) -> Iterator[np.ndarray]:
    """Normalised photos ``(1, H, W, 3)`` of a folder."""
    from bodyposenet.common.deploy.runners import open_runner
    from bodyposenet.common.evaluate.predict import normalise
    from bodyposenet.common.evaluate.preprocess import fit_image, read_image

    card = open_runner(onnx).card
    for path in sorted(folder.iterdir()):
        fitted = fit_image(read_image(path), spec.input_shape, spec.keep_aspect_ratio_mode, card.stride)
        yield normalise(fitted.image, card)[None]


def evaluate(
    model: str, dataset: str, settings: Settings, name: str, detections: str, metrics: str
) -> tuple[float, dict[str, float]]:
    """AP of any model artifact on a dataset's held-out photos, -1 where nobody is labelled; and the numbers."""
    from bodyposenet.common.evaluate.evaluate import evaluate as evaluate_model

    spec = parse_spec(whole(settings), InferenceSpec, where="inference_spec")
    truth = spec_in(Path(dataset))
    with task_run(f"evaluate_{name}", buffer=Path(detections)) as run:
        run.log_params({**spec.model_dump(mode="json"), "model": name}, prefix="spec")
        done = evaluate_model(model_in(model), spec, truth, Path(detections))
        numbers = {_metric_name(key): value for key, value in done.metrics.items()}
        numbers |= {"people_found": done.people, "people_labelled": done.labelled, "skipped": len(done.skipped)}
        run.log_metrics(numbers)
    return done.ap, _noted(numbers, metrics)


def model_in(model: str) -> Path:
    """The file to run of a model artifact; of a quantized one the file for the CPU."""
    return next(path for name in (INT8_CPU, ONNX, MODEL) if (path := Path(model) / name).is_file())


def _metric_name(name: str) -> str:
    """MLflow takes no colon on every store: ``AP_0.50:0.95_all`` becomes ``AP_0.50-0.95_all``."""
    return name.replace(":", "-")


def register(onnx: str, int8: str, settings: Settings, name: str, aps: Settings) -> str:
    """Register the exported network with its metrics; the INT8 files join the run. Returns the version."""
    with task_run("register", buffer=Path(onnx)) as run:
        run.log_artifact(Path(int8))
        return register_model(Path(onnx) / ONNX, metrics=aps, name=name, settings=whole(settings))


def report(
    models: Mapping[str, str], dataset: str, settings: Settings, found: str, aps: Settings, page: str
) -> dict[str, Any]:
    """Compare the networks of a run, write the page and return the figures of its table."""
    from bodyposenet.common.comparison import Networks, compare
    from bodyposenet.common.evaluate.ceiling import ceiling_ap
    from bodyposenet.common.model.files import read_card
    from bodyposenet.common.report.html import write_report

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
        stages = compare(networks, {name: None if ap == NOBODY else ap for name, ap in aps.items()})
        write_report(
            Path(page),
            title="BodyPoseNet: trained, pruned, retrained, quantized",
            ceiling_ap=ceiling,
            stages=stages,
            curves={name: _history(files[name]) for name in ("base", "retrained")},
            pictures=_pictures(Path(found), Path(dataset), card.skeleton),
            facts=_facts(Path(dataset), spec, card.input_size),
        )
        figures = {stage.name: {key: value for key, value in vars(stage).items() if key != "name"} for stage in stages}
        run.log_metrics({f"{stage}.{key}": value for stage, row in figures.items() for key, value in row.items()})
        run.log_metrics({"ceiling_ap": ceiling})
        run.log_artifact(Path(page), "report")
    return {"ceiling_ap": ceiling, **figures}


def _history(model: Path) -> Sequence[Settings]:
    path = model / "history.json"
    return json.loads(path.read_text()) if path.is_file() else []


def _pictures(found: Path, dataset: Path, skeleton: Any, most: int = 8) -> list[tuple[str, np.ndarray]]:
    """Held-out photos with the people found in them, those with most people first."""
    from bodyposenet.common.evaluate.preprocess import read_image
    from bodyposenet.common.pose.draw import draw_people
    from bodyposenet.common.pose.people import People

    images = json.loads((found / "detections.json").read_text())["images"]
    images = sorted((entry for entry in images if entry.get("keypoints")), key=lambda entry: -len(entry["keypoints"]))
    pictures = []
    for entry in images[:: max(1, len(images) // most)][:most]:
        points = np.asarray(entry["keypoints"], np.float32)
        score = (points != 0).any(axis=-1, keepdims=True)
        people = People(
            np.concatenate([points, score], axis=-1).astype(np.float32), np.asarray(entry["scores"], np.float32)
        )
        path = dataset / TEST_IMAGES / entry["full_image_path"].split(f"{TEST_IMAGES}/", 1)[-1]
        pictures.append((f"{path.name}: {len(people)} found", draw_people(read_image(path), people, skeleton)))
    return pictures


def _facts(dataset: Path, spec: InferenceSpec, size: tuple[int, int]) -> dict[str, Any]:
    sets = json.loads((dataset / "manifest.json").read_text())["sets"]
    return {
        "training photos": sets["train"]["images"],
        "training people": sets["train"]["people"],
        "held-out photos": sets["val"]["images"],
        "trained at": f"{size[0]}x{size[1]} pixels",
        "evaluated at": f"{spec.input_shape[0]}x{spec.input_shape[1]} pixels, {spec.keep_aspect_ratio_mode}",
        "fewest joints of a person": spec.min_parts,
    }


def _noted(numbers: dict[str, float], metrics: str) -> dict[str, float]:
    """Write numbers where a Metrics artifact is: kfp.local caches only tasks whose artifacts have files."""
    Path(metrics).parent.mkdir(parents=True, exist_ok=True)
    Path(metrics).write_text(json.dumps(numbers))
    return numbers
