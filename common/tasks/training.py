"""Tasks with training: fit a network to a dataset, and find the records that a spec is to have."""

import json
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
from bodyposenet.common.storage.errors import in_bucket
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.tasks.attempts import attempt, identify
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import MODEL, Settings, compute_digest, find_dataset, find_keras, note
from bodyposenet.common.tracking import task_run

CHECKPOINTS = "model.epoch-*"
TOLD = ("loss", "images_per_second", "val_loss", "val_ap")  # of the last epoch


@report_failures
def train(
    dataset: str, train_spec: Settings, start: str | None, model: str, metrics: str, page: str, *,
    work: str = "", weights_digest: str = "", gpus: int = 1,
) -> tuple[dict[str, Any], dict[str, float]]:  # fmt: skip
    """Train on a dataset's shards, from the spec's start or from the network in ``start``.

    Args:
        dataset: Folder of the shards.
        train_spec: A train spec; records and a bucket's start weights are filled in.
        start: Folder of a network to train further.
        model: Gets the network, its history and its spec.
        metrics: Gets the numbers.
        page: Gets the curves.
        work: Where checkpoints are kept until all is done: a folder or bucket that outlives the pod, in which another
            attempt at the same training finds them.
        weights_digest: Digest of the spec's start weights; another one is another training.
        gpus: Devices that train side by side, each with a batch of its own.

    Returns:
        What there is to know of the network, and the numbers.
    """
    from bodyposenet.common.model.network.flops import network_facts
    from bodyposenet.common.model.training.plan import make_plan

    train_spec = read_settings(restore_ints(train_spec), "train_spec").data
    with fetch_weights(train_spec) as local:
        folder = Path(model)
        key = identify(dataset, start, train_spec, weights_digest, gpus, files=local) if work else ""
        with (
            task_run("retrain" if start else "train", buffer=folder) as run,
            attempt(work, folder, key, run) as keep,  # until everything is there another attempt can go on
            take_start(train_spec_for(local, dataset, start), folder) as begin,
        ):
            plan = make_plan(begin.spec, cluster=TrainingCluster(gpus=gpus))
            from bodyposenet.common.steps.train import run_train

            done = run_train(run, begin, folder, plan, page=Path(page), on_checkpoint=keep)
            facts = network_facts(folder / MODEL)
            facts |= {"spec": compute_digest(train_spec), "precision": done.precision.name}
            told = {name: done.history[-1][name] for name in TOLD if name in done.history[-1]}
            facts |= {"ap": told["val_ap"]} if "val_ap" in told else {}
            numbers = note({"params": done.params, "gflops": facts["gflops"], **told}, metrics)
        for needless in (*folder.glob(CHECKPOINTS), *folder.glob(NETWORK)):
            needless.unlink()
    return facts, numbers


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
