"""Web: files of any server by their ``https://`` addresses, to be read whole or by ranges."""

import functools
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import PurePosixPath
from typing import BinaryIO, ClassVar, Never, Self
from urllib.parse import SplitResult, quote, unquote, urlsplit

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.stores.object_location import ObjectLocation
from bodyposenet.common.storage.stores.store import Change, Stat
from bodyposenet.common.storage.stores.web_requests import WebClient, check_private

KEPT = "/%:@!$&'()*+,;=~"  # characters of a path that mean themselves in an address
LISTED = "name the file itself, or a zip archive of the files; only gs://, s3:// and abfs:// have folders"


class WebLocation(ObjectLocation):
    """A file of a server, ``https://host/path``; it can be read, and neither listed nor written.

    What follows ``?`` signs the address, and stays with the paths that are made of it. What follows ``#`` is for who
    reads the file.
    """

    __slots__ = ("_part", "_query")

    remote: ClassVar[bool] = True
    has_lists: ClassVar[bool] = False

    def __init__(self, address: str) -> None:
        parts = _split(address)
        if "@" in parts.netloc:
            fix = "put them in ~/.netrc, for this host"
            raise UserError("an address holds no user and password here", where=address, fix=fix)
        check_private(address)
        super().__init__(f"{parts.scheme}://{parts.netloc}{quote(parts.path, safe=KEPT)}")
        self._query = quote(parts.query, safe=f"{KEPT}?")
        self._part = parts.fragment

    @property
    def client(self) -> WebClient:  # type: ignore[override]  # it reads alone
        """The client of this process."""
        return _make_client(os.getpid(), os.environ.get("SSL_CERT_FILE", ""))

    def _move(self, key: PurePosixPath) -> Self:
        moved = super()._move(key)
        moved._query = self._query
        return moved

    @property
    def path(self) -> str:
        """The whole address."""
        return str(self)

    def __str__(self) -> str:
        query, part = (f"{mark}{text}" if text else "" for mark, text in (("?", self._query), ("#", self._part)))
        return f"{super().__str__()}{query}{part}"

    @property
    def name(self) -> str:
        """The last part; nothing for a host."""
        return unquote(super().name)

    def __truediv__(self, name: str) -> Self:
        return super().__truediv__(quote(str(name), safe="/"))

    def with_name(self, name: str) -> Self:
        """Another file beside it."""
        return super().with_name(quote(name, safe=""))

    def is_dir(self) -> bool:
        """No: nobody can tell."""
        return False

    def iterdir(self) -> Iterator[Self]:
        """Refuse: there is no list."""
        self._refuse_listing()

    def glob(self, pattern: str) -> Iterator[Self]:
        """Refuse: there is no list."""
        self._refuse_listing()

    def list_files(self) -> dict[str, Stat]:
        """Refuse: there is no list."""
        self._refuse_listing()

    def _refuse_listing(self) -> Never:
        raise UserError("an https:// address has no list of files", where=str(self), fix=LISTED)

    def _refuse_writing(self) -> Never:
        fix = "write to a disk, or to a gs://, s3:// or abfs:// address"
        raise UserError("https:// addresses can only be read", where=str(self), fix=fix)

    def require_store(self) -> None:
        """Refuse nothing: a server that is not there has not answered."""

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Refuse: nothing can be written."""
        self._refuse_writing()

    def unlink(self, missing_ok: bool = False) -> None:
        """Refuse: nothing can be written."""
        self._refuse_writing()

    def write_whole(self) -> AbstractContextManager[BinaryIO]:
        """Refuse: nothing can be written."""
        self._refuse_writing()

    def change(self, make: Change) -> None:
        """Refuse: nothing can be written."""
        self._refuse_writing()

    def remove_folder(self) -> None:
        """Refuse: nothing can be written."""
        self._refuse_writing()


@functools.lru_cache(maxsize=4)
def _make_client(_process: int, _certificates: str) -> WebClient:
    return WebClient()


def _split(address: str) -> SplitResult:
    """Take an address apart.

    Raises:
        UserError: It is none: brackets that do not close, a port that is no number, a name that is too long.
    """
    try:
        parts = urlsplit(address)
        (parts.hostname or "").encode("idna"), parts.port  # each raises what it finds
    except ValueError as error:
        raise UserError(f"this is no address ({error})", where=address, fix="check the address") from None
    return parts
