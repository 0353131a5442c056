"""Reasons: why a run failed, in the words of its failed pods, of MLflow, or in those that find the words."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from bodyposenet.common.tracking.history import TaskRow
from bodyposenet.pipelines.runs.nodes import FAILED, Task, Tree
from bodyposenet.pipelines.runs.story import WORDS, number_parts, read_number, write_name
from bodyposenet.pipelines.server.connection import Server

MOST = 3  # tasks whose reasons are told: they are to be among the last five lines
DEFAULT_NAMESPACE = "kubeflow"


def find_reasons(server: Server, run: Any, tracked: Sequence[TaskRow] = ()) -> list[str]:
    """Say what failed first, and why, a line each, the earliest first.

    Args:
        server: That has the logs.
        run: Its last answer.
        tracked: What MLflow knows of the tasks.
    """
    tree = Tree(run)
    failed = [task for task in tree.list_tasks() if task.state == FAILED]
    listed = {read_number(pod) for task in failed for pod in task.pods}
    lines = [_explain(server, run.run_id, task, tracked) for task in failed]
    for row in tracked:
        if WORDS.get(row.status, row.status) == FAILED and read_number(row.pod) not in listed:
            reason = row.failure.partition("\n")[0] or "its log says why"
            lines.append(f"{row.name} failed: {reason}")
    if not lines and tree.workflow:
        lines = [f"Kubeflow does not tell which task; if pods of it are there: {_ask_for_logs(server, tree.workflow)}"]
    lines = list(dict.fromkeys(lines))
    more = [f"and {len(lines) - MOST} more failed"] if len(lines) > MOST else []
    return lines[:MOST] + more


def _explain(server: Server, run_id: str, task: Task, tracked: Sequence[TaskRow]) -> str:
    """Say why a task failed: its own words in its log, those that it has left in MLflow, or where its log may be."""
    name = write_name(task) + number_parts(task)
    tries = f" (try {task.tries})" if task.tries > 1 else ""
    pods = task.pods[::-1]  # the last try first
    reason = next(filter(None, (read_reason(server.log(run_id, pod)) for pod in pods)), "")
    if not reason:
        numbers = {read_number(pod) for pod in pods}
        reason = next((row.failure.partition("\n")[0] for row in tracked if read_number(row.pod) in numbers), "")
    if not reason:
        workflow, _, number = task.pods[-1].rpartition("-")
        return f"{name} failed{tries}; its log, while its pod is there: {_ask_for_logs(server, workflow, number)}"
    own = re.match(r"\w+ failed: ", reason)
    return f"{name} failed{tries}: {reason[own.end() :] if own else reason}"


def _ask_for_logs(server: Server, workflow: str, number: str = "") -> str:
    """Write the command that shows the logs of a workflow's pods, or of one of them."""
    namespace = server.namespace or DEFAULT_NAMESPACE
    label = f"workflows.argoproj.io/workflow={workflow}"
    chosen = f" | grep -- -{number}/" if number else " | grep failed"
    return f"kubectl logs -n {namespace} -l {label} -c main --prefix --tail=-1{chosen}"


def read_reason(log: str) -> str:
    """Return the line of a failed pod's log that says why, our own error line first; nothing where none does."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    own = [line for line in lines if re.match(r"\w+ failed: ", line)]
    before = [each for each, after in pairwise(lines) if "Component failed to execute" in after]
    return next(iter([*own[-1:], *before[-1:], *lines[-1:]]), "")
