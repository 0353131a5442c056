"""Together: several outputs that appear all or none, however the process that writes them ends.

They are written in a hidden folder beside the first of them. When all are complete and on the disk a journal says so,
and they are renamed; whoever comes after a kill in between goes on with that. The journal goes when the whole verb has
ended: while it is there, the outputs are those of a run that did not end, and may be replaced.
"""

import contextlib
import errno
import fnmatch
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from bodyposenet.common.bounds import NOTE_BYTES
from bodyposenet.common.errors import MALFORMED, AwayError, UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import find_bytes, move_whole, settle, whole_file
from bodyposenet.common.storage.inside import join_inside, remove_inside, stays_inside
from bodyposenet.common.storage.location import LocalLocation, Location, locate
from bodyposenet.common.storage.locking import OWNER, hold_folder, remove_bare, share_folder

JOURNAL = ".journal"  # in the staging folder, until it is complete
ELSEWHERE = "elsewhere-"  # what a file is called in the staging folder that does not go beside the others
RESERVE = (".reserve-0.tmp", ".reserve-1.tmp")  # files that keep room for the journal, which is written twice
ROOM = 4096  # bytes of each: what a short journal takes on most disks
CONTENTS = "contents"  # of a folder that is filled from within
STAGING = ".staging"  # how the name of a staging folder ends
NAMING = (".json", ".yaml", ".html", ".txt")  # endings of files that may name others


class Journal(NamedTuple):
    """What a run that publishes has noted, by paths below the output's folder.

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
        output: The first output. The others appear beside it, or in folders beside it.
        elsewhere: Outputs that go to other places, on any disk.
        keep: Patterns of files that a killed run leaves for the next.

    Attributes:
        folder: Where outputs are written, under their final names.
    """

    def __init__(self, output: Path, *, elsewhere: Sequence[Path] = (), keep: Sequence[str] = ()) -> None:
        self.output, self.keep = output, tuple(keep)
        self.folder = output.with_name(f".{output.name}{STAGING}")
        self._elsewhere = {f"{ELSEWHERE}{number}": path for number, path in enumerate(elsewhere)}
        self._journal = _journal_path(output)
        self._lock = contextlib.ExitStack()
        self._published = False

    def __enter__(self) -> Self:
        with translate_errors(self.folder), self._lock:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock.enter_context(hold_folder(self.folder, "another run is writing this", where=str(self.output)))
            self._rename(self._find_unfinished())
            self._sweep((*self.keep, OWNER))
            for name in RESERVE:
                (self.folder / name).write_bytes(bytes(ROOM))
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
                    self._sweep((*self.keep, OWNER))
                    remove_bare(self.folder)  # unless something is kept

    def stage(self, final: Path) -> Path:
        """Tell where to write what is to appear as a path: one beside the output, or named as ``elsewhere``."""
        return self.folder / self._name(final)

    def is_leftover(self, final: Path) -> bool:
        """Tell whether a file is there only because a run was killed that let it appear."""
        return self._name(final) in _read(self._journal).wrote

    def _name(self, final: Path) -> str:
        """Name a path in the staging folder, and in the journal."""
        if found := next((name for name, path in self._elsewhere.items() if path == final), ""):
            return found
        beside = self.output.parent
        return final.relative_to(beside).as_posix() if final.is_relative_to(beside) else final.name

    def publish(self) -> None:
        """Let everything in the folder appear, whatever was there under these names before."""
        with translate_errors(self.folder):
            files = [path for path in self.folder.rglob("*") if path.is_file() and not self._is_own(path)]
            files.sort(key=_order)
            staged = tuple(path.relative_to(self.folder).as_posix() for path in files)
            for name in staged:
                _require_free(self._find_final(name))
            for path in files:
                settle(path)
            before = _read(self._journal).wrote
            self._note(Journal(staged, (*before, *staged)))
            for name in {*before} - {*staged}:
                self._remove_left(name)
            self._rename(staged)
            self._published = True

    def _is_own(self, path: Path) -> bool:
        """Tell files that are not to appear: the journal, those on their way, and what is kept for the next run."""
        return any(fnmatch.fnmatchcase(path.name, pattern) for pattern in (JOURNAL, OWNER, ".*.tmp", *self.keep))

    def _remove_left(self, name: str) -> None:
        """Remove what a killed run let appear and this one does not make; only what is called as this one's output."""
        if name not in self._elsewhere and Path(name).parts[0].startswith(self.output.stem):
            remove_inside(self.output.parent, name, where=str(self._journal))

    def _find_unfinished(self) -> tuple[str, ...]:
        """Read what a killed run was publishing; a journal may be anybody's, so no link may lead a name away."""
        names, beside = _read(self._journal).publish, self.output.parent
        for name in names:
            if name not in self._elsewhere:
                join_inside(beside, name, where=str(self._journal))
            join_inside(self.folder, name, where=str(self._journal))
        return names

    def _rename(self, names: Sequence[str]) -> None:
        """Let the files appear that the journal names, and note that."""
        for name in names:
            staged, final = self.folder / name, self._find_final(name)
            if staged.is_file() and (name in self._elsewhere or not name.startswith(ELSEWHERE)):
                move_whole(staged, final)
        if names:
            self._note(Journal((), _read(self._journal).wrote))

    def _find_final(self, name: str) -> Path:
        return self._elsewhere.get(name, self.output.parent / name)

    def _note(self, journal: Journal) -> None:
        """Write the journal, in the room that was kept for it: outputs may have appeared already that go with these."""
        kept = next((path for name in RESERVE if (path := self.folder / name).exists()), None)
        if kept is not None:
            kept.unlink()
        written = self.folder / JOURNAL
        with whole_file(written) as file:
            file.write(json.dumps(journal._asdict()).encode())
        os.replace(written, self._journal)

    def _sweep(self, keep: Iterable[str] = ()) -> None:
        """Remove what is in the folder, but for files that patterns keep; a link is removed, not what it means."""
        for path in self.folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            elif path.is_symlink() or not any(fnmatch.fnmatchcase(path.name, pattern) for pattern in keep):
                path.unlink()


