"""Offline buffer: a run kept on disk while the tracking store is away, and sent when it is back."""

import contextlib
import json
import shutil
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bodyposenet.common.bounds import KEY_BYTES
from bodyposenet.common.errors import MALFORMED, UserError
from bodyposenet.common.plain_text import hide_secrets
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import find_bytes, read_bytes, whole_file
from bodyposenet.common.storage.inside import join_inside, require_inside
from bodyposenet.common.storage.location import open_to_append
from bodyposenet.common.storage.locking import HeldError, hold_alone
from bodyposenet.common.storage.temporary_names import set_aside, sweep_removed
from bodyposenet.common.tracking.events import Event, now, require_event, tell
from bodyposenet.common.tracking.mlflow_store import (
    Store,
    impatient,
    log,
    open_store,
    reason,
    tracking_uri,
)
from bodyposenet.common.tracking.pipeline_runs import end_run, find_kept, start_run

FOLDER = "tracking_buffer"
LINES = "run.jsonl"  # first line: the run; then one event a line; last line: how it ended
PROGRESS = "sent.json"
NEEDLESS = "remove the folder if it is not needed"


@dataclass(frozen=True)
class Start:
    """How a run began.

    Attributes:
        name: The task.
        pipeline: Id of the pipeline run it belongs to, or nothing.
        time: Milliseconds since 1970.
        run_id: The run in the store, if it was made before the store went away, or is somebody else's.
        owned: Whether ending it is ours.
        first: It is the first task of a pipeline whose last one will tell how that has ended.
        pod: In which the task runs; nothing unless on Kubeflow.
        ending: It is the last task, and its pipeline ended so; nothing if the tasks are to tell. None: it is not.
    """

    name: str
    pipeline: str = ""
    time: int = field(default_factory=now)
    run_id: str = ""
    owned: bool = True
    first: bool = False
    pod: str = ""
    ending: str | None = None


class Buffer:
    """A run that is being kept: ``tracking_buffer/<task>-<random>/`` with JSON lines and copies of the files.

    Until it ends, its folder is held: sent before, it would arrive as one that has failed.
    """

    def __init__(self, beside: Path, start: Start) -> None:
        self.folder = beside / FOLDER / f"{start.name.replace('/', '_')}-{uuid.uuid4().hex[:8]}"
        self.folder.mkdir(parents=True)
        self._held = contextlib.ExitStack()
        with contextlib.suppress(OSError):  # without room for that, it is kept all the same, as far as it goes
            self._held.enter_context(hold_alone(self.folder))
        self._append(asdict(start))

    def keep(self, event: Event) -> None:
        """Write an event; a file or folder it names is copied, for it may be gone later."""
        if "path" in event:
            event = event | {"path": self._copy(Path(event["path"]))}
        self._append(event)
        if event["op"] == "end":
            self._held.close()

    def _copy(self, path: Path) -> str:
        inside = Path("files") / uuid.uuid4().hex[:8] / path.name
        (self.folder / inside).parent.mkdir(parents=True)
        (shutil.copytree if path.is_dir() else shutil.copy2)(path, self.folder / inside)
        return inside.as_posix()

    def _append(self, event: Event) -> None:
        with open_to_append(self.folder / LINES) as file:
            file.write((json.dumps(event) + "\n").encode())


def send_buffered(folder: Path) -> list[str]:
    """Send the runs that were kept in or below a folder, and remove what has arrived.

    A run that could be sent only in part goes on where it stopped when this is called again. One that goes on, or that
    another process is sending, stays, with a warning that says which process that is.

    Args:
        folder: A results folder, its ``tracking_buffer`` or any folder above.

    Returns:
        The ids of the runs, in the store.

    Raises:
        UserError: No store is named, it does not answer, or the folder does not exist.
    """
    if not folder.is_dir():
        raise UserError("no such folder", where=str(folder), fix="name a results folder, or one above it")
    if not tracking_uri():
        raise UserError("MLFLOW_TRACKING_URI is not set", fix="set it to the store that shall have the runs")
    for place in (each for each in (folder.resolve(), *folder.resolve().rglob(FOLDER)) if each.name == FOLDER):
        sweep_removed(place)
    kept = sorted(lines.parent for lines in folder.resolve().rglob(LINES) if lines.parent.parent.name == FOLDER)
    try:
        store = open_store() if kept else None
        sent = [_send_alone(store, run) for run in kept if store]
        return [run for run in sent if run]
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"the tracking store does not take the runs: {reason(error)}",
            where=hide_secrets(tracking_uri()),
            fix="send again later; nothing that was kept is lost",
        ) from error


