"""Staging: the hidden folder beside the output where finished pieces wait, for a later attempt too."""

import contextlib
import json
import os
import re
import shutil
from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

import google_crc32c

from bodyposenet.common.data.conversion.jobs import DATA, DESCRIPTION, MORE, PieceResult
from bodyposenet.common.data.conversion.publish_note import READY, PublishNote, remove_unnamed
from bodyposenet.common.errors import MALFORMED
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file, write_unsynced
from bodyposenet.common.storage.location import Location
from bodyposenet.common.storage.locking import OWNER, hold_folder

BLOCK = 1 << 20  # bytes
PART = ".part"
TRIES = 5  # to remove a folder in which a dying process may still write


class StagedShard:
    """A shard in the making.

    Args:
        final: Its path.
        label: Names its unfinished file.
        names: Its pieces', in order.
        whole: A complete file that becomes the shard, in place of pieces.
    """

    def __init__(self, final: Location, label: str, names: Sequence[str] = (), whole: Location | None = None) -> None:
        self.final, self.label, self.names, self.whole = final, label, tuple(names), whole
        self.joined = 0  # pieces that the unfinished file has


class Staging:
    """Finished pieces of a conversion; on a disk they join their shard's file as soon as those before them have.

    The pieces of a shard are thus kept once. Every step can be cut off: what is in the folder is held to its checksums
    when a later attempt finds it.

    Args:
        prefix: Folder and base name of the shards.
        key: Tells this conversion from others to the same name: 16 hexadecimal digits.

    Attributes:
        folder: The folder.
        made: What each finished piece came to, by its name.
    """

    def __init__(self, prefix: Location, key: str) -> None:
        self.prefix, self.key = prefix, key
        self.folder = prefix.with_name(f".{prefix.name}.{key}")
        self.made: dict[str, PieceResult] = {}
        self.shards: list[StagedShard] = []
        self._shard_of: dict[str, StagedShard] = {}
        self._lock = contextlib.ExitStack()

    def __enter__(self) -> "Staging":
        attempt = _attempt(self.prefix.name)
        with translate_errors(self.folder), self._lock:
            earlier = [name for name in self._neighbours() if attempt.fullmatch(name) and name != self.folder.name]
            for name in earlier:
                self._remove_other(self.folder.with_name(name))
            self._open()
            self._lock = self._lock.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    @classmethod
    def find_notes(cls, prefix: Location) -> list[PublishNote]:
        """Find what stopped conversions to a name were about to let appear, or had let."""
        with translate_errors(prefix):
            attempts = [name for name in cls(prefix, "")._neighbours() if _attempt(prefix.name).fullmatch(name)]
        notes = [PublishNote.read(prefix.with_name(name) / READY) for name in attempts]
        return [note for note in notes if note is not None]

    def _neighbours(self) -> list[str]:
        """List the folders in that of the output; what only leads to one, no attempt has made."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with os.scandir(str(self.folder.parent)) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]

    def _open(self) -> None:
        """Make the folder, or take it over; links in it, which may lead anywhere, go, and all that is no file."""
        self.folder.mkdir(exist_ok=True)
        self._lock.enter_context(self._hold(self.folder))
        with os.scandir(str(self.folder)) as entries:
            strange = [entry for entry in entries if not entry.is_file(follow_symlinks=False)]
        for entry in strange:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)

    def _remove_other(self, folder: Location) -> None:
        with self._hold(folder):
            self._remove_unnamed(folder)
            shutil.rmtree(str(folder))

    def _remove_unnamed(self, folder: Location) -> None:
        """Remove shards that an attempt let appear, or was to remove, and that no manifest names."""
        note = PublishNote.read(folder / READY)
        if note is not None:
            remove_unnamed(self.folder.parent, [*note.replaced, *note.files], self.prefix.name, folder / READY)

    def _hold(self, folder: Location) -> AbstractContextManager[None]:
        """Keep other conversions out of a folder."""
        return hold_folder(Path(str(folder)), "another conversion to this name is running", where=str(self.prefix))

    def recover(self, shards: Sequence[StagedShard], others: Sequence[str] = ()) -> None:
        """Take over what earlier attempts finished, and remove what they began.

        Args:
            shards: What is to be made.
            others: Names of pieces that belong to no shard.
        """
        self.shards = list(shards)
        self._shard_of = {name: shard for shard in shards for name in shard.names}
        with translate_errors(self.folder):
            found = self._descriptions()
            if self.is_ready and all(self._is_whole(shard, found) for shard in shards):
                self.made = found
                return
            self._file(READY).unlink(missing_ok=True)
            for shard in shards:
                self._recover(shard, found)
            self.made |= {name: found[name] for name in others if name in found}
            self._sweep()
            for shard in shards:
                self._join(shard)

    def bring(self, shards: Sequence[StagedShard]) -> None:
        """Take complete files as shards: links where that can be, else copies.

        Args:
            shards: Each with a ``whole`` file; one that is its shard already stays where it is.
        """
        self.shards = list(shards)
        for shard in shards:
            part, whole = self._part(shard), shard.whole
            if self.is_ready or part.exists() or whole is None or str(whole) == str(shard.final):
                continue
            if not whole.remote:
                with contextlib.suppress(OSError):  # another disk
                    os.link(str(whole), str(part))
                    continue
            with translate_errors(whole), write_unsynced(part) as file, whole.open_stream() as taken:
                shutil.copyfileobj(taken, file, BLOCK)

    @property
    def is_ready(self) -> bool:
        """Whether all shards are complete."""
        return self._file(READY).exists()

    def add(self, made: PieceResult) -> None:
        """Take a finished piece."""
        self.made[made.name] = made
        if made.name in self._shard_of:
            self._join(self._shard_of[made.name])

    def ready(self, replaced: Iterable[str], described: str = "") -> list[str]:
        """Note that all shards are complete, once they are on the disk.

        Args:
            replaced: Files that are to go when the shards are published.
            described: Digest of what the manifest is to say of the set.

        Returns:
            These files; those of an attempt that got as far as this, if one did.
        """
        note = PublishNote.read(self._file(READY))
        if note is None:
            note = PublishNote(list(replaced), [shard.final.name for shard in self.shards], described)
            with translate_errors(self.folder):
                self._settle()
                with whole_file(self._file(READY)) as file:
                    file.write(json.dumps(asdict(note)).encode())
        return note.replaced

    def keep(self, files: Collection[str]) -> None:
        """Publish no shards but those of some names."""
        self.shards = [shard for shard in self.shards if shard.final.name in files]

    def publish(self) -> None:
        """Let the shards appear under their names."""
        for shard in self.shards:
            with translate_errors(shard.final), contextlib.suppress(FileNotFoundError):  # an earlier attempt did
                os.replace(str(self._part(shard)), str(shard.final))

    def tidy(self) -> None:
        """Remove what workers that were stopped had begun."""
        for aside in self.folder.glob(".*.tmp"):
            with contextlib.suppress(OSError):  # the error that stopped them is the one to tell
                aside.unlink()

    def clear(self) -> None:
        """Remove the folder."""
        with translate_errors(self.folder):
            for left in range(TRIES - 1, -1, -1):
                if self.folder.exists():
                    shutil.rmtree(str(self.folder), ignore_errors=left > 0)

    def _file(self, name: str) -> Location:
        return self.folder / name

    def _part(self, shard: StagedShard) -> Location:
        return self._file(shard.label + PART)

    def _descriptions(self) -> dict[str, PieceResult]:
        found = {}
        for file in self.folder.glob(f"*{DESCRIPTION}"):
            with contextlib.suppress(*MALFORMED):  # one that a power cut emptied
                found[file.stem] = PieceResult.from_json(file.fetch())
        return found

    def _is_whole(self, shard: StagedShard, found: dict[str, PieceResult]) -> bool:
        """Tell whether a complete shard is still there, published or not."""
        file = part if (part := self._part(shard)).exists() else shard.final
        size = sum(found[name].size for name in shard.names if name in found)
        return found.keys() >= set(shard.names) and file.is_file() and file.count_bytes() == size

    def _recover(self, shard: StagedShard, found: dict[str, PieceResult]) -> None:
        with open(str(self._part(shard)), "ab+") as file:
            file.seek(0)
            end = 0
            for name in shard.names:
                if name not in found or not _is_next(file, found[name]):
                    break
                end += found[name].size
                shard.joined += 1
            file.truncate(end)
        for place, name in enumerate(shard.names):
            if place < shard.joined or (name in found and self._is_sound(found[name])):
                self.made[name] = found[name]

    def _is_sound(self, made: PieceResult) -> bool:
        path = self._file(made.name + DATA)
        if not path.is_file() or path.count_bytes() != made.size:
            return False
        with path.open_stream() as file:
            return _is_next(file, made)

    def _sweep(self) -> None:
        """Remove every file that is not part of something finished."""
        keep = {OWNER} | {shard.label + PART for shard in self.shards} | {name + DESCRIPTION for name in self.made}
        keep |= {name + DATA for shard in self.shards for name in shard.names[shard.joined :] if name in self.made}
        for path in self.folder.iterdir():
            if path.name not in keep:
                path.unlink()

    def _join(self, shard: StagedShard) -> None:
        """Append the pieces that are next."""
        part = self._part(shard)
        while shard.joined < len(shard.names) and (name := shard.names[shard.joined]) in self.made:
            piece = self._file(name + DATA)
            with translate_errors(part, smaller=MORE), open(str(part), "ab") as file, piece.open_stream() as taken:
                _append(file, taken)
            piece.unlink()
            shard.joined += 1

    def _settle(self) -> None:
        """Wait until the shards are on the disk; those that are published are."""
        for shard in self.shards:
            with contextlib.suppress(FileNotFoundError), self._part(shard).open_stream() as file:
                os.fsync(file.fileno())


def _attempt(name: str) -> re.Pattern[str]:
    """Match the folders of attempts to write a set, from any input."""
    return re.compile(re.escape(f".{name}.") + "[0-9a-f]{16}")


def _append(file: BinaryIO, taken: BinaryIO) -> None:
    """Put a file at the end of another, and have the disk begin to write, so that there is less to wait for at last."""
    start, size = os.fstat(file.fileno()).st_size, os.fstat(taken.fileno()).st_size
    shutil.copyfileobj(taken, file, BLOCK)
    file.flush()
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(file.fileno(), start, size, os.POSIX_FADV_DONTNEED)


def _is_next(file: BinaryIO, made: PieceResult) -> bool:
    """Tell whether a piece is what comes next in a file."""
    crc, left = 0, made.size
    while left and (block := file.read(min(left, BLOCK))):
        crc, left = google_crc32c.extend(crc, block), left - len(block)
    return not left and crc == made.crc
