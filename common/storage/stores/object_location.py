"""Object location: ``pathlib``'s methods and those of :class:`Location` on a store of objects."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar, Protocol, Self, cast

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.stores.store import Change, Stat, gather_listing
from bodyposenet.common.storage.stores.streams import PartsFile, Upload, open_ranges

DELETIONS = 16  # at once
OVERTAKEN_TRIES = 20  # of a change that others keep overtaking


class ObjectClient(Protocol):
    """What a store does; paths are ``bucket/name``. What fails is an OSError, or is told as a UserError already."""

    def stat(self, path: str) -> Stat:
        """An object's bytes and version.

        Raises:
            FileNotFoundError: There is none.
        """
        ...

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of an object; fewer where it ends before."""
        ...

    def below(self, path: str) -> Iterator[tuple[str, Stat]]:
        """Name below the path, bytes and version of every object, asked for in pages."""
        ...

    def names(self, path: str) -> Iterator[str]:
        """Names of files and folders directly below the path."""
        ...

    def put(self, path: str, content: bytes, *, over: str | None = None) -> None:
        """Write an object.

        Args:
            path: Of it.
            content: Of it.
            over: Only if its version is still this one; nothing: if it does not exist. None writes it anyhow.

        Raises:
            FileExistsError: It is another by now.
        """
        ...

    def begin(self, path: str) -> Upload:
        """Begin to write a large object."""
        ...

    def remove(self, path: str) -> None:
        """Delete an object, if there is one."""
        ...

    def look_at_bucket(self, path: str) -> None:
        """Ask for the bucket of a path.

        Raises:
            FileNotFoundError: There is none.
            PermissionError: It may not be looked at.
        """
        ...


