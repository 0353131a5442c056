"""Versions: a network on its way into MLflow's registry and out of it, as the folder that MLflow loads."""

import tempfile
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from bodyposenet import __version__
from bodyposenet.common.errors import UserError
from bodyposenet.common.tracking.mlflow_store import Store

LOADER = "bodyposenet.common.tracking.pyfunc"
SETTINGS = "inference"  # key of the stored configuration
PATIENCE = 30  # seconds for the store to finish a version; MLflow itself would wait 300
NEEDED = ("numpy", "onnxruntime", "opencv-python-headless")  # beside MLflow, of all that finding people imports
INPUT = (
    "A photo: RGB pixels of 0 to 255, (height, width, 3), or a JPEG's or PNG's bytes; over REST these in base64. "
    "For several, a list of them or a table with one column."
)


def add_version(store: Store, run_id: str, event: Mapping[str, Any]) -> str:
    """Store the network as a logged model of a run, and make it a version of the registered model.

    Args:
        store: Where.
        run_id: The run it comes from.
        event: What :func:`~bodyposenet.common.tracking.registry.register_model` was given.

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
    """Write the folder that MLflow loads: the file, the module that reads it, the signature.

    The signature says nothing of the input: MLflow's has no word for "pixels or an encoded file", and a server would
    refuse the one or the other. The module itself checks what it gets.
    """
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Array

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
        signature=ModelSignature(outputs=person),
        pip_requirements=requirements(),
        model_config={SETTINGS: dict(settings)} if settings else None,
        metadata={"input": INPUT},
    )


def unpack(folder: Path, where: str) -> tuple[Path, dict[str, Any]]:
    """The network in a folder that :func:`add_version` stored, and the settings that go with it.

    Raises:
        UserError: Something else stored it.
    """
    from mlflow.models import Model

    flavour = Model.load(str(folder)).flavors.get("python_function", {})
    if flavour.get("loader_module") != LOADER:
        raise UserError("is no network that bpnet registered", where=where, fix="name another model or version")
    return folder / flavour["data"], dict((flavour.get("config") or {}).get(SETTINGS, {}))


def requirements() -> list[str]:
    """What the registered model needs installed: this package and the libraries it infers with, as they are here.

    Here MLflow may be its smaller distribution, which serves no models; both have the same versions.
    """
    import mlflow

    own = [f"bodyposenet=={__version__}", f"mlflow=={mlflow.__version__}"]
    return own + [f"{library}=={metadata.version(library)}" for library in NEEDED]


def _log_metrics(store: Store, run_id: str, model_id: str, values: list[list[Any]]) -> None:
    from mlflow.entities import Metric

    store.client.log_batch(
        run_id,
        metrics=[Metric(key, value, time, step, model_id=model_id, run_id=run_id) for key, value, time, step in values],
    )


def _version(store: Store, run_id: str, model_id: str, event: Mapping[str, Any], tags: dict[str, str]) -> str:
    from mlflow.exceptions import MlflowException

    client, name = store.client, event["name"]
    try:
        client.create_registered_model(name, description="Finds people and their joints in a photo.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    measured = {f"metric.{key}": f"{value:.12g}" for key, value, *_ in event["metrics"]}
    made = client.create_model_version(
        name, f"models:/{model_id}", run_id, tags=tags | measured, model_id=model_id, await_creation_for=PATIENCE
    )
    client.set_registered_model_alias(name, event["alias"], made.version)
    return str(made.version)
