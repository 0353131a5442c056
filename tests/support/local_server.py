"""A server of the tests: a process of its own on a free port of this machine, its log in a folder."""

import contextlib
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

PATIENCE = 180  # seconds until it must answer; MLflow's takes 20 on two busy cores


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str], asked: str, folder: Path, environment: Mapping[str, str], log: str = "server.log"
) -> Iterator[None]:
    """Run a server from its first answer until the block ends.

    Args:
        command: Starts it.
        asked: The address that it answers when it is ready; one that says who may not ask is an answer, too.
        folder: Where it runs.
        environment: All that it has.
        log: The file in the folder that it writes to. (A pipe that nobody reads would block it after 64 KB.)

    Raises:
        RuntimeError: It ended, or does not answer.
    """
    with (folder / log).open("wb") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=said, stderr=said, start_new_session=True
        )
        try:
            _wait_for(asked, process, folder / log)
            yield
        finally:
            _stop(process)


def _wait_for(asked: str, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        if _is_ready(asked):
            return
        time.sleep(0.05)
    raise RuntimeError(f"{asked} does not answer:\n{log.read_text(errors='replace')[-3000:]}")


def _is_ready(asked: str) -> bool:
    """Ask a server; an error of its own, no answer, and nobody who listens mean that it is still starting."""
    try:
        urllib.request.urlopen(asked, timeout=5).close()
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False
    return True


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End a server with the processes that it began: they are a group of their own."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
