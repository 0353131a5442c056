"""Schedule plan: how what Kubeflow runs by the clock differs from what is declared, and what to do about it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bodyposenet.common.errors import UserError
from bodyposenet.pipelines.parameters import sendable
from bodyposenet.pipelines.schedules.schedules import Declared
from bodyposenet.pipelines.submit import Uploaded

ENABLED = "ENABLE"
# At the end of a description: whose this is, its name, and what was declared when it was made.
MARK = re.compile(r"\[bpnet (?P<owner>[\w.-]+)/(?P<name>[a-z0-9-]+) (?P<digest>[0-9a-f]{16})\]$")
SIGNS = {"new": "+", "changed": "~", "disabled": "-", "same": "="}

Kind = Literal["new", "changed", "disabled", "same"]


@dataclass(frozen=True)
class ExistingSchedule:
    """A recurring run that is there.

    Attributes:
        recurring: As the server tells it.
        owner: The set of schedules that it belongs to; empty, if bpnet did not make it.
        name: Its name.
        digest: Of what was declared when it was made.
    """

    recurring: Any
    owner: str
    name: str
    digest: str

    @property
    def id(self) -> str:
        """What the server calls it."""
        return str(self.recurring.recurring_run_id)

    @property
    def enabled(self) -> bool:
        """Whether it runs."""
        return bool(self.recurring.mode == ENABLED)


@dataclass(frozen=True)
class Change:
    """What is to be done about one schedule.

    Attributes:
        name: Of the schedule.
        kind: What differs.
        declared: What is to be there; None if nothing is.
        present: The recurring runs of this name that bpnet has made.
        keep: The one of them that is as declared.
        reasons: What differs, in words.
    """

    name: str
    kind: Kind
    declared: Declared | None
    present: tuple[ExistingSchedule, ...] = ()
    keep: ExistingSchedule | None = None
    reasons: tuple[str, ...] = ()

    def describe(self, now: datetime) -> Iterator[str]:
        """Lines that tell it."""
        words = {"new": "new", "changed": "changed", "disabled": "not declared, disabled", "same": "unchanged"}
        yield f"{SIGNS[self.kind]} {self.name}: {words[self.kind]}"
        yield from (f"    {reason}" for reason in self.reasons)
        if self.declared is not None:
            schedule = self.declared.schedule
            yield f"    {self.declared.package.name} {self.declared.package.version}"
            yield f"    {schedule.when(now) if schedule.enabled else 'disabled'}"


def read(recurring: Any) -> ExistingSchedule:
    """A recurring run, and what its description says of where it comes from."""
    found = MARK.search(recurring.description or "")
    if found is None:
        return ExistingSchedule(recurring, "", str(recurring.display_name), "")
    return ExistingSchedule(recurring, found["owner"], found["name"], found["digest"])


def describe_run(declared: Declared, owner: str) -> str:
    """The description of a declared schedule's recurring run."""
    mark = f"[bpnet {owner}/{declared.schedule.name} {declared.digest}]"
    return f"{declared.schedule.description} {mark}".strip()


def plan(
    declared: Sequence[Declared], present: Sequence[ExistingSchedule], uploaded: dict[str, Uploaded | None], owner: str
) -> list[Change]:
    """Compare what is declared with what is there.

    Args:
        declared: Every schedule of the set.
        present: Every recurring run of the server.
        uploaded: By the versions' names: where the server has them.
        owner: The set's name. What belongs to another set is left alone.

    Raises:
        UserError: Somebody else's recurring run has the name of one that is declared, and runs.
    """
    names = [each.schedule.name for each in declared]
    _refuse_strangers(names, present, owner)
    ours = [each for each in present if each.owner == owner]
    changes = [
        compare(each, [it for it in ours if it.name == each.schedule.name], uploaded[each.package.version])
        for each in declared
    ]
    left = [each for each in ours if each.name not in names and each.enabled]
    return changes + [Change(each.name, "disabled", None, (each,)) for each in left]


