"""Local: the committed pipelines as ``kfp.local`` runs them, on this machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bodyposenet.common.kubeflow.yaml_text import dump_documents, load_documents

COMPILED = Path(__file__).parents[1] / "compiled"


def read_compiled(name: str) -> list[dict[str, Any]]:
    """The documents of a compiled pipeline: what it is, and, for a cluster, what else it wants there.

    Args:
        name: Of its file, without the ending.
    """
    return load_documents((COMPILED / f"{name}.yaml").read_text(encoding="utf-8"))


def compile_without_retries(name: str) -> Any:
    """A compiled pipeline whose tasks are not tried again: what fails on this machine fails at once the next time, too.

    Args:
        name: Of its file, without the ending.

    Returns:
        What runs it when it is called with its arguments.
    """
    from kfp import components

    documents = read_compiled(name)
    for task in _tasks(documents[0]):
        task.pop("retryPolicy", None)
    return components.load_component_from_text(dump_documents(documents))


def _tasks(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (document["root"], *document["components"].values()):
        yield from part.get("dag", {}).get("tasks", {}).values()
