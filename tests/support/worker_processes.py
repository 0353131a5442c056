"""Trainings of several processes on this machine, as several machines would run them."""

import json
import multiprocessing
import os
import socket
import sys

from support.killed_training import SlowDots
from support.tiny_training import MOMENTUM, SMALL, tiny_spec

SAMPLES = 16
EPOCHS, EVERY = 50, 10  # in all, and between checkpoints


def spec_of(batch_size, **changes):
    """Fifty steps in float32 of a small network with batch normalization, each an epoch where it takes all samples."""
    model = {"stages": 1, "stage1_kernel_sizes": [3], "backbone_attributes": SMALL | {"width_multiplier": 0.125}}
    dataloader = {
        "batch_size": batch_size,
        "image_config": {"image_dims": {"height": 32, "width": 32}},
        "pose_config": {"target_shape": [4, 4]},
        "dataset_config": {"train_records_folder_path": "nowhere", "train_records_path": ["none"]},
    }
    settings = {"optimizer": MOMENTUM, "log_every_n_secs": 60, "num_epoch": EPOCHS, "checkpoint_n_epoch": EVERY}
    return tiny_spec(model=model, dataloader=dataloader, **(settings | changes))


def train_in(folder, spec, cluster, seconds, devices):
    """Train as the command line does; in a process of its own, whose output goes beside ``folder``."""
    sys.stderr = sys.stdout = folder.with_suffix(".log").open("a")
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    from bodyposenet.common.exits import tell
    from bodyposenet.common.model.training.train import train

    if devices > 1:
        parts = [tf.config.LogicalDeviceConfiguration()] * devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    try:
        done = train(spec, folder, source=SlowDots(SAMPLES, size=(32, 32), seconds=seconds), cluster=cluster)
        print(f"computed in {done.precision}", flush=True)
    except BaseException as error:
        code, message = tell(error)
        print(message, flush=True)
        os._exit(code)


class Machines:
    """Starts trainings from a process that has read TensorFlow once."""

    def __init__(self):
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(
            ["bodyposenet.common.model.training.train", "bodyposenet.common.cli.launcher"]
        )

    def start(self, folder, spec, cluster, *, seconds=0.0, devices=1):
        """A process of a training, as it runs; a picture takes it so many seconds, its processor is so many devices."""
        process = self.context.Process(target=train_in, args=(folder, spec, cluster, seconds, devices))
        process.start()
        return process


def free_addresses(number):
    """Addresses on this machine at which nobody listens."""
    doors = [socket.create_server(("localhost", 0)) for _ in range(number)]
    addresses = tuple(f"localhost:{door.getsockname()[1]}" for door in doors)
    for door in doors:
        door.close()
    return addresses


def losses_in(folder, name="loss"):
    """A loss of every epoch."""
    return [entry[name] for entry in json.loads((folder / "history.json").read_text())]
