"""What tests of pipelines on a server share: a small pipeline's file, and a server that is a fake."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kubeflow_fake import kubeflow
from support.tiny_pipeline import compiled

from bodyposenet.pipelines.server.access import HOST, NAMESPACE
from bodyposenet.pipelines.server.errors import COOKIES, TOKEN, TOKEN_FILE


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """A compiled pipeline of a few small tasks."""
    return compiled(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def no_address(monkeypatch) -> None:
    """The environment names neither a server of Kubeflow nor one of MLflow."""
    for name in (HOST, NAMESPACE, TOKEN, TOKEN_FILE, COOKIES, "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fake(no_address, monkeypatch) -> Iterator:
    """A server of Kubeflow whose address the environment names."""
    with kubeflow() as running:
        monkeypatch.setenv(HOST, running.url)
        yield running
