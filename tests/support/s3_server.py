"""An S3 server: moto's, which answers as Amazon's service does, on a free port of this machine."""

import contextlib
import os
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.local_server import free_port, running

KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "secret-of-tester", "AWS_DEFAULT_REGION": "us-east-1"}
RUN = """
import sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple
WSGIRequestHandler.protocol_version = "HTTP/1.1"
run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=True)
"""


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """Run a server and yield its URL; it ends with the block.

    Args:
        folder: Gets the server's log.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"PATH": os.environ["PATH"], **KEYS}
    command = [sys.executable, "-W", "ignore", "-c", RUN, str(port)]
    with running(command, f"{url}/moto-api/", folder, environment, "s3.log"):
        yield url


def make_s3_bucket(url: str, name: str) -> None:
    """Make an empty bucket."""
    request = urllib.request.Request(f"{url}/{name}", b"", {"Authorization": AUTHORIZATION}, method="PUT")
    urllib.request.urlopen(request, timeout=30).close()


# moto tells services apart by it, and checks nothing of it
AUTHORIZATION = "AWS4-HMAC-SHA256 Credential=tester/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=x"
