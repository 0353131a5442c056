"""Workflow size: how large a run of a compiled pipeline becomes in Kubernetes, told before it runs.

Argo keeps what a run has done in the workflow itself: a few nodes for each task, each with the task's interface as text
in JSON. Beyond 1 MiB it keeps them compressed, and from then on Kubeflow's list of tasks stands still. The figures
here are those of a run that was measured, on Kubeflow Pipelines 2.17 with Argo Workflows 4.0.5.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bodyposenet.pipelines.package import Package

LIMIT = 1 << 20  # bytes; beyond, the list of tasks stands still
DRIVER, PATCH, ARTIFACT = 537, 1780, 818  # bytes: of a driver's node, of a pod's patch, and for each artifact in that
COMMAND = 3.12  # how often a command's text counts in a patch, where it is quoted twice
DRIVERS, EXECUTORS, WRAPPERS = 2, 4, 4  # nodes for each: as itself and as its try, and for executors two of these
WRAPPER = 600  # bytes of a node around others
TEMPLATE = 1700  # bytes of what a workflow says of a task before it runs

Document = Mapping[str, Any]


@dataclass(frozen=True)
class TaskSize:
    """What of a task its nodes repeat, in bytes as JSON quotes it.

    Attributes:
        interface: Its component, the task itself, its container, and what Kubernetes is to know of it.
        command: Its container's command.
        artifacts: That it is given.
        leaf: It runs a container; others are layers, loops and conditions.
        times: How often it runs.
    """

    interface: int
    command: int = 0
    artifacts: int = 0
    leaf: bool = True
    times: int = 1

    def estimate(self) -> int:
        """Bytes of its nodes, which are there when it has ended."""
        if not self.leaf:
            return self.times * (DRIVERS * (DRIVER + self.interface) + WRAPPERS * WRAPPER)
        patch = PATCH + COMMAND * self.command + ARTIFACT * self.artifacts
        return round(self.times * (DRIVERS * (DRIVER + self.interface + patch) + EXECUTORS * patch))


def estimate_workflow(package: Package, *, iterations: int = 1) -> int:
    """Estimate the bytes of a run's workflow at its end.

    Args:
        package: The pipeline.
        iterations: Of each of its loops.
    """
    sizes = list(_measure(package, package.spec["root"]["dag"], 1, iterations))
    nodes = sum(size.estimate() for size in sizes)
    return nodes + sum(size.interface + TEMPLATE for size in sizes)


def _measure(package: Package, dag: Document, times: int, iterations: int) -> Iterator[TaskSize]:
    """Measure the tasks of a graph, and those of the graphs below it."""
    executors = package.spec["deploymentSpec"]["executors"]
    kubernetes = package.platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    for task in dag["tasks"].values():
        component = package.spec["components"][task["componentRef"]["name"]]
        interface = _quote(component) + _quote(task)
        its_times = times * (iterations if "parameterIterator" in task else 1)
        if "dag" in component:
            yield TaskSize(interface, leaf=False, times=its_times)
            yield from _measure(package, component["dag"], its_times, iterations)
            continue
        container = executors[component["executorLabel"]]["container"]
        interface += _quote(container) + _quote(kubernetes.get("executors", {}).get(component["executorLabel"], {}))
        artifacts = component.get("inputDefinitions", {}).get("artifacts", {})
        yield TaskSize(interface, _quote(json.dumps(container["command"])), len(artifacts), times=its_times)


def _quote(content: Any) -> int:
    """Bytes of something as JSON in a text of JSON."""
    return len(json.dumps(json.dumps(content, separators=(",", ":")))) - 2
