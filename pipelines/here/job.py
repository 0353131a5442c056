"""Job: what is to be run here."""

from dataclasses import dataclass, field
from typing import Any

Extra = dict[str, Any]  # component, target and arguments of a task that is not part of the pipeline


@dataclass(frozen=True)
class Job:
    """A run.

    Attributes:
        pipeline: Name of a compiled pipeline.
        arguments: Of the pipeline.
        root: Folder of the artifacts.
        cache: Folder that remembers finished tasks.
        before: Tasks to run before the pipeline, by their titles.
        after: Tasks to run after it, which are told as ``made`` where the artifacts of each stage are.
        results: Folder for what these tasks return.
    """

    pipeline: str
    arguments: dict[str, Any]
    root: str
    cache: str
    before: dict[str, Extra] = field(default_factory=dict)
    after: dict[str, Extra] = field(default_factory=dict)
    results: str = ""
