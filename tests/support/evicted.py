"""Trainings as pods run them: each attempt has an empty disk of its own, and only the work folder outlives it."""

import json
import logging
import multiprocessing
import os
import random
import shutil
import signal
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from support import rounds_run
from support.killed_training import differences, weights_in

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import listing

CLOCKED = ("seconds", "images_per_second")  # what a clock says of an epoch
PASSED = ("STORAGE_EMULATOR_HOST", "BODYPOSENET_PIPELINE_RUN")  # of the environment
PRUNE = {"rounds": 3, "target_params": 0.4, "pruning_granularity": 1, "min_num_filters": 2}
OUTPUTS = ("model", "metrics", "page")


def make_inputs(folder, *, epochs, **changes):
    """Records of drawn people and a small spec in a folder: a training's inputs, as another process reads them."""
    rounds_run.prepare(folder)
    (folder / "base").mkdir()
    shutil.move(folder / "base.keras", folder / "base" / "model.keras")
    shutil.copytree(folder / "records", folder / "dataset")
    shutil.copy(folder / "dataset_spec.json", folder / "dataset")
    spec = rounds_run.retraining_of(folder, epochs=epochs).model_dump(mode="json", by_alias=True, exclude_none=True)
    often = {"deterministic": True, "validation_every_n_epoch": epochs // 2, "checkpoint_n_minutes": 0.002}
    spec["dataloader"].pop("dataset_config")
    (folder / "spec.json").write_text(json.dumps(spec | often | changes))


def train_in_pod(inputs, pod, work):
    """Train once more from a network, as the component ``train`` does; ends the process as that does."""
    from bodyposenet.common import tasks

    inputs, pod = Path(inputs), Path(pod)
    pod.mkdir(parents=True)
    outputs = [str(pod / name) for name in OUTPUTS]
    spec = json.loads((inputs / "spec.json").read_text())
    tasks.train(str(inputs / "dataset"), spec, str(inputs / "base"), *outputs, work=work)


def prune_in_pod(inputs, pod, work):
    """Prune and train in two of three rounds, as the component ``prune_rounds`` does."""
    from bodyposenet.common import tasks

    inputs, pod = Path(inputs), Path(pod)
    pod.mkdir(parents=True)
    spec = json.loads((inputs / "spec.json").read_text())
    given = str(inputs / "base"), str(inputs / "dataset"), PRUNE, spec
    tasks.prune_rounds(*given, str(pod / "model"), str(pod / "metrics"), work=work)


def _run(task, inputs, pod, work, environment):
    os.environ.update(environment)
    with Path(f"{pod}.log").open("w") as log, redirect_stdout(log), redirect_stderr(log):
        logging.basicConfig(level=logging.INFO)
        task(inputs, pod, work)


class Processes:
    """Starts attempts as processes, from one that has imported what they need.

    Args:
        inputs: Folder of :func:`make_inputs`.
        store: Where attempts are tracked.
        task: What they do.
    """

    def __init__(self, inputs, store="", task=train_in_pod):
        self.inputs, self.store, self.task = inputs, store, task
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["bodyposenet.common.model.training.train", "bodyposenet.common.tasks"])

    def start(self, pod, work):
        """An attempt, as it runs."""
        environment = {name: os.environ[name] for name in PASSED if name in os.environ}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "2"} | ({"MLFLOW_TRACKING_URI": self.store} if self.store else {})
        process = self.context.Process(target=_run, args=(self.task, str(self.inputs), str(pod), work, environment))
        process.start()
        return process

    def run(self, pod, work, seconds=None):
        """The exit code of an attempt; -9 of one that was killed after some seconds."""
        process = self.start(pod, work)
        process.join(seconds)
        if process.exitcode is None:
            process.kill()
            process.join()
        return process.exitcode


def kept_in(work):
    """Names of what is in a work folder."""
    try:
        return set(listing(work))
    except UserError:
        return set()


def snapshots_in(work):
    return {name for name in kept_in(work) if name.endswith(".zip")}


def kill_at_a_checkpoint(processes, pod, work, generator, number=signal.SIGKILL, *, after=""):
    """Send an attempt a signal at a random moment after it has kept another checkpoint; its exit code.

    ``after`` is a file in its folder, which must be there before that checkpoint.
    """
    process, end = processes.start(pod, work), time.monotonic() + 240

    def wait_for(found):
        while not found():
            assert process.exitcode is None, Path(f"{pod}.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.005)

    before = snapshots_in(work)
    if after:
        wait_for((pod / after).exists)
        before = snapshots_in(work)
    wait_for(lambda: snapshots_in(work) - before)
    process.join(generator.uniform(0, 0.2))
    os.kill(process.pid, number)
    process.join()
    return process.exitcode


def results_of(pod):
    """All arrays of the networks that a training has left, and its curves, without what a clock says."""
    found = {f"last/{name}": array for name, array in weights_in(pod / "model" / "model.keras").items()}
    found |= {f"best/{name}": array for name, array in weights_in(pod / "model" / "model.best.keras").items()}
    history = json.loads((pod / "model" / "history.json").read_text())
    return found, [{name: value for name, value in row.items() if name not in CLOCKED} for row in history]


def differ(pod, other):
    """What is not the same to the last bit in what two attempts have left."""
    (arrays, history), (wanted, curves) = results_of(pod), results_of(other)
    assert len(wanted) > 50
    return differences(arrays, wanted) + ([] if history == curves else ["history.json"])


def evict_often(attempts, root, work, *, kills, seed, say=print):
    """Kill attempts at random moments, each followed by another on an empty disk, until so many were killed.

    Returns:
        The seconds of an undisturbed training; what the work folder held of those that were killed, by how often; and
        what is not as the undisturbed one has left it, by the attempt that came to the end.
    """
    generator, whole = random.Random(seed), root / "whole"
    begun = time.monotonic()
    assert attempts.run(whole, "") == 0
    seconds, moments, wrong, number = time.monotonic() - begun, Counter(), {}, 0
    while True:
        number += 1
        pod, left = root / f"pod-{number}", kills - moments.total()
        code = attempts.run(pod, work, generator.uniform(0.1, 0.9) * seconds if left else None)
        if code == 0:
            wrong[pod.name] = differ(pod, whole) + sorted(kept_in(work))
        elif code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            moments[f"{len(snapshots_in(work))} checkpoints kept"] += 1
        else:
            wrong[pod.name] = [f"exit code {code}"]
        say(f"attempt {number}: exit code {code}, {sorted(kept_in(work))}", flush=True)
        if not left:
            return seconds, moments, {name: found for name, found in wrong.items() if found}
