"""Cluster: which processes train one network side by side, as TF_CONFIG or a Kubernetes job's variables tell it.

``bpnet train`` reads these by itself, in every pod of a job with ``completionMode: Indexed``:

========================  =============================================================================
``JOB_COMPLETION_INDEX``  which worker the pod is; Kubernetes sets it
``BODYPOSENET_WORKERS``   how many there are: the job's ``completions`` and ``parallelism``
``BODYPOSENET_SERVICE``   headless service, the pods' ``subdomain``; it needs ``publishNotReadyAddresses``
``BODYPOSENET_PORT``      port on which they talk; 2222 where it is not set
``BODYPOSENET_JOB``       the job's name; taken from the pod's host name where it is not set
========================  =============================================================================

``python -m bodyposenet.common.model.training.cluster`` prints the ``TF_CONFIG`` that they make; with a command behind
it, it runs that with ``TF_CONFIG`` set, for programs that know only this.
"""

import json
import os
import shlex
import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bodyposenet.common.errors import UserError

CONFIG = "TF_CONFIG"
INDEX, WORKERS, SERVICE = "JOB_COMPLETION_INDEX", "BODYPOSENET_WORKERS", "BODYPOSENET_SERVICE"
PORT, JOB = "BODYPOSENET_PORT", "BODYPOSENET_JOB"
USUAL_PORT = 2222
MOST_PORTS = 65535
TRAINERS = ("chief", "worker")  # the kinds of task that train, the first one first


@dataclass(frozen=True)
class TrainingCluster:
    """The processes of a training, and which of them this one is.

    Attributes:
        workers: Where each listens, ``host:port``; the first is the chief, which alone writes files.
        index: Of this process.
        gpus: Devices that each has, with a batch of its own at every step.
    """

    workers: tuple[str, ...] = ("localhost:0",)
    index: int = 0
    gpus: int = 1

    @property
    def chief(self) -> bool:
        """Whether this process writes files."""
        return self.index == 0

    @property
    def shared(self) -> bool:
        """Whether there are other processes."""
        return len(self.workers) > 1

    @property
    def replicas(self) -> int:
        """Devices of all processes."""
        return len(self.workers) * self.gpus

    @property
    def shard(self) -> tuple[int, int]:
        """Which part of every batch this process makes, of how many."""
        return self.index, len(self.workers)

    def config(self) -> str:
        """The value of ``TF_CONFIG`` that says the same."""
        task = {"type": "worker", "index": self.index}
        return json.dumps({"cluster": {"worker": list(self.workers)}, "task": task})


ALONE = TrainingCluster()


def read_cluster(environ: Mapping[str, str], *, gpus: int = 1) -> TrainingCluster:
    """The cluster that the environment tells of; one process where it tells nothing.

    Args:
        environ: Its variables.
        gpus: Devices of each process.

    Raises:
        UserError: A variable is missing or makes no sense.
    """
    if environ.get(CONFIG, "").strip():
        workers, index = _read_tf_config(environ[CONFIG])
    elif WORKERS in environ:
        workers, index = _read_indices(environ)
    else:
        workers, index = ALONE.workers, ALONE.index
    return TrainingCluster(workers, index, gpus)


def _read_tf_config(text: str) -> tuple[tuple[str, ...], int]:
    """Workers and own index by ``TF_CONFIG``; a chief counts as the first worker."""
    try:
        config = json.loads(text)
        kinds: dict[str, Any] = config.get("cluster", {})
        task = config.get("task", {})
        kind, number = task.get("type", "worker"), int(task.get("index", 0))
        workers = tuple(str(worker) for name in TRAINERS for worker in kinds.get(name, ()))
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"cannot be read: {error}", where=CONFIG, fix=_EXAMPLE) from None
    if not workers:
        return ALONE.workers, ALONE.index
    strange = sorted({*kinds, kind} - {*TRAINERS})
    if strange:
        raise UserError(f"tasks of kind {strange[0]!r} do not train", where=CONFIG, fix="name workers and a chief only")
    if not 0 <= number < len(kinds.get(kind, ())):
        raise UserError(f"task {kind} {number} is not in the cluster", where=CONFIG, fix=_EXAMPLE)
    return workers, number + (len(kinds.get("chief", ())) if kind == "worker" else 0)


_EXAMPLE = 'write {"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'


def _read_indices(environ: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """Workers and own index by the variables of an indexed job."""
    count, index = _number(environ, WORKERS, least=1), _number(environ, INDEX, least=0)
    port = _number(environ, PORT, least=1, most=MOST_PORTS, otherwise=USUAL_PORT)
    if index >= count:
        raise UserError(
            f"is {index}, but there are {count} workers", where=INDEX, fix=f"set {WORKERS} to the job's completions"
        )
    if count == 1:
        return ALONE.workers, ALONE.index
    service = environ.get(SERVICE, "")
    if not service:
        raise UserError("is not set", where=SERVICE, fix="set it to the headless service that is the pods' subdomain")
    job = environ.get(JOB) or _read_job(environ.get("HOSTNAME") or socket.gethostname(), index)
    return tuple(f"{job}-{number}.{service}:{port}" for number in range(count)), index


def _number(
    environ: Mapping[str, str], name: str, *, least: int, most: int | None = None, otherwise: int | None = None
) -> int:
    """A variable's whole number."""
    text = environ.get(name, "" if otherwise is None else str(otherwise))
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        limits = f"from {least} to {most}" if most else f"from {least} on"
        raise UserError(f"should be a whole number {limits} (got {text!r})", where=name)
    return int(text)


def _read_job(host: str, index: int) -> str:
    """The job's name by a pod's host name, ``JOB-INDEX``."""
    name, _, number = host.partition(".")[0].rpartition("-")
    if not name or number != str(index):
        raise UserError(
            f"host name {host} does not end in -{index}, as an indexed job's pods do", where=JOB, fix="set it"
        )
    return name


def main(arguments: Sequence[str]) -> int:
    """Print ``TF_CONFIG``, or run a command with it."""
    command = list(arguments[1:] if arguments[:1] == ["--"] else arguments)
    try:
        config = read_cluster(os.environ).config()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if not command:
        print(config)
        return 0
    try:
        os.execvpe(command[0], command, {**os.environ, CONFIG: config})
    except OSError as error:
        print(f"error: {shlex.join(command)}: {error.strerror}", file=sys.stderr)
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
