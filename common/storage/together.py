"""Together: several outputs that appear all or none, however the process that writes them ends.

They are written in a hidden folder beside the first of them. When all are complete a journal says so, and they are
renamed; whoever comes after a kill in between goes on with that. The journal goes when the whole verb has ended: while
it is there, the outputs are those of a run that did not end, and may be replaced.
"""

import contextlib
import errno
import fnmatch
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.inside import is_plain
from bodyposenet.common.storage.locking import hold_folder

ELSEWHERE = "elsewhere-"  # what a file is called in the staging folder that does not go beside the others


class Journal(NamedTuple):
    """What a run that publishes has noted.

    Attributes:
        publish: Complete files that are to be renamed.
        wrote: Files that it, or a killed one before, has let appear.
    """

    publish: tuple[str, ...] = ()
    wrote: tuple[str, ...] = ()


class Together:
    """The outputs of one run.

    Used as a context, in which files are written to :attr:`folder`, or where :meth:`stage` says, and then
    :meth:`publish` is called; what else the verb has to do comes after that, within the context.

    Args:
        output: The first output. The others appear beside it.
        elsewhere: Outputs that go to other places, on any disk.
        keep: Patterns of files that a killed run leaves for the next.

    Attributes:
        folder: Where outputs are written, under their final names.
    """

    def __init__(self, output: Path, *, elsewhere: Sequence[Path] = (), keep: Sequence[str] = ()) -> None:
        self.output, self.keep = output, tuple(keep)
        self.folder = output.with_name(f".{output.name}.staging")
        self._elsewhere = {f"{ELSEWHERE}{number}": path for number, path in enumerate(elsewhere)}
        self._journal = _journal_path(output)
        self._lock = contextlib.ExitStack()
        self._published = False

    def __enter__(self) -> Self:
        with translate_errors(self.folder), self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(hold_folder(self.folder, "another run is writing this", where=str(self.output)))
            self._rename()
            self._sweep(self.keep)
            self._lock = self._lock.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock, translate_errors(self.folder):
            if kind is None and self._published:
                self._sweep()
                self.folder.rmdir()
                self._journal.unlink(missing_ok=True)
            elif not _read(self._journal).publish:  # else the next run goes on with the renaming
                with contextlib.suppress(OSError):  # the error that is under way is the one to tell
                    self._sweep(self.keep)
                    self.folder.rmdir()  # unless something is kept

    def stage(self, final: Path) -> Path:
        """Tell where to write what is to appear as a path: one beside the output, or named as ``elsewhere``."""
        return next((self.folder / name for name, path in self._elsewhere.items() if path == final), None) or (
            self.folder / final.name
        )

    def is_leftover(self, final: Path) -> bool:
        """Tell whether a file is there only because a run was killed that let it appear."""
        return self.stage(final).name in _read(self._journal).wrote

    def publish(self) -> None:
        """Let everything in the folder appear, whatever was there under these names before."""
        with translate_errors(self.folder):
            staged = tuple(sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(".")))
            self._note(Journal(staged, (*_read(self._journal).wrote, *staged)))
            self._rename()
            self._published = True

    def _rename(self) -> None:
        """Let those appear that the journal names, and note that."""
        noted = _read(self._journal)
        for name in noted.publish:
            staged, final = self.folder / name, self._elsewhere.get(name, self.output.with_name(name))
            if staged.is_file() and (name in self._elsewhere or not name.startswith(ELSEWHERE)):
                _move(staged, final)
        if noted.publish:
            self._note(Journal((), noted.wrote))

    def _note(self, journal: Journal) -> None:
        written = self.folder / ".journal"
        with whole_file(written) as file:
            file.write(json.dumps(journal._asdict()).encode())
        os.replace(written, self._journal)

    def _sweep(self, keep: Iterable[str] = ()) -> None:
        """Remove what is in the folder, but for what patterns keep."""
        for path in self.folder.iterdir():
            if not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in keep):
                path.unlink()


def is_unfinished(output: Path) -> bool:
    """Tell whether an output is of a run that was killed before its end, so that the next may replace it."""
    return output.name in _read(_journal_path(output)).wrote


def _journal_path(output: Path) -> Path:
    return output.with_name(f".{output.name}.journal")


def _read(path: Path) -> Journal:
    """Read a journal; an empty one where there is none, or none that can be used."""
    try:
        found = json.loads(path.read_bytes())
        publish, wrote = (tuple(found[key]) for key in Journal._fields)
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return Journal()
    return Journal(publish, wrote) if all(map(is_plain, (*publish, *wrote))) else Journal()


def _move(staged: Path, final: Path) -> None:
    """Rename a complete file; onto another disk it is copied, whole or not at all."""
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, final)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with whole_file(final) as file, staged.open("rb") as taken:
            shutil.copyfileobj(taken, file)
        staged.unlink()
