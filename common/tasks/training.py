"""Tasks with training: fit a network to a dataset, and find the records that a spec is to have."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bodyposenet.common.data.photo_set import DATASET_SPEC, spec_in
from bodyposenet.common.kubeflow.parameter_values import restore_ints
from bodyposenet.common.model.training.cluster import TrainingCluster
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.document import read_settings
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.steps.start_weights import NETWORK, take_start
from bodyposenet.common.storage.errors import in_bucket
from bodyposenet.common.storage.files import read_bytes
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tasks.attempts import attempt, identify
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.common.tasks.files import MODEL, Settings, compute_digest, find_dataset, find_keras, note
from bodyposenet.common.tracking import task_run

CHECKPOINTS = "model.epoch-*"
TOLD = ("loss", "images_per_second", "val_loss", "val_ap")  # of the last epoch


@report_failures
def train(
    dataset: str, train_spec: Settings, start: str | None, model: str, metrics: str, page: str, *,
    teacher: str | None = None, work: str = "", weights_digest: str = "", gpus: int = 1,
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
        folder, spec = Path(model), train_spec_for(local, dataset, start, teacher)
        key = identify(dataset, start, train_spec, weights_digest, gpus, files=local, teacher=teacher) if work else ""
        with (
            task_run("retrain" if start else "train", buffer=folder) as run,
            attempt(work, folder, key, run) as keep,  # until everything is there another attempt can go on
            take_start(spec, folder) as begin,
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
    """A train spec whose start weights and teacher are on the disk for as long as the block runs."""
    told = train_spec.get("distillation")
    with scratch_folder() as folder:
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
    name = spec_in(dataset).dataset
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
