"""A pipeline run by ``kfp.local`` in processes of this machine, and what it did."""

import builtins
import logging
import warnings
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from kfp import local
from kfp.local import subprocess_task_handler
from kfp.local.io import IOStore
from support.tiny_training import SMALL

from bodyposenet.pipelines.here.local import compile_without_retries
from bodyposenet.pipelines.parameters import sendable
from bodyposenet.pipelines.specs import default

# A process on this machine takes no resources and no image; kfp.local says so of every task.
SAID_BY_KFP = (
    "Task '.*': settings .* have no effect in the current local runner",
    "You may be attemping to run a task",
)
ELSEWHERE = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "KFP_RUN_ID")


@dataclass(frozen=True)
class Ran:
    """A run: the folder of its artifacts, the tasks that were executed, and why it failed, if it did."""

    folder: Path
    tasks: set[str]
    failure: str

    def said(self, task, name):
        return (self.folder / task / name).read_text()


@contextmanager
def without_words_of_kfp():
    """Within it kfp does not warn of what a local run leaves out; after it ``print`` and the root logger are as before.

    kfp replaces both while a task runs, and the threads of a loop may put them back in another order.
    """
    root, printing = logging.getLogger(), builtins.print
    handlers, level = root.handlers[:], root.level
    try:
        with warnings.catch_warnings():
            for message in SAID_BY_KFP:
                warnings.filterwarnings("ignore", message)
            yield
    finally:
        builtins.print, root.handlers[:] = printing, handlers
        root.setLevel(level)


def surroundings(name, store):
    """What the tasks of a run find in their environment."""
    return {"MLFLOW_TRACKING_URI": store, "BODYPOSENET_PIPELINE_RUN": name, "TF_CPP_MIN_LOG_LEVEL": "2"}


@contextmanager
def forked_tasks(python):
    """Within it a task that would be a fresh process of Python is one of ``warm_tasks``: it does the same, sooner."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_task_handler, "environment", lambda **_: nullcontext(str(python)))
        yield


def run_pipeline(folder, name, pipeline, patch, *, runner=None, store="", state="RUNNING", **arguments):
    """Run a committed pipeline with a cache; runs in one folder share that, and a store.

    Without a runner each task is a process of this machine. ``state`` is what the exit task is told of the run: a
    server says RUNNING of those that came from the cache, failed or were ended, and COMPLETE of others.
    """
    patch.setattr(IOStore, "get_task_status", lambda *_: state)
    for variable in ELSEWHERE:
        patch.delenv(variable, raising=False)
    for variable, value in surroundings(name, store or f"sqlite:///{folder / 'mlflow.db'}").items():
        patch.setenv(variable, value)
    root = folder / name
    root.mkdir()
    failure = ""
    with without_words_of_kfp():
        cache = {"enable_caching": True, "cache_root": str(folder / "cache")}
        runner = runner or local.SubprocessRunner(use_venv=False)
        local.init(runner, pipeline_root=str(root), raise_on_error=True, **cache)
        try:
            compile_without_retries(pipeline)(**sendable(arguments))
        except RuntimeError as error:
            failure = str(error)
    (made,) = root.iterdir()
    return Ran(made, {path.parent.name for path in made.rglob("executor_output.json")}, failure)


def tiny_training(name):
    """A shipped train spec for one epoch of a small network on small pictures, from scratch."""
    spec = default(name)
    loader = {**spec["dataloader"], "batch_size": 4, "pose_config": {"target_shape": [12, 16]}}
    loader["image_config"] = {"image_dims": {"height": 96, "width": 128}}
    model = {**spec["model"], "stages": 1, "backbone_attributes": SMALL | {"width_multiplier": 0.125}}
    return {**spec, "num_epoch": 1, "pretrained_weights": None, "dataloader": loader, "model": model}


def short_training(name):
    """A shipped train spec for one epoch on few pictures: it starts from a network that finds people."""
    spec = default(name)
    return {**spec, "num_epoch": 1, "dataloader": {**spec["dataloader"], "batch_size": 4}}


def tiny_arguments():
    """Specs for a run of seconds."""
    specs = {f"{name}_spec": tiny_training(name) for name in ("train", "retrain")}
    specs["prune_spec"] = {"pruning_threshold": 0.3, "min_num_filters": 2, "pruning_granularity": 2}
    specs["inference_spec"] = {**default("inference"), "input_shape": [96, 128]}
    return specs
