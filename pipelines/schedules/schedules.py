"""Schedules: declarations of what Kubeflow is to run when, read from files and checked against the pipelines."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field, model_validator

from bodyposenet.common.errors import SpecError, UserError
from bodyposenet.common.spec.base import Bool, Name, Strict, load_spec, parse_spec
from bodyposenet.common.spec.document import Document, read_document
from bodyposenet.common.spec.problems import SpecMisfitError
from bodyposenet.common.storage.digests import digest_settings
from bodyposenet.pipelines.package import Package, find_package
from bodyposenet.pipelines.parameters import from_spec, from_words, problems
from bodyposenet.pipelines.schedules import cron
from bodyposenet.pipelines.submit import EXPERIMENT, check

PATTERNS = ("*.yaml", "*.yml", "*.json")
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,58}[a-z0-9])?")
SET = re.compile(r"[\w.-]+")
INTERVAL = re.compile(r"(\d{1,9})\s*([smhd])\s*", re.ASCII)
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LEAST_INTERVAL, MOST_INTERVAL = 60, 3650 * 86400
YEARS = range(1970, 2101)
SHOWN_RUNS = 3


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("should be lower-case letters, digits and dashes between them, 60 at most")
    return text


def _cron(text: str) -> str:
    try:
        cron.parse(text)
    except ValueError as error:
        raise SpecMisfitError(((), str(error))) from None
    return " ".join(text.split())


def _seconds(given: object) -> object:
    """``6h``, or ``1h30m``, in seconds."""
    text = given.strip() if isinstance(given, str) else ""
    if not text or INTERVAL.sub("", text):
        raise ValueError("should be a number with a unit, such as 30m, 6h or 1d")
    return sum(int(number) * UNITS[unit] for number, unit in INTERVAL.findall(text))


def _year(moment: datetime) -> datetime:
    if moment.year not in YEARS:
        raise ValueError(f"should be in a year from {YEARS[0]} to {YEARS[-1]}")
    return moment


def _with_unit(seconds: int) -> str:
    """The greatest unit in which an interval is whole."""
    size, unit = max((size, unit) for unit, size in UNITS.items() if seconds % size == 0)
    return f"{seconds // size}{unit}"


class Schedule(Strict):
    """When Kubeflow is to run which pipeline, and with what.

    Attributes:
        name: Of the recurring run; no two schedules of a folder share one.
        pipeline: ``prune_retrain``, or a compiled .yaml file beside this one.
        cron: Six fields, seconds first; in the time zone of Kubeflow's controller, which is UTC unless set otherwise.
        interval: In place of cron: the time between two runs, such as 6h or 1h30m.
        parameters: Of the pipeline; those left out have its defaults. A text ``@file`` is what that file holds.
        description: Shown on the page.
        enabled: Whether it runs.
        cache: Whether tasks may be taken from the cache, as the pipeline itself says.
        max_concurrency: How many of its runs may go on at once.
        no_catchup: Of several runs that were missed only the last is made up for.
        experiment: Where its runs are filed.
        start_time: Not before.
        end_time: Not after.
    """

    name: Annotated[str, AfterValidator(_name)]
    pipeline: Name
    cron: Annotated[str, AfterValidator(_cron)] | None = None
    interval: Annotated[int, Field(ge=LEAST_INTERVAL, le=MOST_INTERVAL), BeforeValidator(_seconds)] | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    description: str = ""
    enabled: Bool = True
    cache: Bool = True
    max_concurrency: Annotated[int, Field(strict=True, ge=1, le=10)] = 1
    no_catchup: Bool = True
    experiment: Name = EXPERIMENT
    start_time: Annotated[AwareDatetime, AfterValidator(_year)] | None = None
    end_time: Annotated[AwareDatetime, AfterValidator(_year)] | None = None

    @model_validator(mode="after")
    def _one_trigger(self) -> Self:
        if self.cron is None and self.interval is None:
            raise SpecMisfitError(((), "give cron or interval"))
        if self.cron is not None and self.interval is not None:
            raise SpecMisfitError((("interval",), "cron is given, too; keep one of them"))
        if self.start_time and self.end_time and self.start_time >= self.end_time:
            raise SpecMisfitError((("end_time",), "not after start_time"))
        return self

    def next_runs(self, now: datetime) -> list[datetime]:
        """Its next few runs in UTC; none are known of an interval, which counts from when Kubeflow begins with it."""
        if self.cron is None:
            return []
        moments = cron.parse(self.cron).after(max(now, (self.start_time or now).astimezone(UTC)))
        return [at for at in islice(moments, SHOWN_RUNS) if self.end_time is None or at <= self.end_time]

    def when(self, now: datetime) -> str:
        """When it runs, in words."""
        if self.interval is not None:
            return f"every {_with_unit(self.interval)} from when it is made"
        runs = self.next_runs(now)
        return f"next {', '.join(f'{at:%a %Y-%m-%d %H:%M:%S}' for at in runs)} UTC" if runs else "no more runs"


@dataclass(frozen=True)
class Declared:
    """A schedule that is known to fit its pipeline.

    Attributes:
        schedule: What is declared.
        package: The pipeline, without caching if the schedule wants none.
        values: Its parameters, the files fetched that it names.
    """

    schedule: Schedule
    package: Package
    values: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Of all that a recurring run cannot be told anew, which is everything but whether it is enabled."""
        said = self.schedule.model_dump(mode="json", exclude={"enabled", "pipeline", "parameters", "cache"})
        whole = [said, dict(self.values), self.package.name, self.package.version]
        return digest_settings(whole, default=str)[:16]


