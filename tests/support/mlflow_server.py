"""A real MLflow server on this machine: a database in a folder, and artifacts that only it reads and writes."""

import os
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.documents import SHELL, blocks_of
from support.gcs_server import free_port

PATIENCE = 180  # seconds; it takes 20 on two busy cores


@contextmanager
def serving(folder, *command, path="/health", env=None):
    """Run ``python -m mlflow <command>`` on a free port until the block ends; gives the address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    where = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    settings["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # where uvicorn is
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", *command, *where],
            cwd=folder, env=kept | settings | (env or {}), stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            wait_for(address + path, process, folder / "server.log")
            yield address
        finally:
            stop(process)


def wait_for(address, process, log):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    pytest.fail(f"{address} does not answer:\n{log.read_text()[-3000:]}")


def stop(process):
    """End the server with the processes that it began: they are a group of their own."""
    if process.poll() is None:
        os.killpg(process.pid, 15)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.wait()


def tracking_server(folder):
    """A tracking server, started as docs/tracking.md says, in a folder; its artifacts go through it."""
    (line,) = (block.text for block in blocks_of("docs/tracking.md", SHELL) if block.text.startswith("mlflow server"))
    _, *words = shlex.split(line.replace("/srv", str(folder)))
    return serving(folder, *words)
