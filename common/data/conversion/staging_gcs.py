"""GCS staging: finished pieces of a conversion as objects, streamed together into shards at the end."""

import contextlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

from bodyposenet.common.data.conversion.jobs import DATA, DESCRIPTION, PieceResult
from bodyposenet.common.data.conversion.staging import BLOCK, StagedShard, Staging
from bodyposenet.common.storage.files import read_bytes, translate_errors, whole_file

if TYPE_CHECKING:
    from bodyposenet.common.storage.gcs import Remote

S = TypeVar("S")
T = TypeVar("T")

REQUESTS = 8  # at a time


class BucketStaging(Staging):
    """Pieces in a bucket, where nothing is appended to: they are kept until all shards are published.

    A bucket has no locks: nobody keeps two conversions to one name apart.
    """

    def _open(self) -> None:
        """Do nothing: there is nothing to make."""

    def _neighbours(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # nothing was written there yet
            return [path.name for path in self.folder.parent.iterdir()]
        return []

    def _remove_other(self, folder: Path) -> None:
        with translate_errors(folder):
            names = [name for name, *_ in _remote(folder).fs.below(_remote(folder).path)]
            _side_by_side(lambda name: (folder / name).unlink(missing_ok=True), names)

    def recover(self, shards: Sequence[StagedShard], others: Sequence[str] = ()) -> None:
        """Take over what earlier attempts finished."""
        self.shards = list(shards)
        with translate_errors(self.folder):
            sizes = {name: size for name, size, _ in _remote(self.folder).fs.below(_remote(self.folder).path)}
            described = [name for name in sizes if name.endswith(DESCRIPTION)]
            found = _side_by_side(lambda name: PieceResult.from_json(read_bytes(self._file(name))), described)
        wanted = {name for shard in shards for name in shard.names}
        for made in found:
            if made.name in others or (made.name in wanted and sizes.get(made.name + DATA) == made.size):
                self.made[made.name] = made

    def _join(self, shard: StagedShard) -> None:
        """Do nothing before all pieces are there."""

    def _settle(self) -> None:
        """Do nothing: objects are where they are to stay."""

    def publish(self) -> None:
        """Stream each shard's pieces into an object."""
        _side_by_side(self._stream, self.shards)

    def bring(self, shards: Sequence[StagedShard]) -> None:
        """Take complete files as shards; they are copied when they are published."""
        self.shards = list(shards)

    def _stream(self, shard: StagedShard) -> None:
        whole, final = shard.whole, shard.final
        if whole is None:
            with whole_file(final) as file:
                for name in shard.names:
                    file.write(read_bytes(self._file(name + DATA)))
        elif str(whole) != str(final):
            with translate_errors(whole), whole_file(final) as file, whole.open("rb") as taken:
                shutil.copyfileobj(taken, file, BLOCK)

    def tidy(self) -> None:
        """Do nothing: an object appears when it is whole."""

    def clear(self) -> None:
        """Remove the objects."""
        self._remove_other(self.folder)


def _remote(path: Path) -> "Remote":
    return cast("Remote", path)


def _side_by_side(call: Callable[[S], T], values: Iterable[S]) -> list[T]:
    """Call a function that waits for a server for several values at a time, and return what it returns."""
    with ThreadPoolExecutor(REQUESTS) as threads:
        return list(threads.map(call, values))
