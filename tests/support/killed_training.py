"""Trainings that are killed at any moment, run again, and compared with one that nobody disturbed."""

import io
import multiprocessing
import os
import random
import shutil
import signal
import sys
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from support.tiny_training import SMALL, Dots, tiny_spec

MODEL = "bpnet_model.keras"
SAMPLES, BATCH = 24, 4
STEPS = SAMPLES // BATCH
STOPPED = 143


def spec_of(epochs, **changes):
    """A training that checkpoints as often as it can."""
    model = {"stages": 1, "stage1_kernel_sizes": [3], "backbone_attributes": SMALL | {"width_multiplier": 0.0625}}
    often = {"checkpoint_n_epoch": 2, "max_ckpt_to_keep": 2, "validation_every_n_epoch": 1}
    return tiny_spec(num_epoch=epochs, deterministic=True, model=model, **(often | changes))


def judged(model, card):
    """An AP that the weights alone decide, and that falls now and then."""
    total = float(sum(np.abs(weights).sum() for weights in model.get_weights()))
    return {"val_ap": total % 1.0}


@dataclass(frozen=True)
class SlowDots(Dots):
    """Pictures that take their time."""

    seconds: float = 0.0

    def sample(self, index, epoch):
        time.sleep(self.seconds)
        return super().sample(index, epoch)


def run_training(folder, spec, seconds):
    """Train as the command line does; in a process of its own."""
    sys.stderr = sys.stdout = Path(folder).parent.joinpath("output").open("a")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    from bodyposenet.common.model.training.preemption import StoppedError
    from bodyposenet.common.model.training.train import train

    try:
        train(spec, folder, source=SlowDots(SAMPLES, seconds=seconds), validate=judged)
    except StoppedError as error:
        print(error, flush=True)
        os._exit(error.exit_code)


class Nursery:
    """Starts trainings from a process that has read TensorFlow once.

    Args:
        spec: What to train.
        seconds: That a picture takes.
    """

    def __init__(self, spec, seconds=0.0):
        self.spec, self.seconds = spec, seconds
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(
            ["bodyposenet.common.model.training.train", "bodyposenet.common.model.files.model_file"]
        )
        first = self.context.Process(target=time.sleep, args=(0,))
        first.start()
        first.join()

    def start(self, folder):
        """A training, as it runs."""
        process = self.context.Process(target=run_training, args=(folder, self.spec, self.seconds))
        process.start()
        return process

    def run(self, folder):
        """The exit code of a training."""
        process = self.start(folder)
        process.join()
        return process.exitcode


def state_of(folder):
    """All arrays of the network and of the last checkpoint's optimizer, and the history without its clock."""
    found = weights_in(folder / MODEL)
    last = sorted(folder.glob("model.epoch-*.keras"), key=lambda path: int(path.name.split("-")[1].split(".")[0]))[-1]
    with zipfile.ZipFile(last) as archive:
        arrays = np.load(io.BytesIO(archive.read("optimizer.npz")))
        found |= {f"optimizer/{name}": arrays[name] for name in arrays.files}
    found |= {f"best/{name}": array for name, array in weights_in(folder / "model.best.keras").items()}
    return found


def weights_in(path):
    """The arrays of a network's file, by name."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def differences(one, other):
    """Names of arrays that are not the same to the last bit."""
    names = one.keys() | other.keys()
    return sorted(n for n in names if n not in one or n not in other or one[n].tobytes() != other[n].tobytes())


def moment_of(folder):
    """What a training was doing, as far as its files tell."""
    if not folder.exists():
        return "before it began"
    names = [path.name for path in folder.iterdir()]
    if any(name.startswith(".") for name in names):
        return "writing a checkpoint"
    if MODEL in names:
        return "at its end"
    if "model.latest.keras" in names:
        return "after a checkpoint within an epoch"
    return "after an epoch's checkpoint" if any("epoch-" in name for name in names) else "before the first checkpoint"


def kill_often(nursery, root, kills, seed):
    """Stop so many trainings, each at a random moment and one in four by SIGTERM, and run each again.

    Returns:
        What the stopped ones were doing, by how often; the rounds that did not end as they must; and the seconds that
        an undisturbed training takes.
    """
    generator = random.Random(seed)
    begun = time.monotonic()
    assert nursery.run(root / "whole") == 0, (root / "output").read_text()
    seconds = time.monotonic() - begun
    wanted = state_of(root / "whole")
    moments, wrong = Counter(), []
    while moments.total() < kills:
        folder = root / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        number = signal.SIGTERM if generator.random() < 0.25 else signal.SIGKILL
        code = stopped(nursery, folder, generator.uniform(generator.choice((0, 0.4, 0.4)), 1) * seconds, number)
        if code == 0:
            continue  # it was done by then
        moments[f"{number.name} {moment_of(folder)}"] += 1
        again = nursery.run(folder)
        found = differences(state_of(folder), wanted) if again == 0 else []
        if again or found or code not in (-number, STOPPED):
            wrong.append((moments.total(), number.name, code, again, found))
    return moments, wrong, seconds


def stopped(nursery, folder, seconds, number):
    """Start a training and send it a signal some seconds later; its exit code."""
    process = nursery.start(folder)
    process.join(seconds)
    if process.exitcode is None:
        os.kill(process.pid, number)
        process.join()
    return process.exitcode
