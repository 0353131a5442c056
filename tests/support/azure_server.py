"""An Azure storage server: Azurite, Microsoft's own for this, on a free port of this machine."""

import contextlib
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.gcs_server import free_port

ROOT = Path(__file__).parents[2]
AZURITE = ROOT / ".venv/azurite/node_modules/azurite/dist/src/blob/main.js"  # make test brings it
PATIENCE = 60  # seconds until it must answer
ACCOUNT = "tester"
KEY = "c2VjcmV0LW9mLXRlc3Rlcg=="


@contextlib.contextmanager
def azure_server(folder: Path) -> Iterator[str]:
    """Run a server and yield its URL; it ends with the block.

    Args:
        folder: Gets the server's log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    node = shutil.which("node")
    assert node, "these tests need node"
    flags = ["--blobHost", "127.0.0.1", "--blobPort", str(port), "--inMemoryPersistence", "--disableTelemetry"]
    environment = {"PATH": os.environ["PATH"], "AZURITE_ACCOUNTS": f"{ACCOUNT}:{KEY}"}
    with (folder / "azure.log").open("wb") as log:
        command = [node, str(AZURITE), *flags, "--silent", "--skipApiVersionCheck"]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=environment)
        try:
            _wait_for(server, url, folder / "azure.log")
            yield url
        finally:
            server.terminate()
            server.wait(20)


def _wait_for(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and server.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:  # it answers, though not to those whom it does not know
            return
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    raise RuntimeError(f"the Azure server does not answer:\n{log.read_text(errors='replace')}")


def connection(url: str) -> str:
    """What AZURE_STORAGE_CONNECTION_STRING is to say."""
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url}/{ACCOUNT};"


def make_container(url: str, name: str) -> None:
    """Make an empty container."""
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(connection(url)) as service:
        service.create_container(name).close()
