"""Submit: upload a pipeline, start a run of it, and follow that to its end."""

import contextlib
import itertools
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.pipelines.names import check_name
from bodyposenet.pipelines.package import Package
from bodyposenet.pipelines.parameters import problems, sendable
from bodyposenet.pipelines.run_story import Story, find_failures, is_reason_of, read_reason
from bodyposenet.pipelines.server import Server, UnstoredError

EXPERIMENT = "bodyposenet"
GOOD, ENDED = "SUCCEEDED", ("SUCCEEDED", "FAILED", "SKIPPED", "CANCELED")
FIRST_PAUSE, PAUSE = 0.2, 10.0  # seconds between two looks at a run; short ones are over soon
LOOKS = (0.0, 1.0, 4.0)  # seconds before each look for a run whose start was not answered
MISSES = 30  # looks in a row that may fail: a server that starts anew is away for minutes

Say = Callable[[str], object]


class FailedRunError(UserError):
    """A run that was followed did not succeed. Exit 1."""

    exit_code = 1


@dataclass(frozen=True)
class Uploaded:
    """A pipeline's version on a server.

    Attributes:
        pipeline: Id of the pipeline.
        version: Id of the version.
        new: It was not there before.
    """

    pipeline: str
    version: str
    new: bool


def find_version(server: Server, package: Package) -> Uploaded | None:
    """The version that a package would be uploaded as, if it is there."""
    pipeline = server.pipeline(package.name)
    version = pipeline and server.version(pipeline, package.version)
    return Uploaded(pipeline, version, new=False) if pipeline and version else None


def upload(server: Server, package: Package) -> Uploaded:
    """Upload a package as a version of its pipeline, which is made if need be; one that is there is left alone."""
    found = find_version(server, package)
    if found:
        return found
    about = str(package.spec["pipelineInfo"].get("description", ""))
    pipeline = server.pipeline(package.name) or server.new_pipeline(package.name, about)
    return Uploaded(pipeline, server.new_version(pipeline, package.version, package.text()), new=True)


def check(values: Mapping[str, Any], package: Package) -> None:
    """Compare values with the inputs of a pipeline.

    Raises:
        UserError: With every problem.
    """
    found = [f"{name}: {problem}" for name, problem in problems(values, package.inputs)]
    if found:
        raise UserError("\n  ".join(["parameters do not fit", *found]), where=package.name)


def start(server: Server, package: Package, values: Mapping[str, Any], *, experiment: str, name: str) -> str:
    """Start a run that carries its pipeline with it, and return its id.

    Raises:
        UserError: A name cannot be stored: nothing is sent then. Or the server refuses it.
        AwayError: The server did not answer, or failed, and has no such run. One that it has is taken as started.
    """
    import kfp_server_api as api

    name = check_name("run", name or f"{package.name} {datetime.now(UTC):%Y-%m-%d %H-%M-%S}")
    experiment = check_name("experiment", experiment)
    run = api.V2beta1Run(
        display_name=name,
        description=f"[bpnet {secrets.token_hex(8)}]",
        experiment_id=server.experiment(experiment),
        pipeline_spec=package.documents(),
        runtime_config=api.V2beta1RuntimeConfig(parameters=sendable(values)),
    )
    try:
        return server.start(run)
    except AwayError as error:
        return _find_started(server, run, error)


def _find_started(server: Server, run: Any, error: AwayError) -> str:
    """Return the id of a run whose start failed or was not answered, if the server has it after all."""
    for pause in LOOKS:
        time.sleep(pause)
        with contextlib.suppress(AwayError):
            found = server.find_run(run.experiment_id, run.display_name, run.description)
            if found:
                return found
    if isinstance(error, UnstoredError):
        raise error from None
    fix = f"{error.fix}, once `kubectl get workflows` shows that none was started: such a one is in no list of runs"
    raise AwayError(error.problem, where=error.where, fix=fix) from None


def follow(server: Server, run_id: str, say: Say) -> None:
    """Tell every change of state of a run and its tasks, until it has ended.

    Raises:
        FailedRunError: It did not succeed.
        UserError: The server is away for long, or refuses to tell.
    """
    story = Story()
    for run in _looks(server, run_id):
        for line in story.tell(run):
            say(f"{datetime.now(UTC):%H:%M:%S} {line}")
        if run.state in ENDED:
            break
    if run.state != GOOD:
        raise FailedRunError(
            f"the run ended as {run.state}; its logs are at {server.page(run_id)}{_find_reasons(server, run)}"
        )


def _looks(server: Server, run_id: str) -> Iterator[Any]:
    """The run again and again, ever less often; a server that is away for a while is waited for."""
    missed = 0
    for look in itertools.count():
        try:
            run = server.run(run_id)
            missed = 0
            yield run
        except AwayError:
            missed += 1
            if missed == MISSES:
                raise
        time.sleep(min(FIRST_PAUSE * 1.5 ** min(look, 20), PAUSE))


def _find_reasons(server: Server, run: Any) -> str:
    """Say what failed and why, a line each: what the failed pods' logs tell, or who may still have one."""
    names, pods = find_failures(run)
    reasons = list(dict.fromkeys(filter(None, (read_reason(server.log(run.run_id, pod)) for pod in pods))))
    untold = [name for name in names if not any(is_reason_of(name, reason) for reason in reasons)]
    lines = [f"{', '.join(untold)} failed"] if untold else []
    if pods and not reasons:
        number = pods[0].rpartition("-")[2]
        lines.append(f"no log of it is kept; while its pod is there: kubectl get pods | grep {number}")
    return "".join(f"\n  {line}" for line in [*lines, *reasons])
