"""Schedule apply: make what is declared true, so that no run is lost and none is started twice.

Kubeflow cannot change a recurring run (kubeflow/pipelines#3789). A changed one is replaced in four steps: the new one
is made disabled, the old one is disabled, the new one is enabled, the old one is deleted. Whatever fails in between,
one of the two is whole, never do both run, and doing it all again ends where it should.

A recurring run whose ScheduledWorkflow is gone looks as if it ran, and never does. Only who switches it is told, so
each is switched to what it is already, and made anew where that fails.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from bodyposenet.common.errors import UserError
from bodyposenet.pipelines.names import check_name
from bodyposenet.pipelines.parameters import sendable
from bodyposenet.pipelines.schedules.schedule_plan import Change, describe_run, plan, read
from bodyposenet.pipelines.schedules.schedules import SET, Declared
from bodyposenet.pipelines.server.connection import Server
from bodyposenet.pipelines.server.errors import GoneError
from bodyposenet.pipelines.submit import Say, Uploaded, find_version, upload


def plan_changes(server: Server, declared: Sequence[Declared], owner: str) -> list[Change]:
    """Compare a server with what is declared.

    Raises:
        UserError: Somebody else's recurring run has the name of one that is declared, and runs.
    """
    packages = {each.package.version: each.package for each in declared}
    uploaded = {version: find_version(server, package) for version, package in packages.items()}
    return plan(declared, [read(recurring) for recurring in server.schedules()], uploaded, owner)


def check_names(declared: Sequence[Declared], owner: str) -> None:
    """Hold all that is to be stored to what Kubeflow can store; to be asked before anything is sent.

    Raises:
        UserError: It cannot store a name, or a description; or the set's name could not be found again.
    """
    if not SET.fullmatch(owner):
        raise UserError("a set is called by letters, digits, dots and dashes", where=owner or "--set", fix="rename it")
    for each in declared:
        check_name("schedule", each.schedule.name)
        check_name("experiment", each.schedule.experiment)
        check_name("pipeline", each.package.name)
        check_name("version", each.package.version)
        check_name("description", describe_run(each, owner))


def apply(server: Server, changes: Sequence[Change], owner: str, say: Say) -> None:
    """Make changes, telling each once it is made; one that fails does not keep the others from being made.

    Raises:
        UserError: With every change that the server refused or did not answer.
    """
    failures = []
    for change in changes:
        try:
            made = _make(server, change, owner)
        except UserError as error:
            failures.append(f"{change.name}: {error}")
            continue
        for line in made.describe(datetime.now(UTC)):
            say(line)
    if failures:
        others = "; the others are as declared" if len(failures) < len(changes) else ""
        told = [f"{len(failures)} of {len(changes)} schedules failed{others}"] if len(changes) > 1 else []
        first, *more = [*told, *failures]
        raise UserError(first, more=[f"  {line}" for line in more])


def _make(server: Server, planned: Change, owner: str) -> Change:
    """Make a change, and return it as it was made."""
    change = _delete_gone(server, planned)
    declared = change.declared
    if declared is None:
        for each in change.present:
            server.switch(each.id, on=False)
    elif change.kind == "new":
        server.new_schedule(_recurring(server, declared, owner, on=declared.schedule.enabled))
    elif change.kind == "changed":
        _replace(server, change, declared, owner)
    return change


def _delete_gone(server: Server, change: Change) -> Change:
    """Delete the recurring runs whose ScheduledWorkflow is gone, and return what is to be done then."""
    left = []
    for each in change.present:
        try:
            server.switch(each.id, each.enabled)
            left.append(each)
        except GoneError:
            server.delete_schedule(each.id)
    if len(left) == len(change.present):
        return change
    told = "its ScheduledWorkflow was gone: deleted" + (" and made anew" if change.declared else "")
    return replace(
        change,
        kind="changed" if change.declared else change.kind,
        present=tuple(left),
        keep=change.keep if change.keep in left else None,
        reasons=(*change.reasons, told),
    )


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
