"""kfp's runner of containers, with an exit code that can be trusted.

kfp removes a container when it ends and takes one that is gone already for a success (kubeflow/pipelines#13332). Here
it is asked first and removed then.
"""

import contextlib
from collections.abc import Iterator

import kfp.local.docker_task_handler as handler
import pytest

# As Kubernetes' readOnlyRootFilesystem with an emptyDir at /tmp.
READ_ONLY = {"read_only": True, "tmpfs": {"/tmp": "exec,mode=1777"}}


def run_container(client, image, command, volumes, **options):
    """Run a container to its end and return its exit code; what it says is printed."""
    container = client.containers.create(image, command, volumes=volumes, **options)
    try:
        container.start()
        for line in container.logs(stream=True, follow=True):
            print(line.decode(errors="replace"), end="")
        return container.wait()["StatusCode"]
    finally:
        container.remove(force=True)


@contextlib.contextmanager
def trusted_exit_codes() -> Iterator[None]:
    """Within it kfp runs containers so."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(handler, "run_docker_container", run_container)
        yield
