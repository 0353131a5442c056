"""Schedule apply: make what is declared true, so that no run is lost and none is started twice.

Kubeflow cannot change a recurring run (kubeflow/pipelines#3789). A changed one is replaced in four steps: the new one
is made disabled, the old one is disabled, the new one is enabled, the old one is deleted. Whatever fails in between,
one of the two is whole, never do both run, and doing it all again ends where it should.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.pipelines.names import check_name
from bodyposenet.pipelines.parameters import sendable
from bodyposenet.pipelines.schedules.schedule_plan import Change, describe_run, plan, read
from bodyposenet.pipelines.schedules.schedules import Declared
from bodyposenet.pipelines.server import Server
from bodyposenet.pipelines.submit import Say, Uploaded, find_version, upload


def plan_changes(server: Server, declared: Sequence[Declared], owner: str) -> list[Change]:
    """Compare a server with what is declared.

    Raises:
        UserError: The server cannot store a name or a description; nothing was changed.
    """
    for each in declared:
        _check_names(each, owner)
    packages = {each.package.version: each.package for each in declared}
    uploaded = {version: find_version(server, package) for version, package in packages.items()}
    return plan(declared, [read(recurring) for recurring in server.schedules()], uploaded, owner)


def _check_names(declared: Declared, owner: str) -> None:
    for what, text in (
        ("schedule", declared.schedule.name),
        ("experiment", declared.schedule.experiment),
        ("pipeline", declared.package.name),
        ("version", declared.package.version),
        ("description", describe_run(declared, owner)),
    ):
        check_name(what, text)


def apply(server: Server, changes: Sequence[Change], owner: str, say: Say) -> None:
    """Make changes, telling each once it is made.

    Raises:
        UserError: The server refuses one, or does not answer. Those before it are made.
    """
    for done, change in enumerate(changes):
        try:
            _make(server, change, owner)
        except UserError as error:
            told = f"{done} of {len(changes)} schedules are as declared, run this again for the rest"
            fix = "; ".join(part for part in (error.fix, told) if part)
            raise type(error)(error.problem, where=f"{change.name}: {error.where}", fix=fix) from None
        for line in change.describe(datetime.now(UTC)):
            say(line)


def _make(server: Server, change: Change, owner: str) -> None:
    declared = change.declared
    if declared is None:
        for each in change.present:
            server.switch(each.id, on=False)
    elif change.kind == "new":
        server.new_schedule(_recurring(server, declared, owner, on=declared.schedule.enabled))
    elif change.kind == "changed":
        _replace(server, change, declared, owner)


def _replace(server: Server, change: Change, declared: Declared, owner: str) -> None:
    """Let one recurring run take the place of all others of its name."""
    keep = change.keep
    kept = keep.id if keep else server.new_schedule(_recurring(server, declared, owner, on=False))
    others = [each for each in change.present if each is not keep]
    for each in others:
        if each.enabled:
            server.switch(each.id, on=False)
    if (keep is not None and keep.enabled) != declared.schedule.enabled:
        server.switch(kept, declared.schedule.enabled)
    for each in others:
        server.delete_schedule(each.id)


def _recurring(server: Server, declared: Declared, owner: str, *, on: bool) -> Any:
    """A declared schedule as the server takes it."""
    import kfp_server_api as api

    schedule, uploaded = declared.schedule, upload(server, declared.package)
    return api.V2beta1RecurringRun(
        display_name=schedule.name,
        description=describe_run(declared, owner),
        experiment_id=server.experiment(schedule.experiment.strip()),
        pipeline_version_reference=_reference(uploaded),
        runtime_config=api.V2beta1RuntimeConfig(parameters=sendable(declared.values)),
        trigger=_trigger(declared),
        mode=api.RecurringRunMode.ENABLE if on else api.RecurringRunMode.DISABLE,
        max_concurrency=str(schedule.max_concurrency),
        no_catchup=schedule.no_catchup,
    )


def _reference(uploaded: Uploaded) -> Any:
    import kfp_server_api as api

    return api.V2beta1PipelineVersionReference(pipeline_id=uploaded.pipeline, pipeline_version_id=uploaded.version)


def _trigger(declared: Declared) -> Any:
    import kfp_server_api as api

    schedule = declared.schedule
    span = {"start_time": schedule.start_time, "end_time": schedule.end_time}
    if schedule.interval is not None:
        every = str(schedule.interval)
        return api.V2beta1Trigger(periodic_schedule=api.V2beta1PeriodicSchedule(interval_second=every, **span))
    return api.V2beta1Trigger(cron_schedule=api.V2beta1CronSchedule(cron=schedule.cron, **span))
