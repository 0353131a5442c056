"""Run summary: what became of a pipeline run, as Markdown."""

from collections.abc import Sequence

from bodyposenet.common.pages.markdown import make_plain
from bodyposenet.common.plain_text import join_lines
from bodyposenet.common.tracking.history import FAILED, NOTHING_NEW, STOPPED, SUCCEEDED, TaskRow

ENDED = "ENDED"  # well or not: nobody knows
EXPLAINED = {
    NOTHING_NEW: "An earlier run had the same photos, weights and specs; see the task `fingerprint`.",
    STOPPED: "No task has failed, and the last was not reached: it was ended, or Kubeflow failed, as its page says.",
    ENDED: "Without a tracking store only Kubeflow's page tells how.",
}
SHOWN = ("AP_0.50-0.95_all", "ap", "loss", "val_ap", "params", "gflops", "kept", "champion_ap", "ceiling_ap")


def describe_state(state: str) -> str:
    """Tell how a run ended as far as Kubeflow's word goes: a server says ``COMPLETE`` or ``RUNNING`` of any."""
    return state if state in (SUCCEEDED, FAILED) else ENDED


def summarize(name: str, data: str, state: str, error: str, rows: Sequence[TaskRow], page: str = "") -> str:
    """Write a heading, the failures, and a table of the tasks.

    Args:
        name: Of the pipeline.
        data: What it was given.
        state: How it ended: one of those of ``tracking.history``, or of :func:`describe_state`.
        error: What Kubeflow says of a failure; nothing if there was none.
        rows: What the tracking store knows of its tasks.
        page: Where a browser finds the run in MLflow.
    """
    lines = [f"# {make_plain(name)}: {state}", "", f"Data: `{join_lines(make_plain(data))}`", ""]
    lines += [f"[This run in MLflow]({page})", ""] if page else []
    lines += [EXPLAINED[state], ""] if state in EXPLAINED else []
    failed = [row for row in rows if row.status == "FAILED" and state != SUCCEEDED]  # else another attempt did better
    lines += [
        line
        for row in failed
        for line in _format_reason(f"{make_plain(row.name)} failed", row.failure or "its log says why")
    ]
    if error and not failed:
        lines += _format_reason("failed", error)
    lines += [""] if lines[-1] else []
    if not rows:
        return "\n".join([*lines, "The tracking store knows of no tasks of this run.", ""])
    lines += ["| task | state | seconds | numbers |", "|---|---|---|---|"]
    for row in rows:
        seconds = "" if row.seconds is None else f"{row.seconds:.0f}"
        lines.append(f"| {join_lines(make_plain(row.name))} | {row.status.lower()} | {seconds} | {list_numbers(row)} |")
    if state == SUCCEEDED:
        lines += ["", "Tasks that were taken from Kubeflow's cache are not among them."]
    return "\n".join([*lines, ""])


def list_numbers(row: TaskRow) -> str:
    """List the numbers of a task that say most."""
    return ", ".join(f"{key} {row.metrics[key]:.4g}" for key in SHOWN if key in row.metrics)


def _format_reason(what: str, reason: str) -> list[str]:
    """Write an entry of a list; of several reasons a list in it."""
    first, *more = (" ".join(line.split()) for line in make_plain(reason).splitlines() if line.strip())
    return [f"- **{what}**: {first}"] if not more else [f"- **{what}**:", *(f"  - {line}" for line in (first, *more))]
