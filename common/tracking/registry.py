"""Registry: an exported network as a version of a registered model, ready to take photos."""

import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from bodyposenet import __version__
from bodyposenet.common.errors import UserError
from bodyposenet.common.tracking import events
from bodyposenet.common.tracking.runs import current_run, task_run
from bodyposenet.common.tracking.store import Store

LOADER = "bodyposenet.common.tracking.pyfunc"
PATIENCE = 30  # seconds for the store to finish a version; MLflow itself would wait 300
NEEDED = ("mlflow", "numpy", "onnxruntime", "opencv-python-headless")  # of all that finding people imports


def register_model(
    onnx: Path,
    *,
    metrics: Mapping[str, Any],
    alias: str = "candidate",
    name: str = "bodyposenet",
    tags: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
    buffer: Path | None = None,
) -> str:
    """Register an exported network, so that ``models:/<name>@<alias>`` takes a photo and returns people.

    The version belongs to the run of the :func:`task_run` block around the call, or to a run of its own.

    Args:
        onnx: What ``export`` or ``quantize`` wrote.
        metrics: What was measured of it; logged for the version and its run.
        alias: Moved to the new version.
        name: The registered model.
        tags: Where it comes from: datasets, specs, commits.
        settings: The inference spec's keys that it was evaluated with; those left out have their defaults, the input
            size that of the training. Paths in it mean nothing elsewhere and are dropped.
        buffer: As of :func:`task_run`, where there is no block around the call.

    Returns:
        The version; nothing where nothing is tracked or the store is away (then it is registered when the buffer is
        sent).

    Raises:
        UserError: There is no such file.
    """
    if not onnx.is_file():
        raise UserError("no such model file", where=str(onnx), fix="export one: bpnet export")
    event = {
        "op": "register",
        "path": str(onnx),
        "metrics": events.metrics([(None, metrics)])["values"],
        "alias": alias,
        "name": name,
        "tags": {key: events.param_text(value) for key, value in (tags or {}).items()},
        "settings": {key: value for key, value in (settings or {}).items() if key not in ("model_path", "train_spec")},
    }
    around = current_run()
    if around is not None:
        return around.record(event)
    with task_run("register", buffer=buffer) as run:
        return run.record(event)


def add_version(store: Store, run_id: str, event: events.Event) -> str:
    """Store the network as a logged model of a run, and make it a version of the registered model.

    Args:
        store: Where.
        run_id: The run it comes from.
        event: What :func:`register_model` was given.

    Returns:
        The version.
    """
    client, name = store.client, event["name"]
    tags = {"bodyposenet.version": __version__, "bodyposenet.file": Path(event["path"]).name} | event["tags"]
    model = client.create_logged_model(store.experiment, name=name, source_run_id=run_id, tags=tags, model_type="pose")
    with tempfile.TemporaryDirectory() as folder:
        _save(Path(event["path"]), Path(folder) / "model", run_id, model.model_id, event["settings"])
        client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    _log_metrics(store, run_id, model.model_id, event["metrics"])
    return _version(store, run_id, model.model_id, event, tags)


def _save(onnx: Path, folder: Path, run_id: str, model_id: str, settings: Mapping[str, Any]) -> None:
    """Write the folder that MLflow loads: the file, the module that reads it, the signature."""
    import numpy as np
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema, TensorSpec
    from mlflow.types.schema import Array

    photo = Schema([TensorSpec(np.dtype(np.uint8), (-1, -1, 3))])
    person = Schema(
        [
            ColSpec(Array(Array(DataType.double)), "keypoints"),
            ColSpec(DataType.double, "score"),
            ColSpec(Array(DataType.string), "joints"),
        ]
    )
    pyfunc.save_model(
        str(folder),
        loader_module=LOADER,
        data_path=str(onnx),
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        signature=ModelSignature(inputs=photo, outputs=person),
        pip_requirements=requirements(),
        model_config={"inference": dict(settings)} if settings else None,
    )


def requirements() -> list[str]:
    """What the registered model needs installed: this package and the libraries it infers with, as they are here."""
    return [f"bodyposenet=={__version__}"] + [f"{library}=={metadata.version(library)}" for library in NEEDED]


def _log_metrics(store: Store, run_id: str, model_id: str, values: list[list[Any]]) -> None:
    from mlflow.entities import Metric

    store.client.log_batch(
        run_id,
        metrics=[Metric(key, value, time, step, model_id=model_id, run_id=run_id) for key, value, time, step in values],
    )


def _version(store: Store, run_id: str, model_id: str, event: events.Event, tags: dict[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    client, name = store.client, event["name"]
    try:
        client.create_registered_model(name, description="Finds people and their joints in a photo.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    measured = {f"metric.{key}": f"{value:.6g}" for key, value, *_ in event["metrics"]}
    made = client.create_model_version(
        name, f"models:/{model_id}", run_id, tags=tags | measured, model_id=model_id, await_creation_for=PATIENCE
    )
    client.set_registered_model_alias(name, event["alias"], made.version)
    return str(made.version)
