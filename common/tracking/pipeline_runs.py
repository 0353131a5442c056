"""Pipeline runs: a tree of tasks in MLflow, whose top has the run's name, leads to its page, and ends as it does."""

import json
import os
import re
import time
from collections.abc import Sequence
from typing import Any

from bodyposenet import __version__
from bodyposenet.common.kubeflow.page_variables import KUBEFLOW_PAGE
from bodyposenet.common.tracking.mlflow_store import Store, log

PARENT_TAG = "bodyposenet.pipeline_run"
POD_NAME = "KFP_POD_NAME"  # Kubeflow sets it in its containers
TASK_TAG, POD_TAG = "bodyposenet.task", "bodyposenet.pod"
SUCCESSOR_TAG = "bodyposenet.went_on_in"  # of a run that was killed: the one of the next attempt
KEPT_TAG = "bodyposenet.kept"  # of a run that was kept on a disk: the name under which
LASTS_TAG = "bodyposenet.lasts"  # of the top: a last task will end it
MLFLOW_PARENT = "mlflow.parentRunId"  # what MLflow's own page nests runs by
NOTE = "mlflow.note.content"  # what its page of a run shows as the description
KFP_RUN, KFP_PAGE = "kfp.pipeline_run_id", "kfp.pipeline_run_url"  # tags of Kubeflow's own MLflow plugin
SETTLE = 1.0  # seconds in which tasks that start together must have written their parent run
SERVICE = "ML_PIPELINE_SERVICE_HOST", "ML_PIPELINE_SERVICE_PORT"  # where pods of its namespace find its API
PATIENCE = 3.0  # seconds
POD = re.compile(r"(?P<workflow>(?P<pipeline>.+?)-\w{5,})-(retry-)?system-container-\w+-\d+")


def start_run(
    store: Store, name: str, pipeline: str, start: int, *, first: bool = False, pod: str = "", kept: str = ""
) -> str:  # fmt: skip
    """Make a run; below its pipeline's run if there is a pipeline.

    Args:
        store: Where.
        name: The task.
        pipeline: Id of the pipeline run, or nothing.
        start: Milliseconds since 1970.
        first: It is the first task of a pipeline whose last one will tell how that has ended.
        pod: In which it runs; nothing unless on Kubeflow.
        kept: Under which name it was kept on a disk, by which :func:`find_kept` finds it; nothing if it was not.

    Returns:
        The run's id.
    """
    tags = describe_task(name, pod) | ({KEPT_TAG: kept} if kept else {})
    if pipeline:
        tags[MLFLOW_PARENT] = parent_run(store, pipeline, pod)
        store.client.update_run(tags[MLFLOW_PARENT], status="RUNNING")
        if first:
            store.client.set_tag(tags[MLFLOW_PARENT], LASTS_TAG, "true")
    return str(store.client.create_run(store.experiment, start_time=start, run_name=name, tags=tags).info.run_id)


def find_kept(store: Store, kept: str) -> str:
    """Find the run that a sending which was killed has made of a kept one; nothing where there is none."""
    found = store.client.search_runs([store.experiment], f"tags.`{KEPT_TAG}` = '{kept}'", max_results=1)
    return str(found[0].info.run_id) if found else ""


def join_run(store: Store, run_id: str, name: str, pipeline: str, pod: str = "") -> None:
    """Mark a run that Kubeflow's MLflow plugin has made for a task, and the one above it, as those of the task.

    So the pipeline run has one tree, and is found by the same tags as others.
    """
    for key, value in describe_task(name, pod).items():
        store.client.set_tag(run_id, key, value)
    parent = store.client.get_run(run_id).data.tags.get(MLFLOW_PARENT)
    if parent and pipeline and PARENT_TAG not in store.client.get_run(parent).data.tags:
        store.client.set_tag(parent, PARENT_TAG, pipeline)


def describe_task(name: str, pod: str) -> dict[str, str]:
    """Describe what runs as tags: the task, and on Kubeflow its pod, by which those who follow a run there know it."""
    return {"bodyposenet.version": __version__, TASK_TAG: name} | ({POD_TAG: pod} if pod else {})


def read_pod() -> str:
    """Read the name of the pod that this process is in, if it is a task on Kubeflow; nothing elsewhere."""
    elsewhere = os.environ.get("BODYPOSENET_PIPELINE_RUN") or not os.environ.get("KFP_RUN_ID")
    return "" if elsewhere else os.environ.get(POD_NAME) or os.environ.get("HOSTNAME", "")  # that ends at 63 letters


def end_run(
    store: Store, run_id: str, status: str, end: int, *, owned: bool = True, ending: str | None = None
) -> None:  # fmt: skip
    """End a task's run; and its pipeline's run with the last task, or where no task is known to be the last with each.

    Args:
        store: Where.
        run_id: Of the task.
        status: MLflow's word for how it ended.
        end: Milliseconds since 1970.
        owned: It is not somebody else's, such as Kubeflow's plugin's.
        ending: It was the last task, and the pipeline ended so; nothing if the tasks are to tell. None: it was not.
    """
    store.client.set_terminated(run_id, status, end_time=end)
    tags = store.client.get_run(run_id).data.tags
    parent = tags.get(MLFLOW_PARENT) if owned else None
    if not parent:
        return
    lasts = LASTS_TAG in store.client.get_run(parent).data.tags
    if ending is None and lasts and (status != "FAILED" or POD_TAG in tags):
        return  # a task that failed on Kubeflow may be tried again, and others go on
    latest = {task.info.run_name: task.info.status for task in list_below(store, parent)}  # a retried task's last try
    if ending is not None or "RUNNING" not in latest.values():
        judged = "FAILED" if "FAILED" in latest.values() else "FINISHED"
        store.client.set_terminated(parent, ending or judged, end_time=end)


