"""Tasks with training: fit a network to a dataset, and find the records that a spec is to have."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bodyposenet.common.data.photo_set import DATASET_SPEC
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.model.training.cluster import TrainingCluster
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.steps.start_weights import NETWORK, take_start
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
    checkpoints: str = "", weights_digest: str = "", gpus: int = 1,
) -> tuple[dict[str, Any], dict[str, float]]:  # fmt: skip
    """Train on a dataset's shards, from the spec's start or from the network in ``start``.

    Args:
        dataset: Folder of the shards.
        train_spec: A train spec; records and a bucket's start weights are filled in.
        start: Folder of a network to train further.
        model: Gets the network, its history and its spec.
        metrics: Gets the numbers.
        page: Gets the curves.
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
        folder = _training_folder(checkpoints, model, train_spec, dataset, start, weights_digest)
        with take_start(train_spec_for(local, dataset, start), folder) as begin:
            plan = make_plan(begin.spec, cluster=TrainingCluster(gpus=gpus))
            from bodyposenet.common.steps.train import run_train

            with task_run("retrain" if start else "train", buffer=Path(model)) as run:
                done = run_train(run, begin, folder, plan, page=Path(page))
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
    train_spec, dataset, start, weights = inputs
    contents = [content_digest(path) for path in (dataset, start) if path]
    return Path(checkpoints) / compute_digest([pipeline_run(), train_spec, weights, *contents])


def content_digest(artifact: str) -> str:
    """Digest of an artifact's content: a dataset's manifest, or a network."""
    manifest = Path(artifact) / "manifest.json"
    return digest_file(manifest if manifest.is_file() else find_keras(artifact))


def _copy_results(folder: Path, model: Path) -> None:
    """Put a finished training's files into its artifact, without the checkpoints."""
    if folder != model:
        shutil.copytree(folder, model, dirs_exist_ok=True, ignore=shutil.ignore_patterns(CHECKPOINTS, NETWORK))


def _tidy(folder: Path, model: Path) -> None:
    """Remove what only another attempt would need."""
    if folder != model:
        shutil.rmtree(folder)
    for needless in (*model.glob(CHECKPOINTS), *model.glob(NETWORK)):
        needless.unlink()


@contextmanager
def fetch_weights(train_spec: Settings) -> Iterator[Settings]:
    """A train spec whose start weights are on the disk for as long as the block runs."""
    weights = train_spec.get("pretrained_weights")
    if not isinstance(weights, str) or not in_bucket(weights):
        yield train_spec
        return
    with tempfile.TemporaryDirectory() as folder:
        local = Path(folder) / weights.rpartition("/")[2]
        local.write_bytes(read_bytes(weights, fix="check start_weights"))
        yield {**train_spec, "pretrained_weights": str(local)}


def train_spec_for(train_spec: Settings, dataset: str, start: str | None = None) -> TrainSpec:
    """A train spec for a dataset, from the spec's start or from the network in ``start``."""
    settings = read_settings(restore_ints(train_spec), "train_spec").data
    return parse_spec(_locate(settings, find_dataset(dataset), start), TrainSpec, where="train_spec")


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