def read_folder(folder: Path) -> list[Declared]:
    """Every schedule of a folder, in the order of the files' names.

    Raises:
        UserError: There is no such folder, or no schedule in it.
        SpecError: With every problem of every file.
    """
    if folder.is_file():
        raise UserError("is a file", where=str(folder), fix=f"give its folder, {folder.parent}")
    files = sorted(file for pattern in PATTERNS for file in folder.glob(pattern))
    if not files:
        if not folder.is_dir():
            raise UserError("there is no such folder", where=str(folder), fix="check the path")
        fix = "to stop the last one, keep its file and write enabled: false"
        raise UserError("no schedules in this folder", where=str(folder), fix=fix)
    packages = cache(find_package)
    read, wrong = [], []
    for file in files:
        try:
            read.append((file, read_file(file, packages)))
        except SpecError as error:
            wrong.append(str(error))
    wrong += _twins(read)
    if wrong:
        raise SpecError(wrong)
    return [declared for _, declared in read]


def read_file(file: Path, packages: Callable[[str], Package] = find_package) -> Declared:
    """The schedule that a file declares.

    Args:
        file: YAML or JSON.
        packages: Finds a pipeline by its name or its file.

    Raises:
        SpecError: With every problem of the file, one ``file:line: key: problem`` a line.
    """
    return fit(load_spec(file, Schedule), read_document(file), file.parent, packages)


def from_flags(words: Mapping[str, str], given: Mapping[str, Any]) -> Declared:
    """The schedule that a command line declares.

    Args:
        words: Texts of the pipeline's parameters.
        given: Keys of a schedule that have a value, or None.

    Raises:
        UserError: A parameter does not fit the pipeline.
        SpecError: With every problem of the schedule itself.
    """
    package = find_package(given["pipeline"])
    values = from_words(words, package.inputs)
    check(values, package)
    said = {name: value for name, value in given.items() if value is not None}
    schedule = parse_spec(said, Schedule, where="bpnet pipeline schedule")
    return Declared(schedule, package if schedule.cache else package.without_cache(), values)


def fit(schedule: Schedule, document: Document, folder: Path, packages: Callable[[str], Package]) -> Declared:
    """A schedule with its pipeline, and its parameters checked against that.

    Args:
        schedule: What is declared.
        document: Where it is written, for messages.
        folder: Files that it names are relative to it.
        packages: Finds a pipeline by its name or its file.

    Raises:
        SpecError: With every parameter that does not fit.
    """
    beside = folder / schedule.pipeline
    try:
        package = packages(str(beside) if beside.is_file() else schedule.pipeline)
        values = from_spec(schedule.parameters, package.inputs, folder)
    except UserError as error:
        raise SpecError([f"{document.where}: {error}"]) from None
    wrong = [document.tell(("parameters", name), problem) for name, problem in problems(values, package.inputs)]
    if wrong:
        raise SpecError([message for _, message in sorted(wrong)])
    return Declared(schedule, package if schedule.cache else package.without_cache(), values)


def _twins(read: Sequence[tuple[Path, Declared]]) -> Iterator[str]:
    """A message for each name that an earlier file has already."""
    first: dict[str, Path] = {}
    for file, declared in read:
        name = declared.schedule.name
        if name in first:
            yield f"{file}: name: {first[name]} has this name already (got {name!r})"
        first.setdefault(name, file)
