"""Worker pool: processes that do jobs side by side, and go when this process goes."""

import contextlib
import os
import pickle
import queue
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from bodyposenet.common.errors import UserError

T = TypeVar("T")

AHEAD = 2  # jobs that a worker has: one it does and the next
QUOTA = Path("/sys/fs/cgroup/cpu.max")
_START = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({number})"


def cores() -> int:
    """How many processes this machine, or this container's share of it, can run at once."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = QUOTA.read_text(encoding="utf-8").split()
        return max(1, min(usable, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return usable


class WorkerPool:
    """Workers, started when the pool is entered and ended when it is left, whatever they do by then.

    A worker is a fresh Python process: it shares no thread, lock or open file with this one, and does not run the
    program's main module again. It ends by itself when this process is killed.

    Args:
        processes: How many; one job at a time is done in this process where that is 1.
    """

    def __init__(self, processes: int) -> None:
        self.processes = processes
        self._workers: list[_Worker] = []

    def __enter__(self) -> "WorkerPool":
        try:
            while self.processes > 1 and len(self._workers) < self.processes:
                self._workers.append(_Worker())
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def run(self, jobs: Iterable[Callable[[], T]]) -> Iterator[T]:
        """Do jobs, and yield what they return as they end, in any order.

        Args:
            jobs: Picklable where there are several processes; taken as workers get free.

        Raises:
            UserError: A worker was killed.
            Exception: What a job raises.
        """
        if not self._workers:
            yield from (job() for job in jobs)
            return
        waiting = iter(jobs)
        for _ in range(AHEAD):
            for worker in self._workers:
                worker.give(next(waiting, None))
        while busy := {worker.connection: worker for worker in self._workers if worker.jobs}:
            for connection in wait(list(busy)):
                worker = busy[connection]  # type: ignore[index]
                made = worker.take()
                worker.give(next(waiting, None))
                yield made

    def end(self) -> None:
        """Stop the workers, whatever they do."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            worker.process.wait()
            worker.connection.close()
        self._workers.clear()


class _Worker:
    """A process, and the pipe to it."""

    def __init__(self) -> None:
        self.jobs = 0
        self.connection, other = Pipe()
        with other:
            code = _START.format(path=sys.path, module=__name__, number=other.fileno())
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=[other.fileno()],
                process_group=0,  # Ctrl-C is for this process to hear
            )

    def give(self, job: Callable[[], Any] | None) -> None:
        if job is None:
            return
        try:
            self.connection.send_bytes(pickle.dumps(job, protocol=pickle.HIGHEST_PROTOCOL))
        except (BrokenPipeError, ConnectionResetError):
            raise self._report_loss() from None
        self.jobs += 1

    def take(self) -> Any:
        """What a job returned."""
        try:
            good, made = self.connection.recv()
        except (EOFError, ConnectionResetError):
            raise self._report_loss() from None
        self.jobs -= 1
        if not good:
            raise made
        return made

    def _report_loss(self) -> UserError:
        code = self.process.wait()
        how = f"killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return UserError(
            f"a worker process was {how}" if code < 0 else f"a worker process {how}",
            fix="run it again: it goes on where it stopped; with less memory, use fewer processes",
        )


def serve(number: int) -> None:
    """What a worker does: jobs that come through a pipe, until its other end is gone.

    Args:
        number: The pipe's file descriptor.
    """
    connection = Connection(number)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(connection, jobs), daemon=True).start()
    while True:
        with contextlib.suppress(OSError):  # the other end has gone: _listen ends this process
            connection.send(_try(jobs.get()))


def _listen(connection: Connection, jobs: "queue.SimpleQueue[bytes]") -> None:
    """Take jobs off the pipe; end this process, even amid a job, when the one that gives them has gone."""
    while True:
        try:
            jobs.put(connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(0)


def _try(job: bytes) -> tuple[bool, Any]:
    try:
        return True, pickle.loads(job)()
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note("in a worker process:\n" + traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return False, RuntimeError(traceback.format_exc())
        return False, error