class ObjectLocation(ABC):
    """A path in a store of objects.

    Folders need not be made there. What lies there is looked up anew each time, as others write, too.
    """

    __slots__ = ("_key", "_scheme")

    remote: ClassVar[bool] = True
    has_lists: ClassVar[bool] = True

    def __init__(self, address: str) -> None:
        self._scheme, _, path = address.partition("://")
        self._key = PurePosixPath(path)

    @property
    @abstractmethod
    def client(self) -> ObjectClient:
        """The client of this process."""

    def _move(self, key: PurePosixPath) -> Self:
        return type(self)(f"{self._scheme}://{key}")

    @property
    def path(self) -> str:
        """``bucket/name``."""
        return str(self._key)

    def __str__(self) -> str:
        return f"{self._scheme}://{self._key}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(other) == str(self)

    def __hash__(self) -> int:
        return hash(str(self))

    def __lt__(self, other: Self) -> bool:
        return str(self) < str(other)

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (str(self),)

    @property
    def name(self) -> str:
        """The last part; nothing for a bucket."""
        return self._key.name if len(self._key.parts) > 1 else ""

    @property
    def stem(self) -> str:
        """The last part without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The end of the last part, from its last dot on."""
        return PurePosixPath(self.name).suffix

    @property
    def suffixes(self) -> list[str]:
        """All of them."""
        return PurePosixPath(self.name).suffixes

    @property
    def parent(self) -> Self:
        """The folder; that of a bucket is itself."""
        return self._move(self._key.parent) if len(self._key.parts) > 1 else self

    @property
    def parents(self) -> Sequence[Self]:
        """The folder, its folder and so on, up to the bucket."""
        return [self._move(key) for key in self._key.parents if str(key) != "."]

    def __truediv__(self, name: str) -> Self:
        return self._move(self._key / str(name).lstrip("/"))

    def with_name(self, name: str) -> Self:
        """Another file of the same folder."""
        return self._move(self._key.with_name(name))

    def with_suffix(self, suffix: str) -> Self:
        """The same with another ending."""
        return self._move(self._key.with_suffix(suffix))

    def absolute(self) -> Self:
        """The same: every address is."""
        return self

    def is_file(self) -> bool:
        """Whether there is such an object."""
        try:
            self.count_bytes()
        except FileNotFoundError:
            return False
        return True

    def is_dir(self) -> bool:
        """Whether there are objects below."""
        try:
            return next(self.client.names(self.path), None) is not None
        except FileNotFoundError:
            return False

    def exists(self) -> bool:
        """Whether there is such an object, or are some below."""
        return self.is_file() or self.is_dir()

    def iterdir(self) -> Iterator[Self]:
        """Files and folders directly below.

        Raises:
            FileNotFoundError: There are none.
        """
        names = list(self.client.names(self.path))
        if not names:
            raise FileNotFoundError(str(self))
        yield from (self / name for name in names)

    def glob(self, pattern: str) -> Iterator[Self]:
        """Files and folders directly below whose names fit a pattern."""
        with contextlib.suppress(FileNotFoundError):
            yield from (path for path in self.iterdir() if fnmatchcase(path.name, pattern))

    def read_bytes(self) -> bytes:
        """The whole content."""
        return self.fetch()

    def read_text(self, *, encoding: str) -> str:
        """The whole content as text."""
        return self.fetch().decode(encoding)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:  # noqa: B027  # done so
        """Make nothing: a store has no folders, and a bucket itself is not ours to make."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object."""
        if not missing_ok:
            self.client.stat(self.path)
        self.client.remove(self.path)

    def require_store(self) -> None:
        """Refuse a bucket that does not exist; one that may not be looked at may be there."""
        with contextlib.suppress(PermissionError):
            self.client.look_at_bucket(self.path)

    def count_bytes(self) -> int:
        """Return the object's size."""
        return self.client.stat(self.path).size

    def find_version(self) -> str:
        """Return the object's ETag."""
        return self.client.stat(self.path).version

    def fetch(self, start: int = 0, end: int | None = None) -> bytes:
        """Read the object's bytes with one request."""
        return self.client.read(self.path, start, end)

    def open_stream(self) -> BinaryIO:
        """Open the object; it is read ahead by the block."""
        return cast("BinaryIO", open_ranges(self.fetch, self.count_bytes()))

    def list_files(self) -> dict[str, Stat]:
        """List every object below the path."""
        found = gather_listing(self.client.below(self.path), self)
        if not found:
            raise FileNotFoundError(str(self))
        return found

    def write_whole(self) -> AbstractContextManager[BinaryIO]:
        """Upload; the object appears when it is complete."""
        return self._upload()

    @contextlib.contextmanager
    def _upload(self) -> Iterator[BinaryIO]:
        client, path = self.client, self.path
        file = PartsFile(lambda content: client.put(path, content), lambda: client.begin(path))
        try:
            yield cast("BinaryIO", file)
            file.finish()
        except BaseException:
            with contextlib.suppress(Exception):
                file.give_up()
            raise

    def write_soon(self, token: str = "") -> AbstractContextManager[BinaryIO]:
        """Upload: an object has no name before it is complete."""
        return self.write_whole()

    def change(self, make: Change) -> None:
        """Write the object if it is still the one that was read; else read and change it again.

        Raises:
            UserError: Others keep changing it.
        """
        content: bytes | None = None
        for _ in range(OVERTAKEN_TRIES):
            old, version = self._read_version()
            if content is not None and old == content:  # it was written, and the answer was lost
                return
            content = make(old)
            with contextlib.suppress(FileExistsError):
                return self.client.put(self.path, content, over=version)
        raise UserError("others keep changing this file", where=str(self), fix="run it again")

    def _read_version(self) -> tuple[bytes | None, str]:
        """The content and a version that is no newer: if another comes in between, it is not written over."""
        try:
            version = self.find_version()
            return self.fetch(), version
        except FileNotFoundError:
            return None, ""

    def append(self, content: bytes) -> None:
        """Write the object anew with bytes at its end."""
        self.change(lambda before: (before or b"") + content)

    def remove_folder(self) -> None:
        """Delete every object below the path, several at once."""
        names = [name for name, _ in self.client.below(self.path)]
        with ThreadPoolExecutor(DELETIONS) as threads:
            list(threads.map(lambda name: self.client.remove(f"{self.path}/{name}"), names))