def _send_alone(store: Store, folder: Path) -> str:
    """Send a run, unless another process is at work on it; nothing where one is, or has just sent it."""
    with contextlib.ExitStack() as held:
        try:
            with translate_errors(folder):
                held.enter_context(hold_alone(folder))
        except HeldError as error:
            log.warning("%s is not sent: %s", folder, error.problem)
            return ""
        if not (folder / LINES).exists():
            return ""
        run_id = _send(store, folder)
        aside = set_aside(folder)  # half removed, it would be sent again, in part
    shutil.rmtree(aside)  # not before its lock is closed: NFS keeps files that are open, and their folder with them
    log.info("sent %s to the tracking store as run %s", folder, run_id)
    return run_id


def _send(store: Store, folder: Path) -> str:
    start, events = read_kept(folder)
    progress = folder / PROGRESS
    run_id, done = read_progress(progress) or (start.run_id, 0)
    if not run_id:
        with impatient():
            run_id = find_kept(store, folder.name) or start_run(
                store, start.name, start.pipeline, start.time, first=start.first, pod=start.pod, kept=folder.name
            )
    for number, event in enumerate(events):
        if number >= done:
            with whole_file(progress) as file:
                file.write(json.dumps([run_id, number]).encode())
            _send_event(store, run_id, start, folder, event)
    return str(run_id)


def read_progress(file: Path) -> tuple[str, int] | None:
    """The run that is being sent and how many of its events have arrived; nothing where the file does not tell."""
    try:
        content = find_bytes(file, most=KEY_BYTES)
        if content is None:
            return None
        run_id, done = json.loads(content)
        if not (isinstance(run_id, str) and type(done) is int):
            raise TypeError("an id and a number are wanted")
    except MALFORMED:
        log.warning("%s does not tell how much was sent: the run is sent from its beginning", file)
        return None
    return run_id, done


def _send_event(store: Store, run_id: str, start: Start, folder: Path, event: Event) -> None:
    if event["op"] == "end":
        if start.owned or event["status"] == "FAILED":
            with impatient():
                end_run(store, run_id, event["status"], event["time"], owned=start.owned, ending=start.ending)
        return
    tell(store, run_id, event | ({"path": str(_find_kept(folder, event["path"]))} if "path" in event else {}))


def _find_kept(folder: Path, name: str) -> Path:
    """A file, or a folder of them, that was copied into the kept run: what lies elsewhere is not sent."""
    where = str(folder / LINES)
    path = join_inside(folder, name, where=where)
    require_inside(path, where=where)
    return path


def read_kept(folder: Path) -> tuple[Start, list[Event]]:
    """The run and its events; a line cut short by the task's death is dropped, and such a run has failed.

    Raises:
        UserError: The file is no kept run's, or one of its events is none.
    """
    lines = read_bytes(folder / LINES, fix=NEEDLESS).splitlines()
    try:
        found = [json.loads(line) for line in lines[:-1]] + _last(lines[-1:])
        start = _take_start(found[0])
        for event in found[1:]:
            require_event(event)
    except MALFORMED as error:
        raise UserError(f"is no kept run: {error}", where=str(folder / LINES), fix=NEEDLESS) from None
    if not found[1:] or found[-1]["op"] != "end":
        found.append({"op": "end", "status": "FAILED", "time": now()})
    return start, found[1:]


def _take_start(data: Event) -> Start:
    """Take a line for how a run began."""
    start = Start(**data)
    texts = (start.name, start.pipeline, start.run_id, start.pod, start.ending or "")
    if not all(isinstance(text, str) for text in texts) or type(start.time) is not int:
        raise TypeError("its first line is not how a run began")
    return start


def _last(lines: list[bytes]) -> list[Event]:
    try:
        return [json.loads(line) for line in lines]
    except (ValueError, RecursionError):
        return []
