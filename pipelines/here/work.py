"""Work: a task in the process that the host started for it.

python -m bodyposenet.pipelines.here.work, with the task on standard input, where the host cannot fork
"""

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.tasks.failure import report_failures
from bodyposenet.pipelines.here.messages import Ordered


def carry_out(task: Ordered) -> None:
    """Call the function that a task names, and keep what it returns where that is wanted."""
    module, _, name = task.target.partition(":")
    work = getattr(importlib.import_module(module), name)
    found = (report_failures(work) if task.result else work)(
        **task.arguments
    )  # components tell of their failures themselves
    if task.result:
        with whole_file(Path(task.result)) as file:
            file.write(json.dumps(found).encode())


def run_component(command: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a component as its compiled command does, without the interpreter that would be started.

    Args:
        command: ``python3 -c CODE ARGUMENTS…``, as ``kfp.local`` has filled it in.
        variables: Of the environment.
    """
    os.environ.update(variables)
    _, _, code, *arguments = command
    sys.argv = ["-c", *arguments]
    exec(code, {"__name__": "__main__"})


if __name__ == "__main__":
    carry_out(Ordered(**json.loads(sys.stdin.read())))
