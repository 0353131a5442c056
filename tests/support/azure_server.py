"""An Azure storage server: Azurite, Microsoft's own for this, on a free port of this machine."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from support.local_server import free_port, running

ROOT = Path(__file__).parents[2]
AZURITE = ROOT / ".venv/azurite/node_modules/azurite/dist/src/blob/main.js"  # make test brings it
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
    command = [node, str(AZURITE), *flags, "--silent", "--skipApiVersionCheck"]
    with running(command, url, folder, environment, "azure.log"):
        yield url


def connection(url: str) -> str:
    """What AZURE_STORAGE_CONNECTION_STRING is to say."""
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={url}/{ACCOUNT};"


def make_container(url: str, name: str) -> None:
    """Make an empty container."""
    from azure.storage.blob import BlobServiceClient

    with BlobServiceClient.from_connection_string(connection(url)) as service:
        service.create_container(name).close()
