"""History: what earlier tasks of a pipeline run, and earlier pipeline runs, left in the MLflow store."""

from dataclasses import dataclass
from typing import Any

from bodyposenet.common.tracking.events import FAILURE_TAG
from bodyposenet.common.tracking.mlflow_store import (
    Store,
    log,
    open_store,
    quiet_mlflow,
    tracking_uri,
)
from bodyposenet.common.tracking.pipeline_runs import MLFLOW_PARENT, POD_TAG, TASK_TAG, find_parents, list_below

ASKED = "asked"  # parameter of a pipeline run's first task: a digest of all that it was asked for, where that is new
SAME_AS = "same_as"  # parameter of its first task where that is not new: the earlier run, and the end of this one
COMPLETES = "completes"  # parameter of the task that only a good end reaches: the digest
REPORT, REPORTERS = "report", ("report", "choose_smallest", "infer_batch")  # their folder, and tasks that write one
SUCCEEDED, NOTHING_NEW, FAILED, STOPPED = "SUCCEEDED", "NOTHING NEW", "FAILED", "STOPPED"  # how a run ended
ENDINGS = {SUCCEEDED: "FINISHED", NOTHING_NEW: "FINISHED", FAILED: "FAILED", STOPPED: "KILLED"}  # in MLflow's words


@dataclass(frozen=True)
class TaskRow:
    """A task as a summary shows it.

    Attributes:
        name: Of its run.
        status: MLflow's: FINISHED, FAILED, RUNNING.
        seconds: How long it took; None while it runs.
        failure: Why it failed; nothing if it did not.
        metrics: Its last numbers.
        pod: Name of the pod that it ran in; nothing where it ran elsewhere.
        began: When it did, in seconds since 1970.
    """

    name: str
    status: str
    seconds: float | None
    failure: str
    metrics: dict[str, float]
    pod: str = ""
    began: float = 0.0


@dataclass(frozen=True)
class RunPages:
    """Where a browser finds a pipeline run; nothing where the store has no pages.

    Attributes:
        run: Its parent run.
        report: The page that one of its tasks has written of it.
    """

    run: str = ""
    report: str = ""


def find_completed(digest: str) -> str:
    """The newest pipeline run that was asked for the same and came to a good end, by its name; nothing without one.

    Without a tracking store nobody remembers.

    Args:
        digest: Of all that it was asked for.
    """
    if not tracking_uri():
        log.info("MLFLOW_TRACKING_URI is not set: earlier runs are not known")
        return ""
    with quiet_mlflow():
        store = open_store()
        wanted = f"params.`data.{COMPLETES}` = '{digest}' and attributes.status = 'FINISHED'"
        found = store.client.search_runs([store.experiment], wanted, order_by=["attributes.start_time DESC"])
        for run in found:
            parent = run.data.tags.get(MLFLOW_PARENT)
            return str((store.client.get_run(parent) if parent else run).info.run_name)
    return ""


def read_digest(pipeline: str) -> str:
    """What a pipeline run was asked for, as a digest; nothing if that was not new, or if nothing is tracked."""
    digests = [run.data.params.get(f"data.{ASKED}", "") for run in _runs(pipeline)]
    return next((digest for digest in reversed(digests) if digest), "")


def find_ending(pipeline: str) -> str:
    """How a pipeline run ended, told by what its own tasks have noted; nothing where nothing is tracked.

    Args:
        pipeline: As for :func:`task_rows`.

    Returns:
        ``SUCCEEDED``, ``NOTHING NEW``, ``FAILED`` where a task failed, else ``STOPPED``: it was ended, or something
        failed that is no task of ours.
    """
    if not tracking_uri():
        return ""
    runs = _runs(pipeline)
    noted = {name for run in runs if run.info.status == "FINISHED" for name in run.data.params}
    if f"data.{COMPLETES}" in noted:
        return SUCCEEDED
    if f"data.{SAME_AS}" in noted:
        return NOTHING_NEW
    return FAILED if any(run.info.status == "FAILED" for run in runs) else STOPPED


def task_rows(pipeline: str) -> list[TaskRow]:
    """The tasks of a pipeline run so far, every attempt, in the order in which they began.

    Args:
        pipeline: The pipeline run's id, as the tasks' environment has it.
    """
    return [_describe(run) for run in _runs(pipeline)]


def find_pages(pipeline: str) -> RunPages:
    """Find the pages of a pipeline run and of its report.

    Args:
        pipeline: As for :func:`task_rows`.
    """
    if not tracking_uri() or not pipeline:
        return RunPages()
    with quiet_mlflow():
        store = open_store()
        parents = find_parents(store, pipeline)
        reports = [page for run in _runs(pipeline) if _describe(run).name in REPORTERS
                   for page in _list_reports(store, run)]  # fmt: skip
    page = store.page(parents[0].run_id, parents[0].experiment_id) if parents else ""
    return RunPages(page, reports[-1] if reports else "")


def _list_reports(store: Store, run: Any) -> list[str]:
    page = store.page(run.info.run_id, run.info.experiment_id)
    files = store.client.list_artifacts(run.info.run_id, REPORT) if page else []
    return [f"{page}/artifacts/{file.path}" for file in files if file.path.endswith(".html")]


def _runs(pipeline: str) -> list[Any]:
    """MLflow's runs of a pipeline run's tasks, the earliest first; of attempts in one pod the last, as tasks wait."""
    if not tracking_uri() or not pipeline:
        return []
    with quiet_mlflow():
        store = open_store()
        found = [run for parent in find_parents(store, pipeline)
                 for run in list_below(store, parent.run_id, parent.experiment_id)]  # fmt: skip
    runs = sorted(found, key=lambda run: int(run.info.start_time))
    last = {_place(run): run for run in runs}
    return [run for run in runs if not _place(run)[0] or last[_place(run)] is run]


def _place(run: Any) -> tuple[str, str]:
    """The pod that a run was in, and its task."""
    return str(run.data.tags.get(POD_TAG, "")), str(run.data.tags.get(TASK_TAG, ""))


def _describe(run: Any) -> TaskRow:
    end = run.info.end_time
    seconds = (end - run.info.start_time) / 1000 if end else None
    return TaskRow(
        name=str(run.data.tags.get(TASK_TAG) or run.info.run_name),
        status=str(run.info.status),
        seconds=seconds,
        failure=str(run.data.tags.get(FAILURE_TAG, "")),
        metrics=dict(run.data.metrics),
        pod=str(run.data.tags.get(POD_TAG, "")),
        began=run.info.start_time / 1000,
    )
