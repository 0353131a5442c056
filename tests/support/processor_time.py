"""Processor time of each test file, as it was measured, and what follows from it: the order, and the quick ones.

``python -m pytest --write-times`` measures anew; only what is on disk decides, so that all processes agree.
"""

import json
import os
from contextlib import suppress
from pathlib import Path

FILE = Path(__file__).parents[1] / "processor_times.json"
TICKS = os.sysconf("SC_CLK_TCK")
QUICK = 3.0  # seconds: a file that takes less is quick; nobody has measured a new one, which counts as quick, too
WHOLE = (
    "pipelines/test_batch_inference.py",
    "pipelines/test_prune_sweep.py",
    "pipelines/test_dag.py",
    "pipelines/test_demo.py",
)  # of whole pipelines
NO_TIME = 0.0


def processor_seconds():
    """What this process and those that it has started, and that these have waited for, have taken so far."""
    times = os.times()
    ended = times.user + times.system + times.children_user + times.children_system
    return ended + sum(map(ticks_of, living_children())) / TICKS


def living_children():
    """Those that were not waited for: servers, above all."""
    found = []
    for each in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):  # the thread has ended meanwhile
            found += each.read_text(encoding="ascii").split()
    return found


def ticks_of(number):
    """Time of a process and of those that it has waited for."""
    with suppress(OSError):  # it has ended meanwhile
        fields = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return sum(map(int, fields[11:15]))
    return 0


def read_times():
    """Seconds of each file, by its path below ``tests``."""
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {}


def write_times(measured):
    """Keep what was measured; of files that did not run, what was known."""
    there = {path.relative_to(FILE.parent).as_posix() for path in FILE.parent.rglob("test_*.py")}
    rows = {name: round(seconds, 1) for name, seconds in (read_times() | measured).items() if name in there}
    FILE.write_text(json.dumps(dict(sorted(rows.items())), indent=2) + "\n", encoding="utf-8")


def is_quick(name, times):
    return name not in WHOLE and times.get(name, NO_TIME) < QUICK


def rank(name, times):
    """Where a file stands: the quick ones first, the quickest of them at the head; then those that take long, the
    longest first, so that no process is left with one when the others are done; at the end those of whole pipelines.
    """
    seconds = times.get(name, NO_TIME)
    if name in WHOLE:
        return 2, -seconds
    return (0, seconds) if is_quick(name, times) else (1, -seconds)


def list_longest(measured, count=12):
    """The files that took most, in a line: where to look when the suite has grown."""
    longest = sorted(measured.items(), key=lambda item: -item[1])[:count]
    return "most of it in " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in longest)


def in_words(seconds):
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s of processor time"
