"""Conversions that are killed at any moment, run again, and compared with one that nobody disturbed."""

import itertools
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from support.coco_files import annotation, image, write_dataset

from bodyposenet.common.data.conversion.convert import convert_dataset

BOX, FAR = (2, 2, 40, 34), (30, 20, 33, 33)
SIZE = (60, 80)
OPERATIONS = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "shutil.rmtree"}


@dataclass(frozen=True)
class Bench:
    """A small dataset, an older conversion of another cut that is to be replaced, and what must come out.

    Attributes:
        root: Everything is below it.
        spec: The dataset.
        processes: Of a conversion.
        seconds: That an undisturbed conversion takes.
    """

    root: Path
    spec: object
    processes: int
    seconds: float

    @classmethod
    def set_up(cls, root, photos, processes):
        people = [annotation(number, number, BOX) for number in range(photos)]
        people += [annotation(photos + number, number, FAR, labelled=0) for number in range(0, photos, 3)]
        people += [annotation(9 * photos + number, photos + number, BOX, labelled=0) for number in range(5)]
        spec = write_dataset(root / "data", [image(number, size=SIZE) for number in range(photos + 5)], people)
        small = spec.model_copy(update={"dataset": "older"})
        convert_dataset(small, root / "old/train", shards=(4, 0))
        convert_dataset(small, root / "old/val", mode="test")
        bench = cls(root, spec, processes, 0.0)
        bench.restore()
        start = time.monotonic()
        assert bench.run() == 0
        seconds = time.monotonic() - start
        shutil.copytree(root / "out", root / "wanted")
        shutil.copytree(root / "data/masks", root / "wanted_masks")
        return cls(root, spec, processes, seconds)

    def restore(self):
        """The state before a conversion."""
        shutil.rmtree(self.root / "out", ignore_errors=True)
        shutil.rmtree(self.root / "data/masks", ignore_errors=True)
        shutil.copytree(self.root / "old", self.root / "out")

    def run(self, kill_after=None, kill_at=None):
        """Convert in a process of its own; returns its exit code, -9 if it was killed.

        ``kill_after`` is in seconds; ``kill_at`` is a number of operations on files, before the next of which it dies.
        """
        child = os.fork()
        if not child:
            if kill_at is not None:
                sys.addaudithook(Killer(self.root, kill_at))
            self._convert()
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(child, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def _convert(self):
        code = 1
        try:
            out = self.root / "out/train"
            convert_dataset(self.spec, out, shards=(1, 3), generate_masks=True, processes=self.processes)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)

    def state(self):
        """How far a conversion has come, as far as its files tell."""
        folders = list((self.root / "out").glob(".train.*"))
        if not folders:
            return "before or after"
        if (folders[0] / "ready").exists():
            return "publishing"
        return "making pieces" if list(folders[0].glob("*.json")) else "no piece yet"

    def differences(self):
        """Files that are not as an undisturbed conversion leaves them."""
        wrong = []
        for made, wanted in (("out", "wanted"), ("data/masks", "wanted_masks")):
            got, want = contents(self.root / made), contents(self.root / wanted)
            wrong += [name for name in got.keys() | want.keys() if got.get(name) != want.get(name)]
        return sorted(wrong)


class Killer:
    """An audit hook that counts operations on files below a folder, and kills its process before a certain one.

    Args:
        root: The folder.
        count: How many it lets pass; all of them if None.

    Attributes:
        done: How many there were.
    """

    def __init__(self, root, count=None):
        self.root, self.count, self.done = str(root), count, 0

    def __call__(self, event, arguments):
        """Look at an event."""
        below = event in OPERATIONS and str(arguments[0]).startswith(self.root)
        if below or (event in ("os.remove", "os.rmdir") and arguments[1] != -1):  # in a folder that is removed
            if self.done == self.count:
                os.kill(os.getpid(), signal.SIGKILL)
            self.done += 1


def kill_everywhere(bench, step=1):
    """Kill a conversion before each of its operations on files, and run it again.

    Returns:
        What the killed ones were doing, by how often; and the rounds that did not end as they must.
    """
    states, wrong = Counter(), []
    for count in itertools.count(step=step):
        bench.restore()
        if bench.run(kill_at=count) != -signal.SIGKILL:
            return states, wrong
        states[bench.state()] += 1
        code = bench.run()
        if code or bench.differences():
            wrong.append((count, code, bench.differences()))


def contents(folder):
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def kill_often(bench, kills, seed):
    """Kill so many conversions, each at a random moment, and run each again.

    Returns:
        What the killed ones were doing, by how often; and the rounds that did not end as they must.
    """
    generator = random.Random(seed)
    states, wrong = Counter(), []
    while states.total() < kills:
        bench.restore()
        moment = bench.seconds * generator.choice((generator.uniform(0, 1), generator.uniform(0.8, 1)))
        if bench.run(kill_after=moment) != -signal.SIGKILL:
            continue  # it was done by then
        states[bench.state()] += 1
        code = bench.run()
        if code or bench.differences():
            wrong.append((round(moment, 4), code, bench.differences()))
    return states, wrong