def compare(declared: Declared, present: Sequence[ExistingSchedule], uploaded: Uploaded | None) -> Change:
    """What is to be done about one declared schedule.

    One that was disabled and is to run is made anew: enabled again, it would at once make up for what it missed.

    Args:
        declared: What is to be there.
        present: The recurring runs of its name and set.
        uploaded: The version of its pipeline, if the server has it.
    """
    name, runs = declared.schedule.name, declared.schedule.enabled
    if not present:
        return Change(name, "new", declared)
    as_declared = [each for each in present if each.digest == declared.digest and _runs_version(each, uploaded)]
    keep = next((each for each in as_declared if each.enabled == runs), None)
    if keep is None and not runs:
        keep = next(iter(as_declared), None)
    reasons = tuple(_reasons(declared, keep or present[0], uploaded, len(present)))
    return Change(name, "changed" if reasons else "same", declared, tuple(present), keep, reasons)


def _refuse_strangers(names: Sequence[str], present: Sequence[ExistingSchedule], owner: str) -> None:
    for each in present:
        if each.owner != owner and each.enabled and str(each.recurring.display_name) in names:
            whose = f"the set {each.owner!r}" if each.owner else "somebody else"
            raise UserError(
                f"a recurring run of this name is there, made by {whose}", where=each.name,
                fix="disable that, or give the schedule another name",
            )  # fmt: skip


def _runs_version(present: ExistingSchedule, uploaded: Uploaded | None) -> bool:
    """Whether a recurring run's version of the pipeline is still there."""
    reference = present.recurring.pipeline_version_reference
    return uploaded is not None and reference is not None and reference.pipeline_version_id == uploaded.version


def _reasons(declared: Declared, present: ExistingSchedule, uploaded: Uploaded | None, count: int) -> list[str]:
    """What of a recurring run is not as declared."""
    anew = present.digest != declared.digest
    told = _differences(declared, present.recurring) if anew else []
    if not _runs_version(present, uploaded):
        told.append("another version of the pipeline" if anew else "its version of the pipeline is gone")
    if anew and not told:
        told.append("the experiment, or what this version of bpnet adds")
    if present.enabled != declared.schedule.enabled:
        told.append("to be enabled" if declared.schedule.enabled else "to be disabled")
    return told + ([f"{count} recurring runs of this name"] if count > 1 else [])


def _differences(declared: Declared, recurring: Any) -> list[str]:
    """Each value that differs, as ``what: old -> new``."""
    old, new = _present_values(recurring), _list_values(declared)
    names = sorted(old.keys() | new.keys())
    return [
        f"{name}: {_short(old.get(name))} -> {_short(new.get(name))}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def _list_values(declared: Declared) -> dict[str, Any]:
    schedule = declared.schedule
    values = {f"parameters.{name}": value for name, value in sendable(declared.values).items()}
    return values | {
        "cron": schedule.cron,
        "interval": schedule.interval,
        "max_concurrency": schedule.max_concurrency,
        "no_catchup": schedule.no_catchup,
        "start_time": schedule.start_time,
        "end_time": schedule.end_time,
        "description": schedule.description,
    }


def _present_values(recurring: Any) -> dict[str, Any]:
    trigger = recurring.trigger
    by_clock, by_interval = trigger and trigger.cron_schedule, trigger and trigger.periodic_schedule
    timed = by_clock or by_interval
    given = (recurring.runtime_config and recurring.runtime_config.parameters) or {}
    return {f"parameters.{name}": value for name, value in given.items()} | {
        "cron": by_clock and by_clock.cron,
        "interval": by_interval and int(by_interval.interval_second),
        "max_concurrency": int(recurring.max_concurrency or 0),
        "no_catchup": bool(recurring.no_catchup),
        "start_time": timed and timed.start_time,
        "end_time": timed and timed.end_time,
        "description": MARK.sub("", recurring.description or "").strip(),
    }


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value).replace("\n", " ")
    return text if len(text) <= 60 else f"{text[:57]}..."
