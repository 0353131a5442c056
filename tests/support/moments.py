"""What a kill leaves at every moment: the files below a folder, as they are before each operation on them.

A process that is killed leaves what it has handed to the system, and cleans nothing up. So the states of the folder
that one undisturbed run goes through are those that kills leave, and no run is spent on each.
"""

import contextlib
import shutil
import sys
from pathlib import Path

from support.killing import OPERATIONS, contents

_watching = []  # an audit hook cannot be taken away: it looks here


def _hook(event, arguments):
    if _watching and event in OPERATIONS:
        watch = _watching[-1]
        if str(arguments[0]).startswith(str(watch.folder)) and not watch.busy:
            watch.look()


class _Watch:
    def __init__(self, folder, kept):
        self.folder, self.kept, self.busy, self.found = folder, kept, False, []

    def look(self):
        """Keep a copy of the folder, if it is not as it was before."""
        self.busy = True
        state = (contents(self.folder), sorted(str(path) for path in self.folder.rglob("*") if path.is_dir()))
        if state not in self.found:
            copy = self.kept / f"{len(self.found):03d}"
            shutil.copytree(self.folder, copy) if self.folder.exists() else copy.mkdir()
            self.found.append(state)
        self.busy = False


@contextlib.contextmanager
def moments_of(folder, kept):
    """Within it, copies of ``folder`` are put into ``kept``, one for each state in which a kill could leave it."""
    if not getattr(sys, "_moments_hooked", False):
        sys.addaudithook(_hook)
        sys._moments_hooked = True
    watch = _Watch(Path(folder), Path(kept))
    watch.kept.mkdir(parents=True)
    _watching.append(watch)
    try:
        yield
    finally:
        _watching.pop()
