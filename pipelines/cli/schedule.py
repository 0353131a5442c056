"""Command line of the schedules: ``bpnet schedule …`` makes a folder of them true, ``bpnet pipeline schedule`` one."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bodyposenet.common.cli.launcher import ErrorHandlingCommand
from bodyposenet.common.cli.options import example
from bodyposenet.common.cli.printing import json_option, say
from bodyposenet.common.cli.verb_group import WholeSentences
from bodyposenet.common.pages.numbers import pluralize
from bodyposenet.pipelines.cli.flags import connection_options, parameter_options

if TYPE_CHECKING:
    from bodyposenet.pipelines.schedules.schedule_plan import Change

F = TypeVar("F", bound=Callable[..., Any])
DIFFERS = 1  # exit code of a diff that found something
BY_HAND = "by-hand"  # the set of what bpnet pipeline schedule makes
CLOCK = "Times are UTC, if Kubeflow's controller runs in UTC (its CRON_SCHEDULE_TIMEZONE)."


@click.group("schedule", cls=WholeSentences)
def schedule() -> None:
    """Compare the declared schedules with Kubeflow's, or make them true."""


def declaration_options(function: F) -> F:
    """The folder of the declarations, and the set that they are."""
    folder = click.argument("folder", default="manifests/schedules", type=click.Path(path_type=Path))
    text = "Name of this folder's schedules among others on the same Kubeflow; only its own are disabled."
    return folder(
        click.option("--set", "owner", default="default", show_default=True, help=text)(connection_options(function))
    )


@schedule.command("diff", cls=ErrorHandlingCommand, epilog=example("bpnet schedule diff --host http://kfp:8080"))
@declaration_options
@json_option
@click.pass_context
def diff(ctx: click.Context, folder: Path, owner: str, host: str | None, namespace: str | None) -> None:
    """Show what apply would change. Exit code 1 if that is anything, 2 for an error."""
    from bodyposenet.pipelines.schedules.schedule_apply import check_names, plan_changes
    from bodyposenet.pipelines.schedules.schedules import read_folder
    from bodyposenet.pipelines.server.connection import Server

    declared = read_folder(folder)
    check_names(declared, owner)
    changes = plan_changes(Server(host, namespace), declared, owner)
    for change in changes:
        say("\n".join(change.describe(datetime.now(UTC))))
    differ = sum(change.kind != "same" for change in changes)
    say(f"{differ} of {pluralize(len(changes), 'schedule')} would change. {CLOCK}", **_list_changes(changes))
    ctx.exit(DIFFERS if differ else 0)


@schedule.command("apply", cls=ErrorHandlingCommand, epilog=example("bpnet schedule apply --host http://kfp:8080"))
@declaration_options
@json_option
def apply_all(folder: Path, owner: str, host: str | None, namespace: str | None) -> None:
    """Make Kubeflow run what FOLDER declares, and nothing twice.

    What is unchanged is left alone, what has changed is replaced, and a schedule whose file is gone is disabled.
    """
    from bodyposenet.pipelines.schedules.schedule_apply import apply, check_names, plan_changes
    from bodyposenet.pipelines.schedules.schedules import read_folder
    from bodyposenet.pipelines.server.connection import Server

    declared = read_folder(folder)
    check_names(declared, owner)
    server = Server(host, namespace)
    changes = plan_changes(server, declared, owner)
    apply(server, changes, owner, say)
    differed = sum(change.kind != "same" for change in changes)
    say(f"{differed} of {pluralize(len(changes), 'schedule')} changed. {CLOCK}", **_list_changes(changes))


def _list_changes(changes: "Sequence[Change]") -> dict[str, object]:
    """What differs of each schedule, by the names of --json."""
    rows = [{"name": each.name, "kind": each.kind, "reasons": list(each.reasons)} for each in changes]
    return {"schedules": rows, "changes": sum(each.kind != "same" for each in changes)}


@click.command(
    "schedule",
    cls=ErrorHandlingCommand,
    epilog=example('bpnet pipeline schedule prune_retrain --name nightly --cron "0 0 2 * * *" -p model_name=mine'),
)
@click.argument("pipeline", metavar="NAME|FILE")
@click.option("--name", required=True, help="Of the schedule.")
@click.option("--cron", help="Six fields, seconds first.")
@click.option("--interval", help="In place of --cron: the time between two runs, such as 6h.")
@click.option("--experiment", help="Where its runs are filed.  [default: bodyposenet]")
@click.option("--no-cache", is_flag=True, help="Take no task from Kubeflow's cache.")
@click.option("--disabled", is_flag=True, help="Let it be there, and not run.")
@connection_options
@parameter_options
@json_option
def schedule_one(
    words: dict[str, str], host: str | None, namespace: str | None, no_cache: bool, disabled: bool, **given: Any
) -> None:
    """Run a pipeline by the clock.

    The same again changes nothing; anything else of this name replaces it. Schedules that are to last are better
    declared in files: bpnet schedule apply.
    """
    from bodyposenet.pipelines.schedules.schedule_apply import apply, check_names, plan_changes
    from bodyposenet.pipelines.schedules.schedules import from_flags
    from bodyposenet.pipelines.server.connection import Server

    declared = from_flags(words, {**given, "cache": not no_cache, "enabled": not disabled})
    check_names([declared], BY_HAND)
    server = Server(host, namespace)
    changes = plan_changes(server, [declared], BY_HAND)[:1]  # others made by hand stay
    apply(server, changes, BY_HAND, say)
    say(CLOCK, **_list_changes(changes))
