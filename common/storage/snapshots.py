"""Snapshots: a folder's files as they are at a moment, kept where they outlive the machine, whole or not at all.

Each is one archive whose name has its number, who wrote it, and a digest of its bytes. So a place needs no locks: of
several that write there at once none harms what another has written, older ones are removed by all alike, and whoever
reads finds the newest one that is whole.
"""

import contextlib
import logging
import os
import queue
import re
import secrets
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

from bodyposenet.common.bounds import SNAPSHOT_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.digests import digest_file
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.inside import join_inside
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.unpacking import extract_all

log = logging.getLogger(__name__)

NAME = re.compile(r"(\d{8})-[0-9a-f]{8}-([0-9a-f]{32})\.zip")
NOTE = "attempt.json"  # beside those of a training: says what is at work
KEPT = 2  # the newest, and the one before it, should the newest prove damaged
ASIDE = ".saving-"  # how the names of folders with files on their way begin
BLOCK = 1 << 20  # bytes that are copied at once

Choose = Callable[[Path], Iterable[Path]]


class Snapshots:
    """The snapshots of one folder in a place.

    Args:
        place: A folder on a disk or in a bucket, for these alone.
    """

    def __init__(self, place: Location) -> None:
        self.place = place
        self._writer = secrets.token_hex(4)
        self._number = 0
        self._useless: set[str] = set()

    def restore(self, folder: Path) -> str:
        """Unpack the newest whole snapshot into a folder; a damaged one is told, and passed over for the one before.

        Args:
            folder: Is made; files of the same names are replaced.

        Returns:
            The snapshot's name; nothing if there is none that is whole.

        Raises:
            UserError: The place cannot be read, or the folder not be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f"{ASIDE}*"):  # by an attempt that was killed
            shutil.rmtree(left, ignore_errors=True)
        with translate_errors(self.place):
            self._remove_torn()
            while names := self._list():
                newest = names[-1]
                with contextlib.suppress(FileNotFoundError):  # somebody has written newer ones and removed this
                    if self._unpack(newest, folder):
                        return newest
                    log.warning("%s: damaged, so the one before is looked for", self.place / newest)
                self._useless.add(newest)
        return ""

    def keep(self, folder: Path) -> int:
        """Write a snapshot of all files of a folder, and remove those that are older than the one before.

        Args:
            folder: Nobody changes its files meanwhile.

        Returns:
            Its bytes.

        Raises:
            UserError: The place cannot be written.
            OSError: The folder cannot be read, or the disk for temporary files is full.
        """
        with tempfile.TemporaryDirectory(prefix=ASIDE, dir=folder.parent) as aside:
            archive = Path(aside) / "archive.zip"
            _pack(folder, archive)
            digest, size = digest_file(archive)[:32], archive.stat().st_size
            with translate_errors(self.place):
                self._list()
            self._number += 1
            with archive.open("rb") as source, whole_file(self._name(digest)) as copy:
                shutil.copyfileobj(source, copy, BLOCK)
        with translate_errors(self.place):
            for old in (*self._list()[:-KEPT], *self._useless):
                (self.place / old).unlink(missing_ok=True)
        self._useless.clear()
        return size

    def remove(self) -> None:
        """Remove them all, and whatever else is in the place.

        Raises:
            UserError: The place cannot be written.
        """
        with translate_errors(self.place):
            self.place.remove_folder()

    def _name(self, digest: str) -> Location:
        return self.place / f"{self._number:08d}-{self._writer}-{digest}.zip"

    def _list(self) -> list[str]:
        """Names of those that may be whole, oldest first; what is written next gets a greater number."""
        if not self.place.is_dir():
            return []
        found = {name: int(match[1]) for name in self.place.list_files() if (match := NAME.fullmatch(name))}
        self._number = max(self._number, *found.values(), 0)
        return sorted(found.keys() - self._useless)

    def _unpack(self, name: str, folder: Path) -> bool:
        """Unpack a snapshot; whether it is whole."""
        with tempfile.TemporaryDirectory(prefix=ASIDE, dir=folder) as aside:
            archive, files = Path(aside) / "archive.zip", Path(aside) / "files"
            with (self.place / name).open_stream() as source, archive.open("wb") as copy:
                shutil.copyfileobj(source, copy, BLOCK)
            if not name.endswith(f"-{digest_file(archive)[:32]}.zip"):
                return False
            try:
                members = extract_all(archive, files, most_bytes=SNAPSHOT_BYTES, fix="remove it")
                for member in members:
                    final = join_inside(folder, member, where=name)
                    final.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(files / member, final)
            except UserError as error:
                log.warning("%s", error)
                return False
        return True

    def _remove_torn(self) -> None:
        """Remove what writers that were killed have left on a disk; a bucket has nothing of that kind."""
        if not self.place.remote and self.place.is_dir():
            for torn in self.place.glob(".*.tmp"):
                torn.unlink(missing_ok=True)


class SnapshotThread:
    """Keeps snapshots of a folder in a thread: whoever works in the folder waits for links and small copies alone.

    Leaving the block waits for what is to be kept. What cannot be kept costs a warning: the work is worth more.

    Args:
        snapshots: Where to.
        folder: Of the files. Large ones, with the endings of networks, are replaced and never changed; others may grow.
        choose: Chooses its files that are to be kept.
    """

    LINKED = (".keras", ".tlt")

    def __init__(self, snapshots: Snapshots, folder: Path, choose: Choose) -> None:
        self.snapshots, self.folder, self.choose = snapshots, folder, choose
        self._waiting: queue.Queue[tempfile.TemporaryDirectory[str] | None] = queue.Queue(maxsize=1)
        self._thread = threading.Thread(target=self._work, name="snapshots", daemon=True)

    def __enter__(self) -> "SnapshotThread":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waiting.put(None)
        self._thread.join()

    def take(self) -> None:
        """Have the folder kept as it is now; if the one before still waits, it is passed over for this one."""
        try:
            aside = self._set_aside()
        except OSError as error:  # a full disk, say: the work goes on
            log.warning("%s: this checkpoint is not kept there: %s", self.snapshots.place, error)
            return
        with contextlib.suppress(queue.Empty):
            before = self._waiting.get_nowait()
            if before:
                before.cleanup()
        self._waiting.put(aside)

    def _set_aside(self) -> "tempfile.TemporaryDirectory[str]":
        """Copy or link the files that are to be kept, as they are now."""
        aside = tempfile.TemporaryDirectory(prefix=ASIDE, dir=self.folder, ignore_cleanup_errors=True)
        for path in self.choose(self.folder):
            copy = Path(aside.name) / "files" / path.relative_to(self.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.suffix not in self.LINKED or not _link(path, copy):
                shutil.copyfile(path, copy)
        return aside

    def _work(self) -> None:
        while aside := self._waiting.get():
            with aside as folder:
                begun = time.monotonic()
                try:
                    size = self.snapshots.keep(Path(folder) / "files")
                    log.info("%s: kept %.1f MB in %.1f s", self.snapshots.place, size / 1e6, time.monotonic() - begun)
                except Exception as error:  # whatever is wrong with the store, the work goes on
                    log.warning("%s: this checkpoint is not kept there: %s", self.snapshots.place, error)


def _pack(folder: Path, archive: Path) -> None:
    """Put a folder's files into an archive, in pieces so large that other threads seldom wait for Python."""
    with zipfile.ZipFile(archive, "w") as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            with path.open("rb") as source, packed.open(name, "w", force_zip64=True) as member:
                shutil.copyfileobj(source, member, BLOCK)


def _link(path: Path, copy: Path) -> bool:
    """Give a file a second name, where its file system knows how."""
    try:
        os.link(path, copy)
    except OSError:
        return False
    return True
