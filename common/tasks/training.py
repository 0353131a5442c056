"""Tasks with training: fit a network to a dataset, and find the records that a spec is to have."""

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bodyposenet.common.data.photo_set import DATASET_SPEC
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.model.training.cluster import TrainingCluster
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.storage.errors import in_bucket
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import MODEL, Settings, compute_digest, find_dataset, find_keras, note
from bodyposenet.common.tracking import task_run
from bodyposenet.common.tracking.mlflow_store import pipeline_run

CHECKPOINTS = "model.epoch-*"


@report_failures
def train(
    dataset: str, train_spec: Settings, start: str | None, model: str, metrics: str, page: str, *,
    teacher: str | None = None, checkpoints: str = "", weights_digest: str = "", gpus: int = 1,
) -> tuple[dict[str, Any], dict[str, float]]:  # fmt: skip
    """Train on a dataset's shards, from the spec's start or from the network in ``start``.

    Args:
        dataset: Folder of the shards.
        train_spec: A train spec; records, and start weights and a teacher from a bucket, are filled in.
        start: Folder of a network to train further.
        model: Gets the network, its history and its spec.
        metrics: Gets the numbers.
        page: Gets the curves.
        teacher: Folder of a network to learn from, where the spec's distillation names none itself.
        checkpoints: A folder that outlives the pod: another attempt goes on there, in a folder named by the inputs.
        weights_digest: Digest of the spec's start weights; another one is another training.
        gpus: Devices that train side by side, each with a batch of its own.

    Returns:
        What there is to know of the network, and the numbers.
    """
    from bodyposenet.common.model.network.flops import network_facts
    from bodyposenet.common.model.training.plan import make_plan

    train_spec = read_settings(restore_ints(train_spec), "train_spec").data
    with fetch_weights(train_spec) as local:
        spec = train_spec_for(local, dataset, start, teacher)
        plan = make_plan(spec, cluster=TrainingCluster(gpus=gpus))
        from bodyposenet.common.steps.train import run_train

        folder = _training_folder(checkpoints, model, train_spec, weights_digest, dataset, start, teacher)
        with task_run("retrain" if start else "train", buffer=Path(model)) as run:
            done = run_train(run, spec, folder, plan, page=Path(page))
            _copy_results(folder, Path(model))
    last = done.history[-1]
    told: dict[str, float] = {
        name: last[name] for name in ("loss", "images_per_second", "val_loss", "val_ap") if name in last
    }
    facts = network_facts(Path(model) / MODEL) | {"spec": compute_digest(train_spec), "precision": done.precision.name}
    facts |= {"ap": last["val_ap"]} if "val_ap" in last else {}
    numbers = note({"params": done.params, "gflops": facts["gflops"], **told}, metrics)
    _tidy(folder, Path(model))  # last: until everything is there, another attempt finds a finished training
    return facts, numbers


def _training_folder(checkpoints: str, model: str, *inputs: Any) -> Path:
    """Where a training keeps its checkpoints: beside the model, or where they outlive the pod."""
    if not checkpoints:
        return Path(model)
    train_spec, weights, *artifacts = inputs
    contents = [content_digest(path) for path in artifacts if path]
    return Path(checkpoints) / compute_digest([pipeline_run(), train_spec, weights, *contents])


def content_digest(artifact: str) -> str:
    """Digest of an artifact's content: a dataset's manifest, or a network."""
    manifest = Path(artifact) / "manifest.json"
    return digest_file(manifest if manifest.is_file() else find_keras(artifact))


def _copy_results(folder: Path, model: Path) -> None:
    """Put a finished training's files into its artifact, without the checkpoints."""
    if folder != model:
        shutil.copytree(folder, model, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CHECKPOINTS))


def _tidy(folder: Path, model: Path) -> None:
    """Remove what only another attempt would need."""
    if folder != model:
        shutil.rmtree(folder)
    for checkpoint in model.glob(CHECKPOINTS):
        checkpoint.unlink()


@contextmanager
def fetch_weights(train_spec: Settings) -> Iterator[Settings]:
    """A train spec whose start weights and teacher are on the disk for as long as the block runs."""
    told = train_spec.get("distillation")
    with tempfile.TemporaryDirectory() as folder:
        local = {**train_spec}
        if weights := _fetch(train_spec, "pretrained_weights", Path(folder), fix="check start_weights"):
            local |= {"pretrained_weights": weights}
        if isinstance(told, Mapping) and (teacher := _fetch(told, "teacher", Path(folder), fix="check the spec")):
            local |= {"distillation": {**told, "teacher": teacher}}
        yield local


def _fetch(settings: Settings, key: str, folder: Path, *, fix: str) -> str:
    """Bring a file that a key names from a bucket into a folder; nothing where it names none there."""
    named = settings.get(key)
    if not isinstance(named, str) or not in_bucket(named):
        return ""
    local = folder / key / named.rpartition("/")[2]
    local.parent.mkdir()
    local.write_bytes(read_bytes(named, fix=fix))
    return str(local)


def train_spec_for(
    train_spec: Settings, dataset: str, start: str | None = None, teacher: str | None = None
) -> TrainSpec:
    """A train spec for a dataset, from the spec's start or from the network in ``start``, learning from ``teacher``."""
    settings = read_settings(restore_ints(train_spec), "train_spec").data
    located = _locate(_with_teacher(settings, teacher), find_dataset(dataset), start)
    return parse_spec(located, TrainSpec, where="train_spec")


def _with_teacher(train_spec: Settings, teacher: str | None) -> Settings:
    """A train spec's data with a teacher where its distillation wants one and names none."""
    told = train_spec.get("distillation")
    if teacher is None or not isinstance(told, Mapping) or told.get("teacher"):
        return train_spec
    return {**train_spec, "distillation": {**told, "teacher": str(find_keras(teacher))}}


def _locate(train_spec: Settings, dataset: Path, start: str | None) -> dict[str, Any]:
    """A train spec's data with its paths set to artifacts."""
    name = json.loads((dataset / DATASET_SPEC).read_text(encoding="utf-8"))["dataset"]
    loader = dict(train_spec.get("dataloader", {}))
    loader["dataset_config"] = {
        "train_records_folder_path": str(dataset),
        "train_records_path": ["train"],
        "val_records_folder_path": str(dataset),
        "val_records_path": ["val"],
        "dataset_specs": {name: str(dataset / DATASET_SPEC)},
    }
    located = {**train_spec, "dataloader": loader, "final_model_name": Path(MODEL).stem}
    return {**located, "pretrained_weights": str(find_keras(start)), "load_graph": True} if start else located
