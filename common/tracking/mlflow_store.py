"""MLflow store: open the one that the environment names, and find the runs that belong together in it."""

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bodyposenet import __version__

log = logging.getLogger(__name__)

EXPERIMENT = "bodyposenet"
PARENT_TAG = "bodyposenet.pipeline_run"
POD_TAG = "bodyposenet.pod"
MLFLOW_PARENT = "mlflow.parentRunId"  # what MLflow's own page nests runs by
SETTLE = 1.0  # seconds in which tasks that start together must have written their parent run

# MLflow retries 7 times over minutes and waits 120 s by default; a task must not hang on its bookkeeping that long.
# What the user has set stays.
IMPATIENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
UPLOAD_TIMEOUT = "60"  # seconds; a server answers an upload only when its own storage has the file


def tracking_uri() -> str:
    """The store's address in ``MLFLOW_TRACKING_URI``, or nothing."""
    return os.environ.get("MLFLOW_TRACKING_URI", "").strip()


def pipeline_run() -> str:
    """The id of the pipeline run that this process is a task of, or nothing."""
    given = os.environ.get("BODYPOSENET_PIPELINE_RUN") or os.environ.get("KFP_RUN_ID") or ""
    return given.replace("'", "").strip()  # MLflow's search language has no escape for a quote


def hide_password(uri: str) -> str:
    """The address without a password that may be in it."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


@contextmanager
def impatient(*, upload: bool = False) -> Iterator[None]:
    """Within it MLflow gives up on a silent server after seconds; settings of the user's own win."""
    wanted = IMPATIENT | ({"MLFLOW_HTTP_REQUEST_TIMEOUT": UPLOAD_TIMEOUT} if upload else {})
    added = {name: value for name, value in wanted.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


@contextmanager
def quiet_mlflow() -> Iterator[None]:
    """Within it MLflow's warnings about itself are not shown: a task's user cannot act on them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its use of SQLAlchemy
        warnings.simplefilter("ignore", UserWarning)  # its own type hints; that a signature is not an example
        yield


def is_refusal(error: Exception) -> bool:
    """Whether the store understood a request and rejected it: sending it again later would not help."""
    status = getattr(error, "get_http_status_code", None)
    return status is not None and status() == 400  # 401, 403, 404 and 5xx are about the store, not about the request


def reason(error: Exception) -> str:
    """What went wrong with the store, in a line and without its password."""
    first_line = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first_line}".replace(tracking_uri(), hide_password(tracking_uri()))[:300]


@dataclass(frozen=True)
class Store:
    """An open MLflow store.

    Attributes:
        client: ``mlflow.MlflowClient``.
        uri: Where it is.
        experiment: Id of the experiment that runs go to.
    """

    client: Any
    uri: str
    experiment: str

    def page(self, run_id: str, experiment: str = "") -> str:
        """The address of a run's page; a database has none. ``experiment`` is the run's, if it is another."""
        if not self.uri.startswith(("http://", "https://")):
            return ""
        return f"{hide_password(self.uri).rstrip('/')}/#/experiments/{experiment or self.experiment}/runs/{run_id}"


def open_store(run_id: str = "") -> Store:
    """Connect to the store and find, or make, the experiment.

    Args:
        run_id: A run that is there already: its experiment is the one.

    Raises:
        Exception: Whatever MLflow raises for a store that is down, misspelt or refuses.
    """
    with impatient(), quiet_mlflow():
        client, uri = connect(), tracking_uri()
        return Store(client, uri, _find_experiment(client, run_id) or _experiment(client, uri))


def connect() -> Any:
    """MLflow's client of the store."""
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database is not worth forty lines
    return MlflowClient(tracking_uri=tracking_uri())


def _find_experiment(client: Any, run_id: str) -> str:
    """The experiment of a run, or the one that the environment names."""
    given = os.environ.get("MLFLOW_EXPERIMENT_ID", "")
    return str(client.get_run(run_id).info.experiment_id) if run_id else given


def _experiment(client: Any, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=_artifact_folder(uri)))
        except MlflowException:  # another task was first
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def _artifact_folder(uri: str) -> str | None:
    """Artifacts of a database stand beside it: MLflow would use ``./mlruns`` of whichever task came first."""
    if not uri.startswith("sqlite:///"):
        return None
    return (Path(uri.removeprefix("sqlite:///").partition("?")[0]).absolute().parent / "mlartifacts").as_uri()


def start_run(store: Store, name: str, pipeline: str, start: int) -> str:
    """Make a run; below its pipeline's run if there is a pipeline.

    Args:
        store: Where.
        name: The task.
        pipeline: Id of the pipeline run, or nothing.
        start: Milliseconds since 1970.

    Returns:
        The run's id.
    """
    tags = {"bodyposenet.version": __version__} | tag_pod()
    if pipeline:
        tags[MLFLOW_PARENT] = parent_run(store, pipeline)
        store.client.update_run(tags[MLFLOW_PARENT], status="RUNNING")
    return str(store.client.create_run(store.experiment, start_time=start, run_name=name, tags=tags).info.run_id)


def tag_pod() -> dict[str, str]:
    """The tag that names the pod of a task on Kubeflow: what follows a run there knows tasks by their pods."""
    name = os.environ.get("HOSTNAME", "") if os.environ.get("KFP_RUN_ID") else ""
    return {POD_TAG: name} if name else {}


def end_run(store: Store, run_id: str, status: str, end: int, *, owned: bool = True) -> None:
    """End a task's run, and its pipeline's run unless another of its tasks still runs, or the run is not ours."""
    store.client.set_terminated(run_id, status, end_time=end)
    parent = store.client.get_run(run_id).data.tags.get(MLFLOW_PARENT) if owned else None
    if not parent:
        return
    tasks = store.client.search_runs(
        [store.experiment],
        f"tags.`{MLFLOW_PARENT}` = '{parent}'",
        order_by=["attributes.start_time ASC"],
        max_results=1000,
    )
    latest = {task.info.run_name: task.info.status for task in tasks}  # a retried task counts by its last attempt
    if "RUNNING" not in latest.values():
        store.client.set_terminated(parent, "FAILED" if "FAILED" in latest.values() else "FINISHED", end_time=end)


def parent_run(store: Store, pipeline: str) -> str:
    """The run of a whole pipeline run, found by its tag or made.

    Two tasks may both find none and make one each. So whoever made one, or found one that was only just made, looks
    again after a moment; the oldest stays.
    """
    found = list_parents(store, pipeline)
    mine = None if found else _new_parent(store, pipeline)
    if mine or time.time() - found[0].start_time / 1000 < 2 * SETTLE:
        time.sleep(SETTLE)
    oldest = str(list_parents(store, pipeline)[0].run_id)
    if mine and oldest != mine:
        store.client.delete_run(mine)
    return oldest


def _new_parent(store: Store, pipeline: str) -> str:
    return str(store.client.create_run(store.experiment, tags={PARENT_TAG: pipeline}, run_name=pipeline).info.run_id)


def list_parents(store: Store, pipeline: str) -> list[Any]:
    """MLflow's infos of the runs tagged with a pipeline run, oldest first."""
    runs = store.client.search_runs([store.experiment], f"tags.`{PARENT_TAG}` = '{pipeline}'", max_results=100)
    return sorted((run.info for run in runs), key=lambda info: (info.start_time, info.run_id))
