"""Story: what a person wants to know of a run, as lines of which none comes twice, and as a row for each task."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bodyposenet.common.report.run_summary import list_numbers
from bodyposenet.common.tracking.history import TaskRow
from bodyposenet.pipelines.runs.nodes import BUSY, CACHED, DRIVER, FAILED, GOOD, ITEM, Task, Tree

SILENT = 2  # nodes without a name, and no news: now and then one comes before its name does
STANDS_STILL = "Kubeflow tells no more of the tasks: this workflow has grown beyond 1 MiB; the run itself goes on; "
TELLS_ON, WOULD_TELL = "from here on MLflow tells of them", "MLflow would tell, if MLFLOW_TRACKING_URI were set"
WORDS = {"FINISHED": GOOD, "KILLED": FAILED}  # MLflow's states that Kubeflow calls otherwise


@dataclass(frozen=True)
class TaskStatus:
    """What is known of a task.

    Attributes:
        name: Of which no other task has the same.
        state: Kubeflow's word for it.
        tries: How often it was begun.
        cached: It was taken from the cache.
        began: When it did.
        ended: When it did; None while it is at work.
        numbers: What it has logged to MLflow.
    """

    name: str
    state: str
    tries: int = 1
    cached: bool = False
    began: datetime | None = None
    ended: datetime | None = None
    numbers: str = ""

    @property
    def title(self) -> str:
        """Its name, and the number of its try, from the second on."""
        return f"{self.name} try {self.tries}" if self.tries > 1 else self.name

    def measure(self, now: datetime) -> float | None:
        """How long it took, or has taken until now, in seconds."""
        end = self.ended or (now if self.state in BUSY else None)
        return max(0.0, (end - self.began).total_seconds()) if self.began and end else None


@dataclass
class Story:
    """Turns answers to ``GET /runs/ID``, one after the other, into lines and rows.

    Args:
        tracked: MLflow can be asked for what Kubeflow's list no longer tells.

    Attributes:
        rows: What is known of each task, by what it is known by, in the order in which they began.
        note: What there is to say of the list; nothing unless it stands still.
    """

    tracked: bool = False
    rows: dict[str, TaskStatus] = field(default_factory=dict)
    note: str = ""
    _names: dict[str, str] = field(default_factory=dict)
    _keys: dict[str, str] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)
    _nameless: int = 0
    _silent: int = 0

    def tell(self, run: Any) -> Iterator[str]:
        """Tell what is new since the answer before."""
        tree = Tree(run)
        tasks = [task for task in tree.list_tasks() if not task.driver or task.state == FAILED]
        lines = [line for task in tasks for line in self._change(task.key, self._describe(task))]
        yield from lines
        yield from self._watch_list(tree.nameless, news=bool(lines))
        yield from self._say(f"run: {run.state or 'PENDING'}")

    def tell_tracked(self, tracked: Sequence[TaskRow]) -> Iterator[str]:
        """Tell what MLflow knows of tasks, once Kubeflow's list stands still; before that only their numbers are taken.

        Args:
            tracked: Of every try, in the order in which they began.
        """
        for entry in tracked:
            key = self._keys.get(read_number(entry.pod), "")
            if key:
                self.rows[key] = replace(self.rows[key], numbers=list_numbers(entry))
                if self.note and self.rows[key].state in BUSY:
                    yield from self._change(key, _update(self.rows[key], entry))
        if self.note:
            yield from self._tell_unlisted(tracked)

    def _tell_unlisted(self, tracked: Sequence[TaskRow]) -> Iterator[str]:
        """Tell of tasks that are in no list: those of one name are tries where the one before has failed."""
        tasks: dict[str, list[TaskRow]] = {}
        for entry in tracked:
            if read_number(entry.pod) not in self._keys:
                same = [key for key, tries in tasks.items() if tries[0].name == entry.name]
                begun = not same or WORDS.get(tasks[same[-1]][-1].status, tasks[same[-1]][-1].status) != FAILED
                key = f"{entry.name} {len(same) + 1}" if begun else same[-1]
                tasks.setdefault(key, []).append(entry)
        for key, tries in tasks.items():
            status = TaskStatus(self._choose_name(key, tries[0].name, ("MLflow",)), BUSY[-1], len(tries))
            yield from self._change(key, _update(status, tries[-1]))

    def _describe(self, task: Task) -> TaskStatus:
        for pod in task.pods:
            self._keys[read_number(pod)] = task.key
        known = self.rows.get(task.key)
        numbers = known.numbers if known else ""
        name = self._choose_name(ITEM.sub("iteration", task.key), write_name(task), task.groups) + number_parts(task)
        return TaskStatus(name, task.state, task.tries, task.cached, task.began, task.ended, numbers)

    def _choose_name(self, key: str, name: str, groups: Sequence[str]) -> str:
        """Choose a name for a key once and for all: where another has it, the groups that it lies in are said."""
        if key not in self._names:
            taken = set(self._names.values())
            longer = [f"{name} in {'/'.join(groups[-depth:])}" for depth in range(1, len(groups) + 1)]
            free = [each for each in (name, *longer) if each not in taken]
            self._names[key] = free[0] if free else f"{name} ({len(taken) + 1})"
        return self._names[key]

    def _watch_list(self, count: int, news: bool) -> Iterator[str]:
        """Find out whether the list stands still: then all that ends is added without a name."""
        self._silent = 0 if news else self._silent + (count > self._nameless)
        self._nameless = count
        if self._silent >= SILENT and not self.note:
            self.note = STANDS_STILL + (TELLS_ON if self.tracked else WOULD_TELL)
            yield from self._say(self.note)

    def _change(self, key: str, row: TaskStatus) -> Iterator[str]:
        known = self.rows.get(key)
        self.rows[key] = row
        if known is None or (known.state, known.tries) != (row.state, row.tries):
            yield from self._say(f"{row.title}: {row.state}" + (f" {CACHED}" if row.cached else ""))

    def _say(self, line: str) -> Iterator[str]:
        if line not in self._told:
            self._told.add(line)
            yield line


def write_name(task: Task) -> str:
    """Write a task's name as its component is called, with the number that tells it from others of the component."""
    if task.driver:
        return f"the driver of {task.name.removesuffix(DRIVER)}"
    name, dash, number = task.name.rpartition("-")
    return f"{name.replace('-', '_')}-{number}" if dash and number.isdecimal() else task.name.replace("-", "_")


def number_parts(task: Task) -> str:
    """Number a task of a loop, such as ``2 of 3``; a loop of one part is none."""
    return "".join(f" {number} of {parts}" for number, parts in task.items if parts > 1)


def read_number(pod: str) -> str:
    """Read the number of a node out of its id, or out of the name of its pod."""
    return pod.rpartition("-")[2]


def _update(row: TaskStatus, entry: TaskRow) -> TaskStatus:
    """Bring a row to what MLflow knows of the task."""
    began = datetime.fromtimestamp(entry.began, UTC)
    ended = None if entry.seconds is None else began + timedelta(seconds=entry.seconds)
    state = WORDS.get(entry.status, entry.status)
    return replace(row, state=state, began=row.began or began, ended=ended, numbers=list_numbers(entry))