def end_lost_run(store: Store, run_id: str, end: int, *, successor: str) -> None:
    """End a task's run as killed, if it still counts as running, and name the one that goes on in its place."""
    if store.client.get_run(run_id).info.status == "RUNNING":
        store.client.set_tag(run_id, SUCCESSOR_TAG, successor)
        store.client.set_terminated(run_id, "KILLED", end_time=end)


def parent_run(store: Store, pipeline: str, pod: str = "") -> str:
    """The run of a whole pipeline run, found by its tag or made.

    Two tasks may both find none and make one each. So whoever made one, or found one that was only just made, looks
    again after a moment; the oldest stays.
    """
    found = list_parents(store, pipeline)
    mine = None
    if not found:
        name, tags = describe_pipeline(pipeline, pod)
        mine = str(store.client.create_run(store.experiment, tags=tags, run_name=name).info.run_id)
    if mine or time.time() - found[0].start_time / 1000 < 2 * SETTLE:
        time.sleep(SETTLE)
    oldest = str(list_parents(store, pipeline)[0].run_id)
    if mine and oldest != mine:
        store.client.delete_run(mine)
    return oldest


def list_parents(store: Store, pipeline: str, experiments: Sequence[str] = ()) -> list[Any]:
    """MLflow's infos of the runs tagged with a pipeline run, by us or by Kubeflow's plugin, oldest first.

    Args:
        store: Where.
        pipeline: Id of the pipeline run.
        experiments: Ids of those that are searched; the store's own if none is given.
    """
    found = {
        run.info.run_id: run.info
        for tag in (PARENT_TAG, KFP_RUN)
        for run in store.client.search_runs(
            list(experiments) or [store.experiment], f"tags.`{tag}` = '{pipeline}'", max_results=100
        )
        if MLFLOW_PARENT not in run.data.tags
    }
    return sorted(found.values(), key=lambda info: (info.start_time, info.run_id))


def find_parents(store: Store, pipeline: str) -> list[Any]:
    """The same, wherever they are: Kubeflow's plugin has an experiment of its own."""
    found = list_parents(store, pipeline)
    if found:
        return found
    experiments = [each.experiment_id for each in store.client.search_experiments()]
    return list_parents(store, pipeline, experiments)


def list_below(store: Store, parent: str, experiment: str = "") -> list[Any]:
    """MLflow's runs of the tasks below a pipeline's run, the earliest first; ``experiment`` is theirs, if another."""
    wanted, order = f"tags.`{MLFLOW_PARENT}` = '{parent}'", ["attributes.start_time ASC"]
    return list(
        store.client.search_runs([experiment or store.experiment], wanted, order_by=order, max_results=1000)
    )  # fmt: skip


def describe_pipeline(pipeline: str, pod: str) -> tuple[str, dict[str, str]]:
    """Name a pipeline run for people, and give the tags of its run in MLflow.

    On Kubeflow that is the pipeline's and the run's name, if its API can be asked; or else the workflow's, which begins
    with the pipeline's. Elsewhere it is what the run is known by.
    """
    tags = {PARENT_TAG: pipeline}
    if not pod:
        return pipeline, tags
    place = POD.fullmatch(pod)
    run = _ask_kubeflow(f"runs/{pipeline}")
    name, title = str(run.get("display_name", "")), _name_pipeline(run) or (place["pipeline"] if place else "")
    begins = re.sub(r"\W|_", "-", name).startswith(re.sub(r"\W|_", "-", title))
    named = name if begins else f"{title}: {name}"
    page = os.environ.get(KUBEFLOW_PAGE, "").strip().rstrip("/")
    url = f"{page}/#/runs/details/{pipeline}"
    tags |= {KFP_RUN: pipeline, KFP_PAGE: url} | ({NOTE: f"[This run on Kubeflow]({url})"} if page else {})
    return (named if name else place["workflow"] if place else pipeline), tags


def _name_pipeline(run: dict[str, Any]) -> str:
    """Name the pipeline that a run carries with it, or refers to."""
    spec = run.get("pipeline_spec") or {}
    carried = (spec.get("pipeline_spec") or spec).get("pipelineInfo", {}).get("name", "")
    known = (run.get("pipeline_version_reference") or {}).get("pipeline_id")
    return str(carried or (_ask_kubeflow(f"pipelines/{known}").get("display_name", "") if known else ""))


def _ask_kubeflow(path: str) -> dict[str, Any]:
    """Ask Kubeflow's API for something, where Kubernetes tells pods its address; a name is not worth a failure."""
    host, port = (os.environ.get(name, "") for name in SERVICE)
    if not host or not port:
        return {}
    import urllib.request
    from http.client import HTTPException

    url = f"http://{host}:{port}/apis/v2beta1/{path}"
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            found = json.load(answer)
    except (OSError, ValueError, RecursionError, HTTPException) as error:
        log.info("Kubeflow does not tell the name of this run: %s", error)
        return {}
    return found if isinstance(found, dict) else {}
