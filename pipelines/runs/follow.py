"""Follow: look at a run again and again until it has ended, and show it: as lines, or on a terminal as a table."""

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import IO, Any

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.machine.terminal import TITLE, Terminal, format_row, spell
from bodyposenet.common.pages.numbers import precision
from bodyposenet.common.tracking.history import RunPages, TaskRow, find_pages, task_rows
from bodyposenet.pipelines.runs.nodes import BUSY, CACHED, GOOD, read_time
from bodyposenet.pipelines.runs.reasons import find_reasons
from bodyposenet.pipelines.runs.story import Story, TaskStatus
from bodyposenet.pipelines.runs.tracked import Tracked, list_aps
from bodyposenet.pipelines.server.connection import Server

ENDED = (GOOD, "FAILED", "SKIPPED", "CANCELED")
FIRST_PAUSE, PAUSE = 0.2, 10.0  # seconds between two looks at a run; short ones are over soon
HEARTBEAT = 60.0  # seconds without news, after which a line says that it goes on
MISSES = 30  # looks in a row that may fail: a server that starts anew is away for minutes


class FailedRunError(UserError):
    """A run that was followed did not succeed. Exit 1."""

    exit_code = 1


class View:
    """Shows a run: where there is no terminal a line for each news, and one a minute where there is none.

    On a terminal it is a table with a row for each task, drawn anew at every look.

    Args:
        file: Where to; standard output by default.
        clock: Tells seconds, from which the minutes are counted.

    Attributes:
        terminal: What it writes to.
        end: What there is to say of the run once it has ended, for programs: state, seconds, APs by task.
    """

    def __init__(self, file: IO[str] | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.terminal = Terminal(file)
        self.end: dict[str, Any] = {}
        self._clock = clock
        self._last = clock()

    def show(self, run: Any, news: Sequence[str], story: Story) -> None:
        """Show what came of a look at a run."""
        now = datetime.now(UTC)
        if self.terminal.live:
            self.terminal.draw([*format_table(run, list(story.rows.values()), now), *filter(None, [story.note])])
            return
        beat = [] if news or self._clock() - self._last < HEARTBEAT else [describe(run, story.rows.values(), now)]
        for line in [*news, *beat]:
            self.terminal.say(f"{now:%H:%M:%S} {line}")
            self._last = self._clock()


def follow(server: Server, run_id: str, view: View | None = None) -> None:
    """Show every change of state of a run and its tasks, until it has ended; then its length, its APs, and its pages.

    Raises:
        FailedRunError: It did not succeed.
        UserError: The server is away for long, or refuses to tell.
    """
    view = view or View()
    tracked = Tracked(run_id, view.terminal.say)
    story = Story(tracked=tracked.known)
    run = None
    try:
        for run in _look(server, run_id):
            news = list(story.tell(run))
            if story.note or view.terminal.live:
                news += story.tell_tracked(tracked.ask(task_rows, []))
            view.show(run, news, story)
            if run.state in ENDED:
                break
    finally:
        view.terminal.close(keep=True)
    _tell_end(server, run, tracked, view)


def _look(server: Server, run_id: str) -> Iterator[Any]:
    """Look at a run again and again, ever less often; a server that is away for a while is waited for."""
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


def _tell_end(server: Server, run: Any, tracked: Tracked, view: View) -> None:
    """Say how a run ended, what came of it, and where to look further."""
    tracked.again = 0.0  # once more, however it was before
    rows: list[TaskRow] = tracked.ask(task_rows, [])
    pages = tracked.ask(find_pages, RunPages())
    found, seconds = list_aps(rows), measure(run, datetime.now(UTC))
    view.end = {"state": run.state, "seconds": seconds, "ap": found}
    aps = ", ".join(f"{name} {precision(ap)}" for name, ap in found.items())
    places = {
        "took": spell(seconds),
        "AP": aps,
        "page": server.page(run.run_id),
        "report": pages.report,
        "MLflow": pages.run,
    }
    for name, text in places.items():
        if text:
            view.terminal.say(f"{name:<7} {text}")
    if run.state != GOOD:
        reasons = find_reasons(server, run, rows) if run.state == "FAILED" else []
        raise FailedRunError(f"the run ended as {run.state}", more=[f"  {reason}" for reason in reasons])


def measure(run: Any, now: datetime) -> float:
    """Measure how long a run took, or has taken until now, in seconds."""
    began, ended = read_time(run.created_at), read_time(run.finished_at)
    return max(0.0, ((ended or now) - began).total_seconds()) if began else 0.0


def describe(run: Any, rows: Iterable[TaskStatus], now: datetime) -> str:
    """Say in a line that a run goes on, and what is at work."""
    busy = [f"{row.title} {spell(row.measure(now) or 0)}" for row in rows if row.state in BUSY]
    return f"{run.state or BUSY[0]} for {spell(measure(run, now))}" + (f": {', '.join(busy)}" if busy else "")


def format_table(run: Any, rows: Sequence[TaskStatus], now: datetime) -> list[str]:
    """Format a run and its tasks as a table: name, state, time, and the number that says most."""
    width = max([TITLE, *(len(row.title) for row in rows)])
    lines = [format_row(str(run.display_name), str(run.state or BUSY[0]), spell(measure(run, now)), "", width)]
    for row in rows:
        untold = run.state in ENDED and row.state in BUSY  # its end came after the list had begun to stand still
        seconds = None if row.cached or untold else row.measure(now)
        clock = "" if seconds is None else spell(seconds)
        said = CACHED if row.cached else row.numbers
        state = "not told" if untold else row.state
        lines.append(format_row(row.title, state, clock, said, width))
    return lines
