"""Workflow size: the estimate is that of a run that was measured, and a run of the pipelines stays below the limit."""

import json

import pytest

from bodyposenet.pipelines.here.local import COMPILED
from bodyposenet.pipelines.package import read_package
from bodyposenet.pipelines.workflow_size import LIMIT, TaskSize, estimate_workflow

# Bytes of interface and command, and artifacts, of the tasks of the pipeline that was measured
MEASURED = {
    "calibrate": (6617, 2741, 3), "challenge": (3912, 1299, 1), "dataset-convert": (5109, 2022, 1),
    "dataset-join": (4620, 1724, 2), "evaluate": (4926, 1826, 3), "evaluate-2": (4935, 1826, 3),
    "evaluate-3": (4940, 1826, 3), "evaluate-4": (4936, 1826, 3), "export": (5236, 2221, 1),
    "fingerprint": (13605, 4931, 0), "gate": (4158, 1377, 0), "photos": (3442, 1223, 0), "prune": (5875, 2530, 2),
    "prune-rounds": (5026, 1985, 2), "register": (6054, 2256, 2), "report": (7297, 2620, 7),
    "sample-calibration": (4788, 1748, 1), "summary": (3423, 1085, 0), "train": (5706, 2236, 2),
    "train-2": (5736, 2236, 2),
}  # fmt: skip


@pytest.mark.data
def test_the_nodes_of_tasks_are_as_large_as_they_were_measured(data_folder):
    nodes = json.loads((data_folder / "kubeflow" / "node_sizes.json").read_text())["nodes"]
    found = {node["name"]: node["bytes"] for node in nodes}
    tasks = {name: TaskSize(*figures) for name, figures in MEASURED.items()}
    driver_and_executor = {name: found[f"{name}-driver"] + found[name] for name in tasks}
    for name, size in tasks.items():
        patch = (size.estimate() - 2 * (537 + size.interface)) / 6
        assert 537 + size.interface + 2 * patch == pytest.approx(driver_and_executor[name], rel=0.15), name
    leaves = [node["bytes"] for node in nodes if node["template"].startswith(("system-container", "retry-system"))]
    assert sum(size.estimate() for size in tasks.values()) == pytest.approx(sum(leaves), rel=0.01)


@pytest.mark.parametrize("name", ["prune_retrain", "prune_sweep", "batch_inference"])
def test_a_workflow_stays_below_the_limit(name):
    package = read_package(COMPILED / f"{name}.yaml")
    whole = estimate_workflow(package)
    assert 0 < whole < LIMIT
    assert estimate_workflow(package, iterations=3) == pytest.approx(whole, abs=4e5)


def test_each_iteration_of_a_loop_has_its_own_nodes():
    package = read_package(COMPILED / "prune_sweep.yaml")
    sizes = [estimate_workflow(package, iterations=times) for times in (1, 2, 3)]
    assert sizes[2] - sizes[1] == pytest.approx(sizes[1] - sizes[0], rel=0.001)
    assert sizes[1] - sizes[0] > 50_000
