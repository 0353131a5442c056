"""Dry run: the flag --dry-run, and the sentences in which a verb says what it would do."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from bodyposenet.common.cli.printing import say
from bodyposenet.common.pages.numbers import size
from bodyposenet.common.steps.preview import examine_folder
from bodyposenet.common.storage.location import Location

F = TypeVar("F", bound=Callable[..., Any])
TEXT = "Read and check what is given, say what would be done, and write nothing."


def dry_run_option(function: F) -> F:
    """``--dry-run``: the verb gets it as ``dry_run``."""
    return click.option("--dry-run", is_flag=True, help=TEXT)(function)


def say_plan(
    what: Sequence[str],
    folder: str | Path | Location,
    files: Sequence[str],
    *,
    needed: int = 0,
    **numbers: object,
) -> None:
    """Say what a verb would do and write; see whether it could write that.

    Args:
        what: What it would do, each to go on after "would".
        folder: Where it would write.
        files: What.
        needed: Bytes that it would write at least, as far as that is known.
        **numbers: Keys of the document of ``--json``.

    Raises:
        UserError: It could not write there: see :func:`bodyposenet.common.steps.preview.examine_folder`.
    """
    free = examine_folder(folder, needed=needed)
    room = "" if free is None else f", with {size(free)} free"
    lines = [*what, f"write {', '.join(files)} to {folder}{room}"]
    say("\n".join(f"would {line}" for line in lines), **numbers)
    say("nothing was written", dry_run=True, folder=folder, files=files, free_bytes=free)
