"""Submit: upload a pipeline, and start a run of it."""

import contextlib
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.pipelines.names import check_name
from bodyposenet.pipelines.package import Package
from bodyposenet.pipelines.parameters import problems, sendable
from bodyposenet.pipelines.server.connection import Server
from bodyposenet.pipelines.server.errors import UnstoredError

EXPERIMENT = "bodyposenet"
LOOKS = (0.0, 1.0, 4.0)  # seconds before each look for a run whose start was not answered

Say = Callable[[str], object]


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
    """Upload a package as a version of its pipeline, which is made if need be; one that is there is left alone.

    So is one that somebody else has uploaded meanwhile, and one whose upload was not answered.
    """
    found = find_version(server, package)
    if found:
        return found
    about = str(package.spec["pipelineInfo"].get("description", ""))
    pipeline = server.pipeline(package.name) or server.new_pipeline(package.name, about)
    try:
        return Uploaded(pipeline, server.new_version(pipeline, package.version, package.text()), new=True)
    except UserError as error:
        with contextlib.suppress(UserError):
            found = find_version(server, package)
        if found is None:
            raise error from None
        return found


def check(values: Mapping[str, Any], package: Package) -> None:
    """Compare values with the inputs of a pipeline.

    Raises:
        UserError: With every problem.
    """
    found = [f"{name}: {problem}" for name, problem in problems(values, package.inputs)]
    if found:
        raise UserError("parameters do not fit", where=package.name, more=[f"  {line}" for line in found])


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
