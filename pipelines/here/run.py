"""Run: start a pipeline in processes of its own, and show how it gets on until it has ended."""

import json
import os
import selectors
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.machine.bar import NOTES, read_note
from bodyposenet.common.tasks.failure import VARIABLE
from bodyposenet.pipelines.here.family import family
from bodyposenet.pipelines.here.job import Job
from bodyposenet.pipelines.here.messages import News
from bodyposenet.pipelines.here.screen import Screen

TICK = 0.25  # seconds between two looks at how far the stage at work is


class FailedError(UserError):
    """A stage failed. Exit 1."""

    exit_code = 1


@dataclass(frozen=True)
class Places:
    """Where a run keeps what is not its outcome.

    Attributes:
        folder: Of the run.
    """

    folder: Path

    @property
    def log(self) -> Path:
        """What all tasks have printed."""
        return self.folder / "run.log"

    @property
    def note(self) -> Path:
        """How far the stage at work is."""
        return self.folder / ".progress"

    @property
    def words(self) -> Path:
        """Why the last stage failed."""
        return self.folder / ".failure"

    def variables(self, given: Mapping[str, str]) -> dict[str, str]:
        """The environment of the run's processes."""
        return {**given, NOTES: str(self.note), VARIABLE: str(self.words)}

    def tidy(self) -> None:
        """Remove what only a run at work needs."""
        for path in (self.note, self.words):
            path.unlink(missing_ok=True)


def run_here(job: Job, places: Places, screen: Screen, held: int) -> dict[str, News]:
    """Run a pipeline; none of its processes outlives this call, nor this process.

    Args:
        job: What to run.
        places: Where its log goes.
        screen: Shows it.
        held: Descriptor of a lock that is held until the last process has ended.

    Returns:
        The news of every stage that has ended, by title.

    Raises:
        UserError: A stage failed: with its own last words, and where the log is.
    """
    ended: dict[str, News] = {}
    variables = places.variables(os.environ)
    try:
        with family(json.dumps(asdict(job)), places.log, variables, held) as host:
            for news in _follow(host, places.note, screen):
                screen.tell(news)
                if news.state != "started":
                    ended[news.stage] = news
            code = host.wait()
    finally:
        screen.close()
        places.tidy()
    _judge(ended, code, places.log)
    return ended


def _judge(ended: Mapping[str, News], code: int, log: Path) -> None:
    failed = next((news for news in ended.values() if news.state == "failed"), None)
    if failed:
        raise FailedError(f"{failed.stage} failed: {failed.reason}", fix=f"its log is {log}")
    if code:
        raise FailedError(f"the run ended with exit code {code}", fix=f"its log is {log}")


def _follow(host: "subprocess.Popen[str]", note: Path, screen: Screen) -> Iterator[News]:
    """The news of a run until its end, with the screen drawn anew between."""
    if host.stdout is None:
        return
    with selectors.DefaultSelector() as watched:
        watched.register(host.stdout, selectors.EVENT_READ)
        buffer = b""
        while True:
            if watched.select(TICK):
                chunk = os.read(host.stdout.fileno(), 1 << 16)
                if not chunk:
                    return
                *lines, buffer = (buffer + chunk).split(b"\n")
                yield from (News(**json.loads(line)) for line in lines)
            screen.tick(read_note(note))
