"""An image registry on this machine: Debian's, on a free port, with its images in a folder."""

import contextlib
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from support.local_server import free_port, running

PACKAGE = "docker-registry"  # Debian's, and its program's name
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
SETTINGS = """\
version: 0.1
log: {{accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}/images}}, delete: {{enabled: true}}}}
http: {{addr: "{address}"}}
"""


@contextlib.contextmanager
def image_registry(folder: Path) -> Iterator[str]:
    """Run a registry until the block ends; gives what stands before the names of its images."""
    address = f"127.0.0.1:{free_port()}"
    settings = folder / "registry.yml"
    settings.write_text(SETTINGS.format(folder=folder, address=address))
    with running([PACKAGE, "serve", str(settings)], f"http://{address}/v2/", folder, os.environ, "registry.log"):
        yield f"{address}/"


def digest_of(name: str) -> str:
    """What a registry says the digest of an image is, that has a tag."""
    address, _, rest = name.partition("/")
    repository, _, tag = rest.rpartition(":")
    url = f"http://{address}/v2/{repository}/manifests/{tag}"
    asked = urllib.request.Request(url, headers={"Accept": MANIFEST}, method="HEAD")
    with urllib.request.urlopen(asked) as answer:
        return str(answer.headers["Docker-Content-Digest"])
