"""Local: the committed pipelines as ``kfp.local`` runs them, on this machine."""

from typing import Any

import yaml
from kfp import components

from bodyposenet.pipelines.compile import COMPILED


def tried_once(name: str) -> Any:
    """A compiled pipeline whose tasks are not tried again: what fails on this machine fails at once the next time, too.

    Args:
        name: Of its file, without the ending.

    Returns:
        What runs it when it is called with its arguments.
    """
    documents = list(yaml.safe_load_all((COMPILED / f"{name}.yaml").read_text(encoding="utf-8")))
    for part in (documents[0]["root"], *documents[0]["components"].values()):
        for task in part.get("dag", {}).get("tasks", {}).values():
            task.pop("retryPolicy", None)
    return components.load_component_from_text(yaml.safe_dump_all(documents))
