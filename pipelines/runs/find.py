"""Find: the runs of a server, by their ids, their names, or their age."""

import contextlib
import difflib
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.terminal import spell
from bodyposenet.pipelines.runs.follow import ENDED, measure
from bodyposenet.pipelines.runs.nodes import read_time
from bodyposenet.pipelines.server.connection import Server
from bodyposenet.pipelines.server.errors import MissingError

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NEAR, AMONG = 3, 200  # names that are told, of so many of the newest runs
HEADINGS = ("name", "state", "started", "duration", "id")


@dataclass(frozen=True)
class Listed:
    """A run as ``bpnet pipeline list`` shows it.

    Attributes:
        name: That it was given.
        state: Kubeflow's word for it.
        started: When it was made, as ISO 8601 in UTC.
        seconds: How long it took, or has taken.
        id: Kubeflow's.
    """

    name: str
    state: str
    started: str
    seconds: float
    id: str


def find_run(server: Server, named: str) -> Any:
    """Find a run by its id or its name: of several of one name the one that goes on, or else the newest.

    Raises:
        UserError: There is none, or several of this name go on.
    """
    if ID.fullmatch(named.strip().lower()):
        with contextlib.suppress(MissingError):
            return server.run(named.strip().lower())
    runs = list(server.list_runs(name=named.strip()))
    busy = [run for run in runs if run.state not in ENDED]
    if len(busy) > 1:
        ids = ", ".join(str(run.run_id) for run in busy)
        raise UserError(f"{len(busy)} runs of this name go on", where=named, fix=f"say which, by its id: {ids}")
    if not runs:
        raise _tell_near(server, named)
    return (busy or runs)[0]


def _tell_near(server: Server, named: str) -> UserError:
    """Say that there is no such run, and what those are called that are there."""
    runs = itertools.islice(server.list_runs(), AMONG)
    names = list(dict.fromkeys(str(run.display_name) for run in runs))
    near = difflib.get_close_matches(named, names, n=NEAR, cutoff=0.4) or names[:NEAR]
    told = ", ".join(repr(name) for name in near)
    fix = f"did you mean {told}? bpnet pipeline list shows more" if near else "there are no runs yet"
    return UserError("no such run", where=named, fix=fix)


def list_newest(server: Server, experiment: str | None, limit: int) -> list[Listed]:
    """List the newest runs, of one experiment or of all.

    Args:
        server: That has them.
        experiment: Its name; None lists those of all.
        limit: How many, at most.

    Raises:
        UserError: There is no such experiment.
    """
    found = server.find_experiment(experiment.strip()) if experiment else None
    if experiment and not found:
        raise UserError("no such experiment", where=experiment, fix="leave --experiment out to see the runs of all")
    now = datetime.now(UTC)
    runs = itertools.islice(server.list_runs(experiment=found), limit)
    listed = []
    for run in runs:
        began = read_time(run.created_at)
        started = f"{began:%Y-%m-%dT%H:%M:%SZ}" if began else ""
        state = str(run.state or "PENDING")
        listed.append(Listed(str(run.display_name), state, started, measure(run, now), str(run.run_id)))
    return listed


def format_list(runs: list[Listed]) -> Iterator[str]:
    """Format runs as a table with headings."""
    rows = [HEADINGS, *((run.name, run.state, run.started, spell(run.seconds), run.id) for run in runs)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        yield "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
