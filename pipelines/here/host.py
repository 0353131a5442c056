"""Host: loads the libraries once, and forks a process for each task, so that twenty tasks need not load them again.

python -m bodyposenet.pipelines.here.host, with a job on standard input that stays open for as long as the run is wanted
"""

import atexit
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from bodyposenet.pipelines.here.family import die_with_parent
from bodyposenet.pipelines.here.messages import Ordered, write_line
from bodyposenet.pipelines.here.work import carry_out

LIBRARIES = (
    "kfp.dsl.executor_main", "mlflow.store.tracking.sqlalchemy_store", "tensorflow", "keras", "pycocotools.cocoeval",
    *(f"bodyposenet.common.{name}" for name in ("tasks", "model.training.train", "evaluation.evaluate")),
)  # fmt: skip
CHUNK = 1 << 16  # bytes
FORKS = sys.platform == "linux"  # macOS' own libraries do not work in a fork
READY = b"ready\n"  # the first line that the graph's process gets


@dataclass(frozen=True)
class Ties:
    """What the host listens to.

    Attributes:
        life: Descriptor that is at its end as soon as nobody wants the run.
        tasks: Where the graph asks for processes.
        told: Descriptor that has something to read when a process has ended.
    """

    life: int
    tasks: socket.socket
    told: int


def main() -> None:
    """Load, start the graph's process, serve it, and end with its exit code."""
    die_with_parent(signal.SIGKILL)
    job = read_line(0)
    news = os.dup(1)
    os.dup2(2, 1)  # what a library prints is for the log
    ours, theirs = socket.socketpair()
    graph = start_graph(job, news, theirs)
    theirs.close()
    os.close(news)
    if FORKS:
        load(LIBRARIES)
    die_with_parent(0)  # from here on there are others to end, too: see serve
    ours.sendall(READY)
    code = serve(Ties(0, ours, hear_of_children()), graph)
    sys.exit(code)


def read_line(descriptor: int) -> bytes:
    """A line, without reading beyond it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            sys.exit(1)
        line += byte
    return bytes(line)


def start_graph(job: bytes, news: int, tasks: socket.socket) -> subprocess.Popen[bytes]:
    """Start the process that walks through the graph; it loads what it needs while the host does."""
    command = [sys.executable, "-m", "bodyposenet.pipelines.here.graph", str(news), str(tasks.fileno())]
    graph = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=(news, tasks.fileno()))
    if graph.stdin:
        graph.stdin.write(job)
        graph.stdin.close()
    return graph


def load(names: tuple[str, ...]) -> None:
    """Import what the tasks will import; what is not installed is for the task to tell that needs it."""
    from bodyposenet.common.tracking.mlflow_store import quiet_mlflow

    os.environ["_KFP_RUNTIME"] = "true"  # as in kfp's own command: the part of kfp that a task needs
    with warnings.catch_warnings(), quiet_mlflow():
        warnings.simplefilter("ignore")
        for name in names:
            with suppress(ImportError):
                importlib.import_module(name)


def hear_of_children() -> int:
    """A descriptor that has something to read when a process has ended."""
    told, tell = os.pipe()
    for end in (told, tell):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    return told


def serve(ties: Ties, graph: subprocess.Popen[bytes]) -> int:
    """Fork a process for each task that the graph asks for, until the graph's own has ended.

    Returns:
        Its exit code; in a forked process this does not return.
    """
    buffer, worker = bytearray(), 0
    while True:
        watched: list[int | socket.socket] = [ties.life, ties.tasks, ties.told]
        ready = select.select(watched, [], [])[0]
        if ties.life in ready:
            end_all()
        if ties.told in ready:
            os.read(ties.told, 4096)
            worker = answer(ties.tasks, worker)
            code = graph.poll()
            if code is not None:
                return code
        if ties.tasks in ready:
            chunk = ties.tasks.recv(CHUNK)
            if not chunk:
                return graph.wait()
            buffer += chunk
        if buffer.endswith(b"\n"):
            task = Ordered(**json.loads(buffer))
            worker = fork(task, ties) if FORKS else spawn(task)
            buffer.clear()


def answer(tasks: socket.socket, worker: int) -> int:
    """Tell the graph how its task ended, if it has, and what processor time it took.

    Returns:
        The process that is still to end, or 0.
    """
    if not worker:
        return 0
    ended, status, used = os.wait4(worker, os.WNOHANG)
    if not ended:
        return worker
    tasks.sendall(f"{os.waitstatus_to_exitcode(status)} {used.ru_utime + used.ru_stime:.1f}\n".encode())
    return 0


def fork(task: Ordered, ties: Ties, work: Callable[[Ordered], None] = carry_out) -> int:
    """Start a task in a process that has loaded the libraries already; returns its id, and in that process never."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of BLAS: its own handlers see to them
        worker = os.fork()
    if worker:
        return worker
    code = 1
    try:
        leave(ties)
        code = end_code(lambda: work(task))
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)  # as multiprocessing ends its forks: to take the libraries down again costs seconds


def spawn(task: Ordered) -> int:
    """Start a task in a process that loads the libraries itself; returns its id."""
    worker = subprocess.Popen(
        [sys.executable, "-m", "bodyposenet.pipelines.here.work"], stdin=subprocess.PIPE, text=True
    )
    if worker.stdin:
        write_line(worker.stdin, task)
        worker.stdin.close()
    worker.returncode = 0  # whoever waits for it is not this object
    return worker.pid


def leave(ties: Ties) -> None:
    """Let go of what is the host's alone."""
    die_with_parent(signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor in (ties.told, ties.tasks.detach()):
        os.close(descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)


def end_code(work: Callable[[], None]) -> int:
    """Do the work; returns the exit code that the interpreter would end with."""
    try:
        work()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def end_all() -> None:
    """End every process of the run, this one with them."""
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
