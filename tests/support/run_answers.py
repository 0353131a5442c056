"""Run answers: those of the recorded runs, and others drawn after their shape, as the client reads them."""

import gzip
import json
from datetime import UTC, datetime, timedelta

import kfp_server_api as api
from support.kubeflow_nodes import driver, list_tasks, place_nodes, retry

BEGAN = datetime(2026, 11, 28, 19, 0, tzinfo=UTC)
WORKFLOW = "drawn-x7k2p"


class Answer:
    """What the client makes a model of."""

    def __init__(self, document):
        self.data = json.dumps(document)


def read_answer(document):
    """Read an answer to ``GET /runs/ID``."""
    return api.ApiClient().deserialize(Answer(document), "V2beta1Run")


def read_recorded(data_folder, name):
    """Read the answers of a recorded run."""
    with gzip.open(data_folder / "kubeflow" / f"{name}.jsonl.gz", "rt") as lines:
        return [read_answer(json.loads(line)["run"]) for line in lines]


def draw_task(name, state="RUNNING", *, failed=0, began=True):
    """Draw a task with its driver; so many tries of its container have failed before. One has but its driver yet."""
    executor = retry("executor", state, earlier=failed)
    return driver(name, *([retry(name, state, [executor])] if began else []))


def draw_group(name, *tasks, state="RUNNING"):
    """Draw a sub-pipeline, or another group, and what is in it."""
    return driver(name, retry(name, state, tasks))


def draw_loop(number, parts, state="RUNNING"):
    """Draw a loop: for each part what is in it."""
    items = [
        retry(f"iteration-iterations({place}:{place})", state, [
            driver("iteration-item", retry("iteration-item", state, tasks))
        ])
        for place, tasks in enumerate(parts)
    ]  # fmt: skip
    node = retry("iteration-iterations", state)
    node.below, node.beside = items, True
    return retry(f"for-loop-{number}", state, [driver("iteration", node)])


def answer_with(*tasks, state="RUNNING"):
    """Answer with a run whose pipeline has these tasks at its root."""
    root = driver("root", retry("root", state, tasks))
    nodes = place_nodes(retry(WORKFLOW, state, [root]))
    listed = list_tasks(WORKFLOW, nodes, BEGAN)
    ended = {} if state == "RUNNING" else {"finished_at": f"{BEGAN + timedelta(seconds=245):%Y-%m-%dT%H:%M:%SZ}"}
    return read_answer({
        "run_id": "1de6e1a5-c053-4d75-904e-ecc3c8a23f2a", "display_name": "drawn", "state": state,
        "created_at": f"{BEGAN:%Y-%m-%dT%H:%M:%SZ}", **ended, "run_details": {"task_details": listed},
    })  # fmt: skip
