"""Strategy: the processes and devices of a training as TensorFlow joins them, and what they tell each other."""

import contextlib
import faulthandler
import json
import logging
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.cluster import TrainingCluster
from bodyposenet.common.model.training.rendezvous import listens, meet

log = logging.getLogger(__name__)

JOINING = 300.0  # seconds that TensorFlow may take to join processes that have all met
PROBE = 1.0  # seconds that a worker may take to accept a connection
LINGER = 3 * PROBE  # seconds that a worker that has lost another goes on answering probes
TASK = re.compile(r"/job:worker(?:/replica:\d+)?/task:(\d+)")
PARTED = (  # what TensorFlow raises where another process no longer answers
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.DeadlineExceededError, tf.errors.CancelledError,
    tf.errors.InternalError, tf.errors.FailedPreconditionError,
)  # fmt: skip


class LostWorkerError(UserError):
    """Another process of the training is gone; the same command goes on from the newest checkpoint. Exit 75."""

    exit_code = 75  # EX_TEMPFAIL: try again


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training, joined.

    Attributes:
        cluster: Who they are.
        strategy: A ``tf.distribute.Strategy``; None where there is one process with one device.
    """

    cluster: TrainingCluster
    strategy: Any = None

    def scope(self) -> contextlib.AbstractContextManager[Any]:
        """Where variables are made of which every device has a copy."""
        return self.strategy.scope() if self.strategy else contextlib.nullcontext()

    def broadcast(self, value: Any) -> Any:
        """What the chief has for ``value``, which JSON can tell; every process must call this."""
        if not self.cluster.shared:
            return value
        data = np.frombuffer(json.dumps(value).encode() if self.cluster.chief else b"", np.uint8)
        size = int(self._sum(np.float64(len(data))))
        sent = data.astype(np.float32) if self.cluster.chief else np.zeros(size, np.float32)
        return json.loads(self._sum(sent).astype(np.uint8).tobytes())

    def sync(self, variables: Sequence[Any]) -> None:
        """Give all variables the values that they have in the chief's process."""
        for variable in variables if self.cluster.shared else ():
            own = np.asarray(variable)
            wide = own if own.dtype.kind == "f" else own.astype(np.float64)
            variable.assign(self._sum(wide if self.cluster.chief else np.zeros_like(wide)).astype(own.dtype))

    def wait(self) -> None:
        """Go on when every process has come here."""
        if self.cluster.shared:
            self._sum(np.float64(0))

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Work with the others; tell it clearly where one of them is lost.

        Raises:
            LostWorkerError: One is.
        """
        try:
            yield
        except PARTED as error:
            if not self.cluster.shared:
                raise
            log.debug("%s", error)
            lost = find_lost_workers(self.cluster, str(error))
            time.sleep(LINGER)
            raise LostWorkerError(
                f"{lost} is gone, so training stopped",
                where=f"worker {self.cluster.index} of {len(self.cluster.workers)}",
                fix="its log says why; start all workers again to go on from the newest checkpoint",
            ) from None

    def _sum(self, array: Any) -> np.ndarray:
        """The sum of what each process has, of which all have the same shape."""

        def own(context: Any) -> Any:
            first = context.replica_id_in_sync_group % self.cluster.gpus == 0
            return tf.constant(array if first else np.zeros_like(array))

        values = self.strategy.experimental_distribute_values_from_function(own)
        total: np.ndarray = self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None).numpy()
        return total


def form_group(cluster: TrainingCluster) -> ProcessGroup:
    """Join the processes and devices; TensorFlow must not have computed anything yet.

    Raises:
        UserError: This machine lacks devices, or a process does not come in time.
    """
    if cluster.shared:
        return ProcessGroup(cluster, _many_workers(cluster))
    if cluster.gpus > 1:
        return ProcessGroup(cluster, tf.distribute.MirroredStrategy(_devices(cluster.gpus)))
    return ProcessGroup(cluster)


def find_lost_workers(cluster: TrainingCluster, message: str) -> str:
    """Which of the others no longer listen; by TensorFlow's message, if all still do."""
    others = [number for number in range(len(cluster.workers)) if number != cluster.index]
    gone = [number for number in others if not listens(cluster.workers[number], PROBE)]
    gone = gone or sorted({int(number) for number in TASK.findall(message)} & {*others})
    told = " and ".join(f"worker {number} ({cluster.workers[number]})" for number in gone)
    return told or "another worker"


def _devices(number: int) -> list[str]:
    """Names of this machine's first so many GPUs; of its processors where those have been divided."""
    gpus = tf.config.list_logical_devices("GPU")
    found = gpus or tf.config.list_logical_devices("CPU")
    if len(found) < number:
        _refuse(number, len(gpus))
    return [device.name for device in found[:number]]


def _refuse(wanted: int, present: int) -> None:
    there = f"there {'is' if present == 1 else 'are'} {present or 'none'}"
    fix = f"use --gpus {present}" if present else "use --gpus 1, which trains on the processor"
    raise UserError(f"{wanted} GPUs are asked for, and TensorFlow says {there}", where="--gpus", fix=fix)


def _many_workers(cluster: TrainingCluster) -> Any:
    gpus = tf.config.list_physical_devices("GPU")
    if len(gpus) < cluster.gpus > 1:
        _refuse(cluster.gpus, len(gpus))
    if gpus:
        tf.config.set_visible_devices(gpus[: cluster.gpus], "GPU")
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(cluster.workers)}),
        task_type="worker",
        task_id=cluster.index,
        num_accelerators={"GPU": cluster.gpus if gpus else 0},
    )
    meet(cluster)
    with _keeping_signals(), _no_longer_than(JOINING):
        return tf.distribute.MultiWorkerMirroredStrategy(resolver)


@contextlib.contextmanager
def _keeping_signals() -> Iterator[None]:
    """Give SIGTERM back to Python: TensorFlow takes it, and does nothing with it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _no_longer_than(seconds: float) -> Iterator[None]:
    """End the process if this takes longer: TensorFlow waits without end, and lets no thread of Python run."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
