"""Containers that end before anybody asks how: each is told by its exit code (kubeflow/pipelines#13332)."""

import pytest
from support.container_runner import run_container

pytestmark = pytest.mark.docker


def test_containers_that_fail_at_once_are_no_successes_and_none_is_left(client, deploy_image):
    before = client.containers.list(all=True)
    codes = range(1, 21)
    found = [
        run_container(client, deploy_image[1].id, ["sh", "-c", f"exit {code}"], {}, network_mode="none")
        for code in codes
    ]
    assert found == list(codes)
    assert client.containers.list(all=True) == before
