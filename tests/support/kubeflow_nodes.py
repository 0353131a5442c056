"""Kubeflow nodes: a run's list of tasks as Argo makes it, for the fake of Kubeflow Pipelines.

A task of the pipeline is a driver, the task itself and its executor; a group (condition, loop, exit handler) is a
driver, too, and what is in it. Each of them stands there twice, as itself and as its try ``NAME(0)``; what comes next
is a child of the try. The names are those of the recorded runs.
"""

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

NOT_YET = "0001-01-01T00:00:00Z"
OPEN = ("PENDING", "RUNNING")
LOG = """I1128 19:18:41.228063      16 main.go:67] Setting log level to: '1'
{task} failed: planted in a task
E1128 19:18:52.411019      16 launcher_v2.go:449] Component failed to execute successfully: exit status 2
F1128 19:18:52.413022      16 main.go:59] failed to execute component: exit status 2
"""


def tell_time(moment):
    """Give a moment as answers do."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Node:
    """One entry of the list.

    Attributes:
        name: That is displayed.
        state: Of it.
        below: Nodes that are listed as its children.
        beside: They lie beside it, and not in it: what comes after a driver, the parts of a loop.
        number: The hash of its path, which is the end of its id.
    """

    name: str
    state: str
    below: list["Node"] = field(default_factory=list)
    beside: bool = False
    number: int = 0


def draw_workflow(name, spec, state):
    """Draw the nodes of a workflow; while it runs, and where it fails, its first task is the one that does.

    Args:
        name: Of the workflow.
        spec: The pipeline.
        state: Of the run.
    """
    if state == "PENDING":
        return []
    root = retry("root", state, _draw_graph(spec, spec["root"]["dag"], state))
    return place_nodes(retry(name, state, [driver("root", root)]))


def place_nodes(workflow):
    """Give every node of a workflow its number, and return all of them."""
    number_nodes([workflow], "")
    return list(walk([workflow]))


def number_nodes(nodes, room):
    """Number nodes as Argo does: by the FNV-1a hash, in 32 bits, of the path that leads to them."""
    for node in nodes:
        is_try = f".{room}".endswith("." + re.sub(r"\(\d+\)$", "", node.name))
        path = room + node.name[node.name.rindex("(") :] if is_try else f"{room}.{node.name}".lstrip(".")
        node.number = 0x811C9DC5
        for byte in path.encode():
            node.number = (node.number ^ byte) * 0x01000193 % 2**32
        outside = room.rpartition(".")[0] if is_try else room
        number_nodes(node.below, outside if node.beside else path)


def walk(nodes) -> Iterator[Node]:
    """Walk through nodes and those below them."""
    for node in nodes:
        yield node
        yield from walk(node.below)


def retry(name, state, below=(), earlier=0):
    """Make a node with its tries, below the last of which is what it holds; so many earlier ones have failed."""
    failed = [Node(f"{name}({number})", "FAILED") for number in range(earlier)]
    return Node(name, state, below=[*failed, Node(f"{name}({earlier})", state, below=list(below))])


def driver(name, *nodes):
    """Make the driver that came before nodes, which lie beside it."""
    made = retry(f"{name}-driver", "SUCCEEDED", nodes)
    made.below[0].beside = True
    return made


def _draw_graph(spec, graph, state):
    """Draw the tasks of a graph; of one that goes on, or has failed, only one that depends on nothing."""
    tasks = sorted(
        graph["tasks"].items(),
        key=lambda each: (len(each[1].get("dependentTasks", [])), "parameterIterator" in each[1]),
    )
    drawn = [node for name, task in tasks for node in _draw_task(spec, name, task, state)]
    return drawn if state == "SUCCEEDED" else drawn[:1]


def _draw_task(spec, name, task, state):
    if "strategy" in task.get("triggerPolicy", {}):  # what has a condition has it there, too
        handler = task["dependentTasks"][0]
        rest = {key: value for key, value in task.items() if key != "triggerPolicy"}
        return [retry(f"{handler}.onExit", state, _draw_task(spec, name, rest, state))]
    component = spec["components"][task["componentRef"]["name"]]
    if "dag" not in component:
        return [driver(name, retry(name, state, [retry("executor", state)]))]
    below = _draw_graph(spec, component["dag"], state)
    if "parameterIterator" in task:
        return [retry(name, state, _draw_loop(spec, component["dag"], state, task["parameterIterator"]))]
    return [driver(name, retry(name, state, below))]


def _draw_loop(spec, graph, state, iterator):
    items = str(iterator["items"].get("raw", "")).count('"') // 2 or 1
    parts = [
        retry(f"iteration-iterations({number}:{number})", state, [
            driver("iteration-item", retry("iteration-item", state, _draw_graph(spec, graph, state)))
        ])
        for number in range(items)
    ]  # fmt: skip
    return [driver("iteration", Node("iteration-iterations", state, below=parts, beside=True))]


def list_tasks(workflow, nodes, began):
    """List nodes as an answer does: in no order, each with the pods below it.

    Args:
        workflow: Its name, with which pods' names begin.
        nodes: All of them.
        began: When the first of them did; each other one a second later than that before it.
    """
    rows = [
        {
            "task_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{workflow} {node.number}")),
            "display_name": node.name,
            "start_time": tell_time(began + timedelta(seconds=place)),
            "end_time": NOT_YET if node.state in OPEN else tell_time(began + timedelta(seconds=place + 1)),
            "state": node.state,
            **({"child_tasks": [{"pod_name": f"{workflow}-{it.number}"} for it in node.below]} if node.below else {}),
        }
        for place, node in enumerate(nodes)
    ]
    return sorted(rows, key=lambda row: row["task_id"])


def list_logs(workflow, nodes):
    """Give the log of each pod in which a task has failed, by the pod's name, which has its template in it."""
    tasks = [(task, it) for task in nodes for part in task.below for it in part.below if it.name == "executor"]
    failed = [
        (re.sub(r"-\d+$", "", task.name), executor.below[0]) for task, executor in tasks if executor.state == "FAILED"
    ]
    return {
        f"{workflow}-retry-system-container-impl-{pod.number}": LOG.format(task=name.replace("-", "_"))
        for name, pod in failed
    }
