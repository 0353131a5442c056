"""Command line of runs on Kubeflow: ``bpnet pipeline wait``, ``stop`` and ``list``."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.printing import json_option, note, say
from bodyposenet.pipelines.cli.flags import connection_options

if TYPE_CHECKING:
    from bodyposenet.pipelines.server.connection import Server


@click.command(
    "wait",
    cls=ErrorHandlingCommand,
    epilog=example("bpnet pipeline wait 'nightly 2026-11-29' --host http://kfp:8080"),
)
@click.argument("named", metavar="RUN")
@connection_options
@json_option
def wait_for_run(named: str, host: str | None, namespace: str | None) -> None:
    """Follow a run on Kubeflow to its end; exit code 1 if it does not succeed.

    RUN is its id or its name; of several runs of one name it is the one that goes on, or else the newest. Ctrl-C ends
    the waiting, not the run.
    """
    from bodyposenet.pipelines.runs.find import find_run
    from bodyposenet.pipelines.server.connection import Server

    server = Server(host, namespace)
    run_id = str(find_run(server, named).run_id)
    say(f"run {run_id}: {server.page(run_id)}", run=run_id, page=server.page(run_id))
    follow_run(server, run_id)


@click.command(
    "stop",
    cls=ErrorHandlingCommand,
    epilog=example("bpnet pipeline stop 1de6e1a5-c053-4d75-904e-ecc3c8a23f2a --host http://kfp:8080"),
)
@click.argument("named", metavar="RUN")
@connection_options
def stop_run(named: str, host: str | None, namespace: str | None) -> None:
    """End a run on Kubeflow; one that has ended already is left alone.

    RUN is its id or its name; of several runs of one name it is the one that goes on. Its tasks are killed; what they
    have logged stays.
    """
    from bodyposenet.pipelines.runs.find import find_run
    from bodyposenet.pipelines.runs.follow import ENDED
    from bodyposenet.pipelines.server.connection import Server

    server = Server(host, namespace)
    run = find_run(server, named)
    about = f"run {run.run_id} ({run.display_name})"
    if run.state in ENDED:
        say(f"{about} has ended already: {run.state}")
        return
    server.stop(str(run.run_id))
    say(f"{about} is being ended; bpnet pipeline wait {run.run_id} tells when it has")


@click.command(
    "list",
    cls=ErrorHandlingCommand,
    epilog=example("bpnet pipeline list --experiment nightly --limit 5 --host http://kfp:8080"),
)
@click.option("--experiment", help="Only runs that are filed there.  [default: all]")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many, at most.")
@connection_options
@json_option
def list_runs(experiment: str | None, limit: int, host: str | None, namespace: str | None) -> None:
    """List the newest runs on Kubeflow: name, state, start, duration, id."""
    from bodyposenet.pipelines.runs.find import format_list, list_newest
    from bodyposenet.pipelines.server.connection import Server

    runs = list_newest(Server(host, namespace), experiment, limit)
    say("\n".join(format_list(runs)), runs=[asdict(run) for run in runs])


def follow_run(server: "Server", run_id: str) -> None:
    """Follow a run to its end; whoever presses Ctrl-C is told that it goes on."""
    from bodyposenet.pipelines.runs.follow import View, follow

    view = View()
    try:
        follow(server, run_id, view)
    except KeyboardInterrupt:
        note(f"the run goes on: {server.page(run_id)}; wait again: bpnet pipeline wait {run_id}")
        raise
    finally:
        say(**view.end)
