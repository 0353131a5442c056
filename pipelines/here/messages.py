"""Messages: what the processes of a run tell each other, a line of JSON each."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Literal

State = Literal["started", "done", "kept", "failed"]


@dataclass(frozen=True)
class News:
    """What became of a stage.

    Attributes:
        stage: Its title.
        state: ``kept`` is done, by an earlier run.
        component: What it runs.
        seconds: Since it started.
        numbers: What it put out, as far as that is numbers: parameters by their name, metrics as ``artifact.name``.
        files: Where its artifacts are, by their names.
        reason: Why it failed.
    """

    stage: str
    state: State
    component: str = ""
    seconds: float = 0.0
    numbers: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Ordered:
    """A task that is to run in a process of its own.

    Attributes:
        target: A function as ``module:name``.
        arguments: It is called with.
        result: File that gets the numbers it returns, where somebody wants them.
    """

    target: str
    arguments: dict[str, Any]
    result: str = ""


def write_line(file: IO[str], message: Any) -> None:
    """Write a message, whole and at once."""
    file.write(json.dumps(message if isinstance(message, Mapping) else asdict(message)) + "\n")
    file.flush()
