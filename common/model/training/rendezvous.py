"""Rendezvous: workers wait for each other before TensorFlow starts, which would wait without end."""

import contextlib
import logging
import os
import select
import socket
import time
from collections.abc import Iterator

from bodyposenet.common.errors import UserError
from bodyposenet.common.model.training.cluster import TrainingCluster

log = logging.getLogger(__name__)

PATIENCE = 900.0  # seconds: a pod may have to wait for a node, and pull its image
LOOPBACK = ("127.0.0.1", "localhost")
PAUSE = 0.5  # seconds between knocks
TOLD_EVERY = 30.0  # seconds between lines of the log
GREETING = "bodyposenet worker"
GO = b"go\n"
LONGEST = 80  # bytes of a greeting


def meet(cluster: TrainingCluster, patience: float = PATIENCE) -> None:
    """Return when all workers are here: each knocks at the chief's port, which lets all go at once.

    Args:
        cluster: Who they are.
        patience: Seconds to wait.

    Raises:
        UserError: One did not come, or the chief's port is taken.
    """
    deadline = _Deadline(patience)
    if cluster.chief:
        _gather(cluster, deadline)
    else:
        _connect(cluster, deadline)


def listens(address: str, seconds: float) -> bool:
    """Whether something accepts connections at ``host:port`` within so many seconds."""
    try:
        socket.create_connection(_split(address), timeout=seconds).close()
    except OSError:
        return False
    return True


class _Deadline:
    """When to give up, and when to say what is being waited for."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self._end, self._told = seconds, time.monotonic() + seconds, time.monotonic()

    def waits_for(self, missing: str) -> None:
        """Say what is missing, now and then; give up at the end."""
        now = time.monotonic()
        if now > self._end:
            raise UserError(
                f"{missing} did not come within {self.seconds:.0f} seconds",
                fix="see whether it runs, and whether its name can be resolved and its port reached",
            )
        if now - self._told > TOLD_EVERY:
            self._told = now
            log.info("waiting for %s", missing)


def _gather(cluster: TrainingCluster, deadline: _Deadline) -> None:
    """The chief's part."""
    wanted = set(range(1, len(cluster.workers)))
    with contextlib.ExitStack() as stack:
        door = stack.enter_context(_listen(cluster.workers[0]))
        here: dict[int, socket.socket] = {}
        while wanted - here.keys():
            absent = [f"worker {number} ({cluster.workers[number]})" for number in sorted(wanted - here.keys())]
            deadline.waits_for(" and ".join(absent))
            if not select.select([door], [], [], PAUSE)[0]:
                continue
            guest = stack.enter_context(door.accept()[0])
            number = _handshake(guest, len(cluster.workers))
            if number in wanted:
                here[number] = guest
        door.close()
        for guest in here.values():
            with contextlib.suppress(OSError):  # it may have gone again; TensorFlow waits for it, a while
                guest.sendall(GO)


@contextlib.contextmanager
def _listen(address: str) -> Iterator[socket.socket]:
    host, port = _split(address)
    here = host in LOOPBACK  # nobody else is let in
    both = socket.has_dualstack_ipv6() and not here
    family = socket.AF_INET6 if both else socket.AF_INET
    try:
        door = socket.create_server((host if here else "", port), family=family, backlog=128, dualstack_ipv6=both)
    except OSError as error:
        problem = f"port {port} cannot be listened at: {os.strerror(error.errno or 0)}"
        raise UserError(problem, where=address, fix="name another port") from None
    with door:
        yield door


def _handshake(guest: socket.socket, workers: int) -> int | None:
    """The number of the worker that has knocked; None for strangers, and for workers of another cluster."""
    guest.settimeout(PAUSE)
    try:
        words = guest.recv(LONGEST).decode("ascii", "replace").split()
    except OSError:
        return None
    name, number, of = " ".join(words[:2]), words[2:3], words[3:]
    fits = name == GREETING and of == [str(workers)] and number[0].isdecimal()
    return int(number[0]) if fits else None


def _connect(cluster: TrainingCluster, deadline: _Deadline) -> None:
    """Everybody else's part."""
    chief = cluster.workers[0]
    while True:
        deadline.waits_for(f"the chief, worker 0 ({chief}), with all others")
        with contextlib.suppress(OSError), socket.create_connection(_split(chief), timeout=PAUSE) as door:
            door.sendall(f"{GREETING} {cluster.index} {len(cluster.workers)}\n".encode())
            if _wait_release(door, deadline, chief):
                return
        time.sleep(PAUSE)


def _wait_release(door: socket.socket, deadline: _Deadline, chief: str) -> bool:
    """Wait for the chief's word; False if it hangs up."""
    while True:
        deadline.waits_for(f"workers that the chief ({chief}) waits for")
        if select.select([door], [], [], PAUSE)[0]:
            return door.recv(len(GO)) == GO


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isdecimal():
        raise UserError(f"should be host:port (got {address!r})", where="TF_CONFIG")
    return host, int(port)
