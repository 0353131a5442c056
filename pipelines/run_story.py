"""Run story: what a person wants to know of a run, of all the nodes that Kubeflow lists for it.

A task of the pipeline is a node of its name. Around it lie its driver, its executor, tries of all of these
(``executor(0)``), and wrappers: ``root``, exit handlers, conditions, loops and the workflow itself. Nodes name the pods
below them, neither their own nor why they failed; that is in the log of the executor's pod.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

TRY = re.compile(r"(.+)\((\d+)(:\d+)?\)")
DRIVER, EXECUTOR = "-driver", "executor"
WRAPPER = re.compile(r"root|executor|(exit-handler|condition|condition-branches|for-loop)-\d+|iteration-.+|.+\.onExit")
SILENT = 2  # nodes without a name, and no news: now and then one comes before its name does
STANDS_STILL = ("Kubeflow's list of tasks stands still", "this workflow has grown beyond 1 MiB; the run itself goes on")


@dataclass
class Story:
    """Turns answers to ``GET /runs/ID``, one after the other, into lines of which none comes twice.

    Attributes:
        known: The state of each task and driver that was told, by its id, and of the run.
        nameless: How many nodes without a name there were at the last look. Once the list stands still, all that ends
            is added as such a one.
        silent: How often more of them came since the last news of a task.
    """

    known: dict[str, str] = field(default_factory=dict)
    nameless: int = 0
    silent: int = 0

    def tell(self, run: Any) -> Iterator[str]:
        """Tell what is new since the answer before."""
        lines = [line for node, name, state in name_tasks(run) for line in self._change(node, name, state)]
        yield from lines
        count = sum(not task.display_name for task in _tasks(run))
        self.silent = 0 if lines else self.silent + (count > self.nameless)
        self.nameless = count
        if self.silent >= SILENT and "still" not in self.known:
            yield from self._change("still", *STANDS_STILL)
        yield from self._change("run", "run", str(run.state or "PENDING"))

    def _change(self, key: str, name: str, state: str) -> Iterator[str]:
        if self.known.get(key) != state:
            self.known[key] = state
            yield f"{name}: {state}"


def name_tasks(run: Any) -> Iterator[tuple[str, str, str]]:
    """Name the tasks of a run, those of a loop by their number, and drivers that failed: id, name, state."""
    nodes = list_nodes(run)
    names = [name for name, *_ in nodes]
    for place, (name, state, node, _) in enumerate(nodes):
        same = names.count(name)
        if is_task(name):
            yield node, f"{name} {names[:place].count(name) + 1} of {same}" if same > 1 else name, state
        elif name.endswith(DRIVER) and state == "FAILED":
            yield node, f"the driver of {name.removesuffix(DRIVER)}", state


def list_nodes(run: Any) -> list[tuple[str, str, str, list[str]]]:
    """List name, state, id and the pods below of every node that has a state; wrappers and tries are left out but once.

    Nodes come in the order in which they began. The workflow's own node goes: its pods are called after it.
    """
    tasks = [task for task in _tasks(run) if task.display_name and task.state]
    pods = {str(pod.pod_name) for task in tasks for pod in task.child_tasks or [] if pod.pod_name}
    workflows = {pod.rpartition("-")[0] for pod in pods}
    rows = [
        (
            str(task.display_name),
            str(task.state),
            str(task.task_id),
            [str(pod.pod_name) for pod in task.child_tasks or []],
        )
        for task in sorted(tasks, key=lambda task: str(task.start_time or ""))
    ]
    return [row for row in rows if row[0] not in workflows and not TRY.fullmatch(row[0])]


def is_task(name: str) -> bool:
    """Tell whether a node's name is that of a task of the pipeline."""
    return not (name.endswith(DRIVER) or WRAPPER.fullmatch(name) or TRY.fullmatch(name))


def find_failures(run: Any) -> tuple[list[str], list[str]]:
    """Find what failed: names of tasks and drivers, and the pods whose logs say why."""
    nodes = list_nodes(run)
    failed = [row for row in nodes if row[1] == "FAILED"]
    names = [f"the driver of {name.removesuffix(DRIVER)}" if name.endswith(DRIVER) else name for name, *_ in failed
             if is_task(name) or name.endswith(DRIVER)]  # fmt: skip
    pods = [pod for name, _, _, below in failed if name == EXECUTOR or name.endswith(DRIVER) for pod in below]
    return list(dict.fromkeys(names)), list(dict.fromkeys(pods))


def is_reason_of(name: str, reason: str) -> bool:
    """Tell whether a reason is our own line of a task, which begins with its function's name."""
    return re.sub(r"-\d+$", "", name).replace("-", "_") == reason.partition(" failed: ")[0]


def read_reason(log: str) -> str:
    """Return the line of a failed pod's log that says why, our own error line first; nothing where none does."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    own = [line for line in lines if re.match(r"\w+ failed: ", line)]
    before = [each for each, after in pairwise(lines) if "Component failed to execute" in after]
    return next(iter([*own[-1:], *before[-1:], *lines[-1:]]), "")


def _tasks(run: Any) -> list[Any]:
    return list((run.run_details and run.run_details.task_details) or [])
