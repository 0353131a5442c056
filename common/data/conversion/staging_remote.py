"""Remote staging: finished pieces of a conversion as objects of a store, streamed together into shards at the end."""

import contextlib
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from bodyposenet.common.data.conversion.jobs import DATA, DESCRIPTION, PieceResult
from bodyposenet.common.data.conversion.staging import BLOCK, StagedShard, Staging
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import read_bytes, whole_file
from bodyposenet.common.storage.location import Location

S = TypeVar("S")
T = TypeVar("T")

REQUESTS = 8  # at a time


class RemoteStaging(Staging):
    """Pieces in a bucket, where nothing is appended to: they are kept until all shards are published.

    A bucket has no locks: nobody keeps two conversions to one name apart.
    """

    def _open(self) -> None:
        """Nothing to make."""

    def _neighbours(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):  # nothing was written there yet
            return [path.name for path in self.folder.parent.iterdir()]
        return []

    def _remove_other(self, folder: Location) -> None:
        self._remove_unnamed(folder)
        folder.remove_folder()

    def recover(self, shards: Sequence[StagedShard], others: Sequence[str] = ()) -> None:
        """Take over what earlier attempts finished."""
        self.shards = list(shards)
        sizes: dict[str, int] = {}
        with translate_errors(self.folder):
            with contextlib.suppress(FileNotFoundError):  # nothing is finished
                sizes = {name: stat.size for name, stat in self.folder.list_files().items()}
            found = _side_by_side(self._description, [name for name in sizes if name.endswith(DESCRIPTION)])
        wanted = {name for shard in shards for name in shard.names}
        for made in found:
            if made.name in others or (made.name in wanted and sizes.get(made.name + DATA) == made.size):
                self.made[made.name] = made

    def _description(self, name: str) -> PieceResult:
        return PieceResult.from_json(read_bytes(self._file(name)))

    def _join(self, shard: StagedShard) -> None:
        """Not before all pieces are there."""

    def _settle(self) -> None:
        """Objects are where they are to stay."""

    def publish(self) -> None:
        """Stream each shard's pieces into an object."""
        _side_by_side(self._stream, self.shards)

    def bring(self, shards: Sequence[StagedShard]) -> None:
        """Take complete files as shards; they are copied when they are published."""
        self.shards = list(shards)

    def _stream(self, shard: StagedShard) -> None:
        if shard.whole is not None:
            self._copy(shard.whole, shard.final)
            return
        with whole_file(shard.final) as file:
            for name in shard.names:
                file.write(read_bytes(self._file(name + DATA), most=sys.maxsize))

    def _copy(self, whole: Location, final: Location) -> None:
        if str(whole) != str(final):
            with translate_errors(whole), whole_file(final) as file, whole.open_stream() as taken:
                shutil.copyfileobj(taken, file, BLOCK)

    def tidy(self) -> None:
        """Nothing to remove: an object appears when it is whole."""

    def clear(self) -> None:
        """Remove the objects."""
        with translate_errors(self.folder):
            self.folder.remove_folder()


def _side_by_side(call: Callable[[S], T], values: Iterable[S]) -> list[T]:
    """What a function that waits for a server returns for each value."""
    with ThreadPoolExecutor(REQUESTS) as threads:
        return list(threads.map(call, values))
