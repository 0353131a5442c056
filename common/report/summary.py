"""Summary: what became of a pipeline run, as Markdown."""

from collections.abc import Sequence

from bodyposenet.common.tracking.history import TaskRow

GOOD = "SUCCEEDED"  # Kubeflow's word
SHOWN = ("AP_0.50-0.95_all", "ap", "loss", "val_ap", "params", "gflops", "kept", "champion_ap", "ceiling_ap")


def summarized(name: str, data: str, state: str, error: str, rows: Sequence[TaskRow]) -> str:
    """A heading, the failures, and a table of the tasks.

    Args:
        name: Of the pipeline.
        data: What it was given.
        state: How it ended, in Kubeflow's words.
        error: What Kubeflow says of a failure; nothing if there was none.
        rows: What the tracking store knows of its tasks.
    """
    lines = [f"# {name}: {state}", "", f"Data: `{data}`", ""]
    failed = [row for row in rows if row.status == "FAILED" and state != GOOD]  # else another attempt did better
    lines += [line for row in failed for line in _told(f"{row.name} failed", row.failure or "its log says why")]
    if error and not failed:
        lines += _told("failed", error)
    lines += [""] if lines[-1] else []
    if not rows:
        return "\n".join([*lines, "The tracking store knows of no tasks of this run.", ""])
    lines += ["| task | state | seconds | numbers |", "|---|---|---|---|"]
    lines += [f"| {row.name} | {row.status.lower()} | {_seconds(row.seconds)} | {_numbers(row)} |" for row in rows]
    return "\n".join([*lines, ""])


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


def _numbers(row: TaskRow) -> str:
    return ", ".join(f"{key} {row.metrics[key]:.4g}" for key in SHOWN if key in row.metrics)


def _told(what: str, reason: str) -> list[str]:
    """An entry of a list; of several reasons a list in it."""
    first, *more = (" ".join(line.split()) for line in reason.splitlines() if line.strip())
    return [f"- **{what}**: {first}"] if not more else [f"- **{what}**:", *(f"  - {line}" for line in (first, *more))]
