"""Graph: a compiled pipeline under ``kfp.local``, whose tasks the host runs, told stage by stage.

python -m bodyposenet.pipelines.here.graph NEWS TASKS, two descriptors, with a job on standard input
"""

import json
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from numbers import Real
from pathlib import Path
from typing import IO, Any

from bodyposenet.common.machine.bar import NOTES
from bodyposenet.common.tasks.failure import VARIABLE
from bodyposenet.pipelines.here.family import die_with_parent
from bodyposenet.pipelines.here.job import Extra, Job
from bodyposenet.pipelines.here.messages import News, Ordered, State, write_line

log = logging.getLogger(__name__)

DISPENSABLE = ("forecast",)  # may fail, as the run does not depend on it
ENDED_BY_SIGNAL = "its process was ended by signal {}"


class Host:
    """The process that forks others; it is asked for one at a time.

    Args:
        tasks: Where it listens.
    """

    def __init__(self, tasks: socket.socket) -> None:
        self._tasks = tasks
        self._answers = tasks.makefile("r")
        self._lock = threading.Lock()
        self._ready = False

    def run(self, task: Ordered, began: Callable[[], None]) -> tuple[int, float]:
        """Run a task; returns its exit code, below 0 if a signal ended it, and its processor seconds."""
        with self._lock:
            self._ready = self._ready or bool(self._answers.readline())  # until then the host loads its libraries
            for name in (NOTES, VARIABLE):
                Path(os.environ[name]).unlink(missing_ok=True)
            began()
            self._tasks.sendall(json.dumps(asdict(task)).encode() + b"\n")
            code, used = (self._answers.readline() or "-9 0").split()
            return int(code), float(used)


@dataclass
class RunningStage:
    """The task that a thread is at."""

    title: str
    component: str
    began: float = 0.0
    code: int = 0
    used: float = 0.0


CURRENT: ContextVar[RunningStage] = ContextVar("stage")


class Teller:
    """Tells what becomes of the stages."""

    def __init__(self, news: IO[str], host: Host) -> None:
        self._news, self._host = news, host
        self._lock = threading.Lock()
        self.made: dict[str, dict[str, str]] = {}

    def command(self, full_command: list[str], env_vars: Mapping[str, str] | None = None) -> int:
        """Run the command of a component; stands in for kfp's function that starts a shell."""
        given = {"command": list(full_command), "variables": dict(env_vars or {})}
        return self.order(Ordered("bodyposenet.pipelines.here.work:run_component", given))

    def order(self, task: Ordered) -> int:
        """Have the host run a task for the stage at work."""
        stage = CURRENT.get()

        def began() -> None:
            stage.began = time.monotonic()
            self._say(News(stage.title, "started", stage.component))

        stage.code, stage.used = self._host.run(task, began)
        return stage.code

    def stage(self, title: str, component: str, run: Callable[[], tuple[Mapping[str, Any], bool]]) -> None:
        """Run a stage and tell how it went; ``run`` returns its outputs and whether it came to a good end."""
        stage = RunningStage(title, component)
        CURRENT.set(stage)
        outputs, good = run()
        state: State = ("done" if stage.began else "kept") if good else "failed"
        seconds = time.monotonic() - stage.began if stage.began else 0.0
        reason = "" if good else read_reason(stage.code)
        self.made[title] = read_files(outputs)
        numbers = read_numbers(outputs)
        log.info("%s: %s, %.1f s, %.1f s of processor time", title, state, seconds, stage.used)
        self._say(News(title, state, component, round(seconds, 2), numbers, self.made[title], reason))

    def _say(self, news: News) -> None:
        with self._lock:
            write_line(self._news, news)


def read_numbers(outputs: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a task's outputs: parameters by their name, what is known of artifacts as ``artifact.name``."""
    found = {name: value for name, value in outputs.items() if isinstance(value, Real)}
    for name, value in outputs.items():
        for key, number in (getattr(value, "metadata", None) or {}).items():
            if isinstance(number, Real):
                found[f"{name}.{key}"] = number
    return {name: float(value) for name, value in found.items()}


def read_files(outputs: Mapping[str, Any]) -> dict[str, str]:
    """Where the artifacts of a task are."""
    return {name: str(value.path) for name, value in outputs.items() if hasattr(value, "path")}


def read_reason(code: int) -> str:
    """Why the last task failed: its own last words, or what ended it."""
    with suppress(OSError):
        words = Path(os.environ[VARIABLE]).read_text(errors="replace", encoding="utf-8").strip()
        if words:
            return words.splitlines()[-1] if "Traceback" in words else words
    return ENDED_BY_SIGNAL.format(-code) if code < 0 else f"its process ended with exit code {code}"


def take_over(teller: Teller) -> None:
    """Have ``kfp.local`` run its tasks through the host, and tell of them."""
    from kfp.local import status, subprocess_task_handler
    from kfp.local.orchestrator import task_executor

    execute = task_executor.execute_single_task

    def told(**named: Any) -> Any:
        spec, found = named["task_spec"], []

        def run() -> tuple[Mapping[str, Any], bool]:
            found.append(execute(**named))
            return found[0][0], found[0][1] == status.Status.SUCCESS

        teller.stage(spec.task_info.name, spec.component_ref.name.removeprefix("comp-"), run)
        return found[0]

    task_executor.execute_single_task = told
    subprocess_task_handler.run_local_subprocess = teller.command


def run_pipeline(job: Job) -> None:
    """Run the compiled pipeline with what earlier runs have finished."""
    from kfp import local

    from bodyposenet.pipelines.here.local import compile_without_retries

    warnings.simplefilter("ignore")  # a process on this machine takes no resources and no image
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=job.root, raise_on_error=True, enable_caching=True, cache_root=job.cache)
    compile_without_retries(job.pipeline)(**job.arguments)


def run_extra(teller: Teller, title: str, extra: Extra, results: Path, **more: Any) -> None:
    """Run a task that is not part of the pipeline; its outputs are the numbers that it returns."""
    result = results / f"{extra['component']}.json"
    result.unlink(missing_ok=True)
    ordered = Ordered(extra["target"], {**extra["arguments"], **more}, str(result))

    def run() -> tuple[Mapping[str, Any], bool]:
        good = teller.order(ordered) == 0
        return json.loads(result.read_text(encoding="utf-8")) if good else {}, good or extra["component"] in DISPENSABLE

    teller.stage(title, extra["component"], run)


def main() -> None:
    """Run the job; the exit code is 1 if the pipeline failed."""
    die_with_parent(signal.SIGKILL)
    news, tasks = (int(word) for word in sys.argv[1:])
    job = Job(**json.loads(sys.stdin.read()))
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.INFO)
    teller = Teller(os.fdopen(news, "w"), Host(socket.socket(fileno=tasks)))
    for title, extra in job.before.items():
        run_extra(teller, title, extra, Path(job.results))
    take_over(teller)
    try:
        run_pipeline(job)
    except RuntimeError as error:
        log.error("%s", error)
        sys.exit(1)
    for title, extra in job.after.items():
        run_extra(teller, title, extra, Path(job.results), made=teller.made)


if __name__ == "__main__":
    main()
