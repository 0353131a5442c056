"""MLflow store: open the one that the environment names, and find the runs that belong together in it."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bodyposenet.common.kubeflow.page_variables import MLFLOW_PAGE
from bodyposenet.common.plain_text import hide_secrets

log = logging.getLogger(__name__)

EXPERIMENT = "bodyposenet"

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
    return f"{type(error).__name__}: {first_line}".replace(tracking_uri(), hide_secrets(tracking_uri()))[:300]


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
        address = os.environ.get(MLFLOW_PAGE, "").strip() or self.uri
        if not address.startswith(("http://", "https://")):
            return ""
        return f"{hide_secrets(address).rstrip('/')}/#/experiments/{experiment or self.experiment}/runs/{run_id}"


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
