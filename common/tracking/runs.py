"""Runs: a task's parameters, curves, metrics and files on their way to MLflow, wherever and whether or not it is up."""

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import Any

from bodyposenet.common.errors import PassingError, UserError
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.tracking import events
from bodyposenet.common.tracking.datasets import Dataset
from bodyposenet.common.tracking.mlflow_store import (
    Store,
    impatient,
    is_refusal,
    log,
    open_store,
    pipeline_run,
    reason,
    tracking_uri,
)
from bodyposenet.common.tracking.offline_buffer import Buffer, Start
from bodyposenet.common.tracking.pipeline_runs import end_lost_run, end_run, join_run, read_pod, start_run
from bodyposenet.common.tracking.system_metrics import sampling

_current: ContextVar["TrackedRun | None"] = ContextVar("current_run", default=None)


class TrackedRun:
    """The run of one task, as :func:`task_run` opens it.

    It goes to the store; to a buffer beside the output once the store does not answer; or nowhere where no store is
    named. Logging never raises: a trained model is worth more than its record. Several threads may log.
    """

    def __init__(self, start: Start, beside: Path | None) -> None:
        self._start, self._beside = start, beside
        self._store: Store | None = None
        self._buffer: Buffer | None = None
        self._alone = threading.RLock()

    @property
    def id(self) -> str:
        """The run's id in the store; nothing where it has none (yet)."""
        return self._start.run_id

    @property
    def name(self) -> str:
        """The task."""
        return self._start.name

    @property
    def url(self) -> str:
        """The run's page, on a store that has pages."""
        return self._store.page(self.id) if self._store and self.id else ""

    def log_params(self, values: Mapping[str, Any], *, prefix: str) -> None:
        """Log settings, nested ones with dotted names.

        Args:
            values: Anything JSON can say; what is longer than 500 characters is cut and also kept whole as a file.
            prefix: Put before every name, with a dot: KFP logs a task's inputs under their own names, which have none,
                and MLflow refuses a second value for a name.
        """
        self.record(events.params(values, prefix))

    def log_metrics(self, values: Mapping[str, Any], *, step: int | None = None) -> None:
        """Log numbers; values that are none are left out."""
        self.record(events.metrics([(step, values)]))

    def log_curves(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Log a training's history.

        Args:
            history: One dict an epoch; its ``epoch`` is the step, or else its place in the list, from 1.
        """
        rows = [(int(row.get("epoch", place)), row) for place, row in enumerate(history, 1)]
        self.record(
            events.metrics(
                [(step, {name: value for name, value in row.items() if name != "epoch"}) for step, row in rows]
            )
        )

    def log_artifact(self, path: Path | str, folder: str = "") -> None:
        """Log a file, or a folder with its contents.

        Args:
            path: What.
            folder: Where among the run's artifacts.
        """
        if not Path(path).exists():
            log.warning("%s does not exist and is not tracked", path)
            return
        self.record(events.artifact(Path(path), folder))

    def keep_artifact(self, path: Path, folder: str) -> None:
        """Log a file that must not be lost.

        Args:
            path: What.
            folder: Where among the run's artifacts.

        Raises:
            UserError: The store does not take it.
        """
        self.deliver(events.artifact(path, folder) | {"op": "keep", "name": path.name})

    def log_tags(self, values: Mapping[str, str]) -> None:
        """Log what the run is to be found by."""
        self.record({"op": "tags", "values": dict(values)})

    def log_model_input(self, model_id: str) -> None:
        """Log which logged model the task works on; servers of MLflow 2 have none, and then nothing is logged."""
        if model_id:
            self.record({"op": "model", "model_id": model_id})

    def log_dataset(self, read: Callable[[], Dataset]) -> None:
        """Log what the task works on.

        Args:
            read: Describes it; called only where something is tracked, for a digest takes a while. What it cannot read
                costs a warning: the task itself will tell.
        """
        if not (self._store or self._buffer):
            return
        try:
            self.record(events.dataset(read()))
        except (UserError, OSError) as error:
            log.warning("the dataset is not tracked: %s", error)

    def system_metrics(self) -> AbstractContextManager[None]:
        """Within it, what the machine is busy with is logged every few seconds, as MLflow's page shows it."""
        return sampling(self.log_metrics, wanted=bool(self._store or self._buffer))

    def end_lost(self, run_id: str) -> None:
        """End the run of an earlier attempt at this task that was killed; one that has ended stays as it is."""
        if self._store and run_id and run_id != self.id:
            try:
                with impatient():
                    end_lost_run(self._store, run_id, events.now(), successor=self.id)
            except Exception as error:  # whatever is wrong with the store, the task goes on
                log.warning("the run %s of the attempt before is left as it is: %s", run_id, reason(error))

    def _open(self) -> None:
        """Join or make the run in the store; if that fails, the buffer it is."""
        try:
            self._store, start = open_store(self.id), self._start
            with impatient():
                if self.id:
                    join_run(self._store, self.id, start.name, start.pipeline, start.pod)
                    return
                run_id = start_run(
                    self._store, start.name, start.pipeline, start.time, first=start.first, pod=start.pod
                )  # fmt: skip
            self._start = replace(start, run_id=run_id)
        except Exception as error:  # whatever is wrong with the store, the task goes on
            self._give_up(error)

    def record(self, event: events.Event) -> str:
        """Send an event to the store, or keep it.

        Returns:
            What the store answered; nothing if it is away.
        """
        with self._alone:
            if self._store and not self._buffer:
                try:
                    return events.tell(self._store, self.id, event)
                except Exception as error:  # as above
                    self._give_up(error)
            if self._buffer:
                self._buffer.keep(event)
            return ""

    def deliver(self, event: events.Event) -> str:
        """Send an event that must not be lost.

        Returns:
            What the store answered; nothing where nothing is tracked, or if the event is kept in a buffer.

        Raises:
            UserError: The store rejects it; or it is away, and there is no buffer.
        """
        with self._alone:
            if self._store and not self._buffer:
                try:
                    return events.tell(self._store, self.id, event)
                except Exception as error:
                    if is_refusal(error) or self._beside is None:
                        raise _lose(event, reason(error), for_good=is_refusal(error)) from error
                    self._give_up(error)
            if self._buffer:
                self._buffer.keep(event)
            elif tracking_uri():
                raise _lose(event, "it has not answered before")
            return ""

    def _give_up(self, error: Exception) -> None:
        """Stop talking to the store: it has been asked once, and every further question could cost its timeout."""
        self._store = None
        if self._beside is None:
            log.warning("%s: tracking stops: %s", hide_secrets(tracking_uri()), reason(error))
            return
        self._buffer = Buffer(self._beside, self._start)
        log.warning(
            "%s does not take this run (%s); it is kept in %s, send it with: bpnet tracking send %s",
            hide_secrets(tracking_uri()),
            reason(error),
            self._buffer.folder,
            self._beside,
        )

    def _end(self, status: str) -> None:
        if self._store and not self._buffer and (self._start.owned or status == "FAILED"):
            try:
                with impatient():
                    ending = self._start.ending
                    end_run(self._store, self.id, status, events.now(), owned=self._start.owned, ending=ending)
            except Exception as error:
                self._give_up(error)
        if self._buffer:
            self._buffer.keep({"op": "end", "status": status, "time": events.now()})


def _lose(event: events.Event, why: str, *, for_good: bool = False) -> UserError:
    """What is to be told of an event that is neither in the store nor kept; what was not refused may pass."""
    problem = f"{hide_secrets(tracking_uri())} did not {event['op']} it: {why}"
    kind = UserError if for_good else PassingError
    return kind(problem, where=event.get("name", ""), fix="check MLFLOW_TRACKING_URI and that server, and run it again")


@contextmanager
def task_run(
    name: str, *, buffer: Path | None = None, first: bool = False, ending: str | None = None
) -> Iterator[TrackedRun]:  # fmt: skip
    """Track a task: its run in MLflow, which ends when the block does, as failed if it raises.

    The environment says where: ``MLFLOW_TRACKING_URI`` names the store (unset: nothing is tracked, and MLflow not
    imported). ``MLFLOW_RUN_ID`` names a run to join, which KFP's plugin or whoever made it will end. Otherwise a run is
    made, below the one run of its pipeline run if ``BODYPOSENET_PIPELINE_RUN`` or ``KFP_RUN_ID`` names that.

    Args:
        name: The run's name: the task.
        buffer: The folder of the task's output; if the store does not answer, the run is kept there for
            :func:`send_buffered`. Without it, such a run is lost with a warning.
        first: It is the first task of a pipeline: that counts as running until one with an ``ending`` has ended.
        ending: It is the last task; MLflow's word for how the pipeline has ended, nothing if its tasks are to tell.

    Yields:
        The run to log to.
    """
    joined = os.environ.get("MLFLOW_RUN_ID", "")
    start = Start(
        name, pipeline_run(), run_id=joined, owned=not joined, first=first, pod=read_pod(), ending=ending
    )  # fmt: skip
    run = TrackedRun(start, buffer)
    if tracking_uri():
        run._open()
    else:
        log.info("MLFLOW_TRACKING_URI is not set: %s is not tracked", name)
    token = _current.set(run)
    try:
        yield run
    except BaseException as error:
        run.record(events.failure(error))
        run._end("FAILED")
        raise
    else:
        run._end("FINISHED")
    finally:
        _current.reset(token)


def current_run() -> TrackedRun | None:
    """The run of the innermost :func:`task_run` block, if any."""
    return _current.get()
