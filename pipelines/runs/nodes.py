"""Nodes: where each task of a run lies in the tree of nodes that Kubeflow lists flat.

An entry of the list has the display name of a node and the ids of the nodes below it, neither its own id nor its place.
But Argo derives an id from the place: it is the workflow's name and the FNV-1a hash of the path, such as
``W(0).root(0).train(0).executor``. So the paths are found by trying names until the hashes are those that are listed.

A task of the pipeline is a node with an ``executor`` in it, however deep it lies and whatever it is called; a driver
has nothing in it. Both may be tried several times, ``train(0)`` and ``train(1)``, as may all that is around them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

BASIS, PRIME, WORD = 0x811C9DC5, 0x01000193, 0xFFFFFFFF  # of FNV-1a with 32 bits
MOST_TRIES = 12  # that are looked for
TRY = re.compile(r"\((\d+)\)$")
TRIES = re.compile(r"\((\d+)\)")
ITEM = re.compile(r"iteration-iterations\((\d+):\d+\)")
WRAPPER = re.compile(
    r"root|executor|exit-handler-\d+(\.onExit)?|condition-\d+|condition-branches-\d+|for-loop-\d+|iteration-.+"
)
DRIVER, EXECUTOR = "-driver", "executor"
CACHED, FAILED, GOOD, BUSY = "from the cache", "FAILED", "SUCCEEDED", ("PENDING", "RUNNING")


@dataclass(frozen=True)
class Task:
    """A task of the pipeline, or a driver.

    Attributes:
        key: Its path without tries: the same in every answer.
        name: Of its node, such as ``evaluate-2``.
        groups: The sub-pipelines that it lies in, from the outside to the inside.
        items: For each loop around it the number of its part, from 1, and how many parts there are.
        state: Of its newest try.
        tries: How often it was begun.
        cached: It was taken from the cache.
        driver: It is no task of the pipeline, but the driver before one.
        pods: Ids of the nodes whose logs may say why it failed, the oldest first.
        began: When it did; None where that is not known.
        ended: When it did; None while it is at work.
    """

    key: str
    name: str
    groups: tuple[str, ...]
    items: tuple[tuple[int, int], ...]
    state: str
    tries: int
    cached: bool
    driver: bool
    pods: tuple[str, ...]
    began: datetime | None
    ended: datetime | None


def hash_path(text: str, start: int = BASIS) -> int:
    """Hash a path, or what is appended to one whose hash is ``start``."""
    for byte in text.encode():
        start = ((start ^ byte) * PRIME) & WORD
    return start


@dataclass(frozen=True)
class Place:
    """A node's place in the tree.

    Attributes:
        path: Argo's name of it; its hash is its id.
        above: Path of what it lies in; of a try that is the node that is tried.
        name: Its display name.
        is_try: It is a try of the node above.
    """

    path: str
    above: str
    name: str
    is_try: bool


class Tree:
    """The nodes of a run by their places.

    Args:
        run: An answer to ``GET /runs/ID``.

    Attributes:
        workflow: Its name, with which all ids begin; nothing as long as there are no nodes.
        places: Of nodes, by the numbers with which their ids end.
        nameless: How many nodes are listed without a name, as those are that end once the list stands still.
        entries: What the server lists of nodes that have others below them, by their paths.
    """

    def __init__(self, run: Any) -> None:
        entries = list((run.run_details and run.run_details.task_details) or [])
        listed = [task for task in entries if task.display_name]
        self.nameless = len(entries) - len(listed)
        ids = {str(child.pod_name) for task in listed for child in task.child_tasks or [] if child.pod_name}
        self.workflow = min(ids).rpartition("-")[0] if ids else ""
        names = {TRY.sub("", str(task.display_name)) for task in listed}
        numbers = {number for each in ids if (number := each.rpartition("-")[2])}
        self.places = {str(hash_path(place.path)): place for place in search(self.workflow, numbers, sorted(names))}
        self._below: dict[str, list[Place]] = {}
        for place in self.places.values():
            self._below.setdefault(place.above, []).append(place)
        self.entries = {path: task for task in listed if (path := self._find_path(task))}

    def list_tasks(self) -> list[Task]:
        """List the tasks of the pipeline, and the drivers, that have a state, in the order in which they began."""
        found: dict[str, list[Place]] = {}
        for place in self.places.values():
            if not place.is_try and place.path in self.entries:
                found.setdefault(TRIES.sub("", place.path), []).append(place)
        tasks = [task for key, places in found.items() if (task := self._describe(key, places))]
        return sorted(tasks, key=lambda task: (task.began is None, task.began, task.key))

    def _find_path(self, entry: Any) -> str:
        """Find the path of a node that has others below it: its tries, or what lies in it."""
        for child in entry.child_tasks or []:
            place = self.places.get(str(child.pod_name).rpartition("-")[2])
            if place and place.above.rpartition(".")[2] == entry.display_name:
                return place.above
        return ""

    def _describe(self, key: str, places: list[Place]) -> Task | None:
        """Describe a task or a driver by its places, of which there are several where what it lies in was tried again.

        Returns:
            Nothing for a wrapper, and for what has no state.
        """
        newest = max(places, key=lambda place: [int(number) for number in TRIES.findall(place.path)])
        entry = self.entries[newest.path]
        rooms = [room for place in places for room in (place, *self._list_tries(place))]
        inside = [each for room in rooms for each in self._below.get(room.path, []) if not each.is_try]
        executors = [each for each in inside if each.name == EXECUTOR]
        driver = newest.name.endswith(DRIVER) and not inside
        if not entry.state or not (executors or driver):
            return None
        pods = [pod for each in (places if driver else executors) for pod in self._list_tries(each) or [each]]
        ran = [pod for pod in pods if pod.is_try]
        around = [each.name for each in self._walk_up(newest) if not WRAPPER.fullmatch(each.name)]
        return Task(
            key=key, name=newest.name, groups=tuple(reversed(around)), items=self._count_items(newest),
            state=str(entry.state), tries=max(len(ran), 1), driver=driver,
            cached=bool(self._list_tries(newest)) and not ran and entry.state == GOOD,
            pods=tuple(f"{self.workflow}-{hash_path(pod.path)}" for pod in pods),
            began=read_time(entry.start_time), ended=read_time(entry.end_time),
        )  # fmt: skip

    def _list_tries(self, place: Place) -> list[Place]:
        return [each for each in self._below.get(place.path, []) if each.is_try]

    def _walk_up(self, place: Place) -> Iterator[Place]:
        """Walk through the nodes that a place lies in, from the inside to the outside."""
        above = {each.path: each for each in self.places.values()}
        while place.above in above:
            place = above[place.above]
            if not place.is_try:
                yield place

    def _count_items(self, place: Place) -> tuple[tuple[int, int], ...]:
        """For each loop around a place say the number of its part, and how many parts there are."""
        parts = [(each, found) for each in self._walk_up(place) if (found := ITEM.fullmatch(each.name))]
        beside = [[other for other in self._below[each.above] if ITEM.fullmatch(other.name)] for each, _ in parts]
        return tuple(
            (int(found[1]) + 1, max(int(found[1]) + 1, len(others)))
            for (_, found), others in zip(reversed(parts), reversed(beside), strict=True)
        )


def search(workflow: str, numbers: set[str], names: list[str]) -> Iterator[Place]:
    """Search the places of nodes whose hashes are known, from the outside to the inside.

    Args:
        workflow: The outermost node.
        numbers: The hashes, as decimal numbers.
        names: That nodes have.
    """
    to_do = [workflow] if workflow else []
    while to_do:
        room = to_do.pop()
        start = hash_path(room)
        tails = [*((f"({number})", True) for number in range(MOST_TRIES)), *((f".{name}", False) for name in names)]
        for tail, is_try in tails:
            if str(hash_path(tail, start)) in numbers:
                yield Place(room + tail, room, room.rpartition(".")[2] if is_try else tail[1:], is_try)
                to_do.append(room + tail)


def read_time(moment: datetime | None) -> datetime | None:
    """Return a moment, in UTC, of those that the server gives: one long ago stands for none."""
    if moment is None or moment.year < 2000:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
