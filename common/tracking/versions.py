"""Versions: a network on its way into MLflow's registry and out of it, as the folder that MLflow loads."""

import uuid
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from bodyposenet import __version__
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.inside import stays_inside
from bodyposenet.common.storage.locking import scratch_folder
from bodyposenet.common.tracking.inference_code import NOTICE, copy_code
from bodyposenet.common.tracking.mlflow_store import Store, log

LOADER = "bodyposenet.common.tracking.pyfunc"
SETTINGS = "inference"  # key of the stored configuration
PATIENCE = 30  # seconds for the store to finish a version; MLflow itself would wait 300
# What finding people imports beside MLflow; this package itself lies in the model, as no index has it
NEEDED = (
    "google-crc32c",
    "numba",
    "numpy",
    "onnx",
    "onnxruntime",
    "opencv-python-headless",
    "protobuf",
    "pydantic",
    "pyyaml",
    "tqdm",
)
NO_ENDPOINT = "ENDPOINT_NOT_FOUND"  # MLflow's word for what a server does not know how to do
INPUT = (
    "A photo: RGB pixels of 0 to 255, (height, width, 3), or a JPEG's or PNG's bytes; over REST these in base64. "
    "For several, a list of them or a table with one column."
)
OUTPUT = (
    "The photo's people, a list; for several photos a list of those. A person: keypoints, for each joint x, y in the "
    "photo's pixels and a score that is 0 where it was not found; score; joints, their names."
)


def add_version(store: Store, run_id: str, event: Mapping[str, Any]) -> str:
    """Store the network with its code, and make it a version of the registered model.

    It is stored as a logged model of the run; on a server of MLflow 2, which has none, among the run's artifacts.

    Args:
        store: Where.
        run_id: The run it comes from.
        event: What :func:`~bodyposenet.common.tracking.registry.register_model` was given.

    Returns:
        The version.
    """
    tags = {"bodyposenet.version": __version__, "bodyposenet.file": Path(event["path"]).name} | event["tags"]
    model_id = _create_logged_model(store, run_id, event["name"], tags)
    with scratch_folder() as aside:
        folder = Path(aside) / "model"
        _save(Path(event["path"]), folder, run_id, model_id, event["settings"])
        if model_id:
            store.client.log_model_artifacts(model_id, str(folder))
            store.client.finalize_logged_model(model_id, "READY")
            source = f"models:/{model_id}"
        else:
            source = _log_to_run(store, run_id, event["name"], folder)
    _log_metrics(store, run_id, model_id, event["metrics"])
    return _version(store, run_id, source, model_id, event, tags)


def _create_logged_model(store: Store, run_id: str, name: str, tags: dict[str, str]) -> str | None:
    """The id of a new logged model; None where the server is of MLflow 2."""
    from mlflow.exceptions import MlflowException

    try:
        made = store.client.create_logged_model(
            store.experiment, name=name, source_run_id=run_id, tags=tags, model_type="pose"
        )
    except MlflowException as error:
        if error.error_code != NO_ENDPOINT:
            raise
        log.info("the tracking store has no logged models: the network goes to the artifacts of its run")
        return None
    return str(made.model_id)


def _log_to_run(store: Store, run_id: str, name: str, folder: Path) -> str:
    """Store the model's folder among the run's artifacts, apart from others of the run; returns its address."""
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    place = f"{name}-{uuid.uuid4().hex[:8]}"
    store.client.log_artifacts(run_id, str(folder), place)
    return str(RunsArtifactRepository.get_underlying_uri(f"runs:/{run_id}/{place}", store.uri))


def _save(onnx: Path, folder: Path, run_id: str, model_id: str | None, settings: Mapping[str, Any]) -> None:
    """Write the folder that MLflow loads: the file, the code that reads it, what it takes and gives in words.

    It has no signature: MLflow's has no word for "pixels or an encoded file", so that a server would refuse the one or
    the other, and MLServer loads no model that tells of outputs alone. The code itself checks what it gets.
    """
    from mlflow import pyfunc
    from mlflow.models import Model

    with scratch_folder() as aside:
        pyfunc.save_model(
            str(folder),
            loader_module=LOADER,
            data_path=str(onnx),
            code_paths=[str(copy_code(LOADER, Path(aside)))],
            mlflow_model=Model(run_id=run_id, model_id=model_id),
            pip_requirements=requirements(),
            model_config={SETTINGS: dict(settings)} if settings else None,
            metadata={"input": INPUT, "output": OUTPUT, "code": NOTICE.strip()},
        )


def download(uri: str, folder: Path, store: str) -> tuple[Path, dict[str, Any]]:
    """Download a network that :func:`add_version` stored, without its code, and the settings that go with it.

    Args:
        uri: The version, ``models:/<name>/<version>``.
        folder: Where to.
        store: The store's address.

    Raises:
        UserError: Something else stored it.
    """
    from mlflow.artifacts import download_artifacts
    from mlflow.models import Model

    described = download_artifacts(f"{uri}/MLmodel", dst_path=str(folder), tracking_uri=store)
    flavour = Model.load(described).flavors.get("python_function", {})
    if flavour.get("loader_module") != LOADER:
        raise UserError("is no network that bpnet registered", where=uri, fix="name another model or version")
    if not isinstance(flavour.get("data"), str) or not stays_inside(flavour["data"]):
        raise UserError("names a file elsewhere as its network", where=uri, fix="name another model or version")
    network = download_artifacts(f"{uri}/{flavour['data']}", dst_path=str(folder), tracking_uri=store)
    return Path(network), dict((flavour.get("config") or {}).get(SETTINGS, {}))


def requirements() -> list[str]:
    """What the registered model needs installed: the libraries that its code imports, as they are here.

    Here MLflow may be its smaller distribution, which serves no models; both have the same versions.
    """
    import mlflow

    return [f"mlflow=={mlflow.__version__}", *(f"{library}=={metadata.version(library)}" for library in NEEDED)]


def _log_metrics(store: Store, run_id: str, model_id: str | None, values: list[list[Any]]) -> None:
    from mlflow.entities import Metric

    owner = {"model_id": model_id, "run_id": run_id} if model_id else {}
    metrics = [Metric(key, value, time, step, **owner) for key, value, time, step in values]
    store.client.log_batch(run_id, metrics=metrics)


def _version(
    store: Store, run_id: str, source: str, model_id: str | None, event: Mapping[str, Any], tags: dict[str, str]
) -> str:
    from mlflow.exceptions import MlflowException

    client, name = store.client, event["name"]
    try:
        client.create_registered_model(name, description="Finds people and their joints in a photo.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    measured = {f"metric.{key}": f"{value:.12g}" for key, value, *_ in event["metrics"]}
    made = client.create_model_version(
        name, source, run_id, tags=tags | measured, model_id=model_id, await_creation_for=PATIENCE
    )
    client.set_registered_model_alias(name, event["alias"], made.version)
    return str(made.version)
