"""Store: what can be done with a path, whatever store it is in; ``location.py`` finds the store of a path."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import islice
from typing import BinaryIO, ClassVar, NamedTuple, Protocol, Self

from bodyposenet.common import bounds
from bodyposenet.common.errors import AwayError

Change = Callable[[bytes | None], bytes]  # new content of the old one, or of None where there is no file


class Stat(NamedTuple):
    """What a listing tells of a file.

    Attributes:
        size: Its bytes.
        version: Another text whenever its content may be another.
    """

    size: int
    version: str


def gather_listing(files: Iterable[tuple[str, Stat]], where: object) -> dict[str, Stat]:
    """Gather what lies below a folder, as far as a folder may go.

    Raises:
        AwayError: There is more; memory would end before the list does.
    """
    left = iter(files)
    listed = dict(islice(left, bounds.FOLDER_FILES))
    if next(left, None) is not None:
        problem, fix = f"more than {bounds.FOLDER_FILES:,} files are below this folder", "name one further down"
        raise AwayError(problem, where=str(where), fix=fix)
    return listed


class _Pathlike(Protocol):
    """What is used here of ``pathlib.Path``."""

    @property
    def name(self) -> str: ...
    @property
    def stem(self) -> str: ...
    @property
    def suffix(self) -> str: ...
    @property
    def suffixes(self) -> list[str]: ...
    @property
    def parent(self) -> Self: ...
    @property
    def parents(self) -> Sequence[Self]: ...
    def __truediv__(self, name: str, /) -> Self: ...
    def __hash__(self) -> int: ...
    def with_name(self, name: str, /) -> Self: ...
    def absolute(self) -> Self: ...
    def exists(self) -> bool: ...
    def is_file(self) -> bool: ...
    def is_dir(self) -> bool: ...
    def iterdir(self) -> Iterator[Self]: ...
    def read_text(self, *, encoding: str) -> str: ...
    def glob(self, pattern: str, /) -> Iterator[Self]: ...
    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None: ...
    def unlink(self, missing_ok: bool = False) -> None: ...


class Location(_Pathlike, Protocol):
    """A path in a store, with methods of ``pathlib.Path``, and those that stores differ in.

    Failures are OSErrors that name the path; :func:`~bodyposenet.common.storage.errors.translate_errors` tells them.
    """

    remote: ClassVar[bool]  # whether to reach it takes a request to a server
    has_lists: ClassVar[bool]  # whether it tells what is in a folder

    def require_store(self) -> None:
        """Refuse a path in a store that does not exist.

        Raises:
            FileNotFoundError: There is no such bucket.
        """
        ...

    def count_bytes(self) -> int:
        """Return the file's size."""
        ...

    def find_version(self) -> str:
        """Return a text that is another whenever the file's content may be."""
        ...

    def fetch(self, start: int = 0, end: int | None = None) -> bytes:
        """Read the file's bytes from a place to another; fewer where it ends before."""
        ...

    def open_stream(self) -> BinaryIO:
        """Open the file for reading in turn and seeking."""
        ...

    def list_files(self) -> dict[str, Stat]:
        """List every file below the folder by its name with forward slashes, in one sweep; links are followed.

        Raises:
            FileNotFoundError: There is no such folder.
            AwayError: There are more files than one may have.
        """
        ...

    def write_whole(self) -> AbstractContextManager[BinaryIO]:
        """Open the file for writing so that it appears complete and safely stored, or not at all."""
        ...

    def write_soon(self, token: str = "") -> AbstractContextManager[BinaryIO]:
        """Do the same without waiting for the disk; its folder must be there.

        Args:
            token: Part of the name until then, so that a later attempt finds and replaces what a killed one left.
        """
        ...

    def change(self, make: Change) -> None:
        """Replace the file's content in one step, so that of several that do so at once none loses its change."""
        ...

    def append(self, content: bytes) -> None:
        """Add bytes to the file's end."""
        ...

    def remove_folder(self) -> None:
        """Remove everything below the folder, and what is missing already is no failure."""
        ...