@contextlib.contextmanager
def appear_together(folder: Location, name: str) -> Iterator[Location]:
    """Give a folder to write to; what is in it appears in another, all or nothing, when the block ends well.

    A bucket has no names that can be changed: there each object appears by itself, whole, so that what names the others
    is to be written last.

    Args:
        folder: Where the outputs are to be; it is made.
        name: The verb's or the main output's, which tells this one's leftovers from others' in that folder.

    Raises:
        UserError: Another run is writing the same, or the disk refuses.
    """
    if folder.remote:
        yield folder
        return
    with Together(Path(str(folder)) / name) as files:
        yield locate(files.folder)
        files.publish()


@contextlib.contextmanager
def fill_folder(folder: Location) -> Iterator[tuple[Location, Callable[[], None]]]:
    """Give a folder to write to in place of another, and what lets everything in it appear there.

    The verb goes on within the block; until that ends, the folder counts as left by a killed run. In a bucket both are
    one.

    Args:
        folder: Where the outputs are to be.

    Raises:
        UserError: Another run is writing the same, or the disk refuses.
    """
    if folder.remote:
        yield folder, lambda: None
        return
    output = Path(str(folder)).resolve()
    if output.is_dir() and not os.access(output.parent, os.W_OK):  # a volume that is mounted there
        with Together(output / CONTENTS) as files:
            yield locate(files.folder), files.publish
        return
    with Together(output) as files:
        yield locate(files.folder / output.name), files.publish


@contextlib.contextmanager
def work_in(folder: Location) -> Iterator[None]:
    """Be at work in a folder that others may work in, too, but nobody may clear meanwhile; a bucket has no locks.

    Raises:
        UserError: It cannot be made.
    """
    with contextlib.ExitStack() as stack:
        if not folder.remote:
            with translate_errors(folder):
                stack.enter_context(share_folder(Path(str(folder))))
        yield


def is_unfinished(output: Path) -> bool:
    """Tell whether an output is of a run that was killed before its end, so that the next may replace it.

    Args:
        output: A file, or a folder with all that a run writes.
    """
    output = output.resolve()
    beside, within = (_read(_journal_path(place)).wrote for place in (output, output / CONTENTS))
    return bool(within) or any(Path(name).parts[0] == output.name for name in beside)


def refuse_existing(output: Path) -> None:
    """Refuse to replace an output, unless a run that was killed left it.

    Raises:
        UserError: The file exists.
    """
    if output.exists() and not is_unfinished(output):
        raise UserError("the file exists", where=str(output), fix="name another with -o, or remove it")


def is_publishing(staging: Path) -> bool:
    """Tell whether a killed run was letting appear what is in a staging folder: the next run goes on with that."""
    return bool(_read(_journal_path(staging.with_name(staging.name[1:].removesuffix(STAGING)))).publish)


def _order(path: Path) -> tuple[bool, int, Path]:
    """What names others appears after them: it is written later, and is a text, should the clock have been set back."""
    return path.suffix in NAMING, path.stat().st_mtime_ns, path


def _journal_path(output: Path) -> Path:
    return output.with_name(f".{output.name}.journal")


def _read(path: Path) -> Journal:
    """Read a journal; an empty one where there is none, or none that can be used."""
    try:
        found = json.loads(find_bytes(path, most=NOTE_BYTES) or b"{}")
        publish, wrote = (tuple(found[key]) for key in Journal._fields)
    except AwayError:
        raise
    except MALFORMED:
        return Journal()
    return Journal(publish, wrote) if all(map(_is_inside, (*publish, *wrote))) else Journal()


def _is_inside(name: object) -> bool:
    return isinstance(name, str) and stays_inside(name)


def _require_free(final: Path) -> None:
    """Refuse a final name that cannot be taken, before any other is."""
    with translate_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
        if final.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(final))
        LocalLocation(final).refuse_device()
        if not os.access(final.parent, os.W_OK):
            code = errno.EROFS if os.statvfs(final.parent).f_flag & os.ST_RDONLY else errno.EACCES
            raise OSError(code, os.strerror(code), str(final))
