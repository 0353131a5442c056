"""Azure: containers of Azure's storage accounts; imported only where a path begins with ``abfs://``.

Accounts and keys are found as adlfs finds them: AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT_NAME and
AZURE_STORAGE_ACCOUNT_KEY and so on, or whoever is logged in.
"""

import asyncio
import contextlib
import functools
import os
import threading
import weakref
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import aiohttp
from adlfs import AzureBlobFileSystem
from azure.core import MatchConditions
from azure.core.exceptions import (
    AzureError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient
from fsspec.asyn import iothread, sync
from fsspec.exceptions import FSTimeoutError

from bodyposenet.common.errors import AwayError, PassingError
from bodyposenet.common.storage.stores.object_location import ObjectLocation
from bodyposenet.common.storage.stores.patience import ANSWER, BUSY, CONNECT, Failing, persist
from bodyposenet.common.storage.stores.store import Stat

T = TypeVar("T")

PAGE = 5000  # names in an answer: the service's most
WHOLE = 64 << 20  # bytes that one request reads
SILENT = (ServiceRequestError, FSTimeoutError, ConnectionError, TimeoutError)
BROKEN = (ServiceResponseError, DecodeError, aiohttp.ClientError)
PAST_THE_END, OVERTAKEN = 416, (409, 412)
ACCOUNT = "set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY"


class AzureClient:
    """The service's client: adlfs finds the account, its library makes the requests, by the rules of ``patience.py``.

    Args:
        account: Named by the address; nothing takes that of the environment.
    """

    def __init__(self, account: str) -> None:
        named = {"account_name": account} if account else {}
        self.fs = AzureBlobFileSystem(**named, use_listings_cache=False, skip_instance_cache=True)
        found = self.fs.service_client
        if account and found.account_name != account:  # a connection string goes before what the address says
            problem = f"the keys are those of account {found.account_name}"
            raise AwayError(problem, where=f"the account {account}", fix=f"{ACCOUNT}, of this account")
        self.service = BlobServiceClient(
            found.url,
            credential=found.credential,
            retry_total=0,
            connection_timeout=CONNECT,
            read_timeout=ANSWER,
            max_single_get_size=WHOLE,
            max_chunk_get_size=WHOLE,
        )
        weakref.finalize(self, _close, os.getpid(), self.fs.loop, self.service)

    def call(self, make: Callable[[], Awaitable[T]], path: str) -> T:
        """Make one of the service's requests about a path."""
        return persist(lambda: self._run(make), functools.partial(judge, where=f"abfs://{path}"))

    def _run(self, make: Callable[[], Awaitable[T]]) -> T:
        async def run() -> T:
            return await make()

        found: T = sync(self.fs.loop, run)
        return found

    def blob(self, path: str) -> BlobClient:
        """The service's object of a path."""
        container, key = _split(path)
        if not key:
            raise FileNotFoundError(path)
        return self.service.get_blob_client(container, key)

    def _container(self, path: str) -> ContainerClient:
        return self.service.get_container_client(_split(path)[0])

    def stat(self, path: str) -> Stat:
        """An object's bytes and ETag."""
        found = self.call(self.blob(path).get_blob_properties, path)
        return Stat(int(found.size), _unquote(found.etag))

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of an object; fewer where it ends before."""
        blob = self.blob(path)
        if end is not None and end <= start:
            return b""
        span: dict[str, Any] = (
            {"offset": start, "length": None if end is None else end - start} if start or end is not None else {}
        )

        async def read() -> bytes:
            try:
                return bytes(await (await blob.download_blob(**span)).readall())
            except HttpResponseError as error:
                if error.status_code == PAST_THE_END:
                    return b""
                raise

        return self.call(read, path)

    def below(self, path: str) -> Iterator[tuple[str, Stat]]:
        """Name below the path, bytes and ETag of every object."""
        prefix = _folder(path)
        for page in self._pages(path, lambda: self._container(path).list_blobs(prefix, results_per_page=PAGE)):
            for found in page:
                if not found.name.endswith("/") and not _is_folder(found):
                    yield found.name[len(prefix) :], Stat(int(found.size), _unquote(found.etag))

    def names(self, path: str) -> Iterator[str]:
        """Names of files and folders directly below the path."""
        prefix = _folder(path)
        for page in self._pages(path, lambda: self._container(path).walk_blobs(prefix, delimiter="/")):
            yield from (found.name[len(prefix) :].rstrip("/") for found in page if found.name != prefix)

    def _pages(self, path: str, ask: Callable[[], Any]) -> Iterator[list[Any]]:
        token: str | None = None

        async def fetch() -> tuple[list[Any], str | None]:
            pages = ask().by_page(continuation_token=token)
            async for page in pages:
                return [found async for found in page], pages.continuation_token
            return [], None

        while True:
            page, token = self.call(fetch, path)
            yield page
            if not token:
                return

    def put(self, path: str, content: bytes, *, over: str | None = None) -> None:
        """Write an object."""
        wish: dict[str, Any] = {"overwrite": over != ""}
        if over:
            wish |= {"etag": f'"{over}"', "match_condition": MatchConditions.IfNotModified}
        self.call(lambda: self.blob(path).upload_blob(content, length=len(content), **wish), path)

    def begin(self, path: str) -> "AzureUpload":
        """Begin to write a large object."""
        return AzureUpload(self, path)

    def remove(self, path: str) -> None:
        """Delete an object, if there is one."""
        try:
            self.call(self.blob(path).delete_blob, path)
        except FileNotFoundError:
            return

    def look_at_bucket(self, path: str) -> None:
        """Ask for the container of a path."""
        self.call(self._container(path).get_container_properties, path)


class AzureUpload:
    """A large object in blocks; those of an upload that was given up the service forgets after a week.

    Args:
        client: Of the service.
        path: Of the object.
    """

    def __init__(self, client: AzureClient, path: str) -> None:
        self._client, self._path = client, path
        self._writer = os.urandom(6).hex()  # of several that write at once none takes another's blocks
        self._blocks: list[str] = []

    def send(self, content: bytes) -> None:
        """Send the next block."""
        block = b64encode(f"{self._writer}-{len(self._blocks):08d}".encode()).decode()
        blob = self._client.blob(self._path)
        self._client.call(lambda: blob.stage_block(block, content, length=len(content)), self._path)
        self._blocks.append(block)

    def finish(self) -> None:
        """Let the object appear."""
        blocks = [BlobBlock(block_id=block) for block in self._blocks]
        self._client.call(lambda: self._client.blob(self._path).commit_block_list(blocks), self._path)

    def give_up(self) -> None:
        """Leave it to the service."""


class AzureLocation(ObjectLocation):
    """A path in a container, ``abfs://container/name`` or ``abfss://container@account.dfs.core.windows.net/name``."""

    __slots__ = ()

    @property
    def client(self) -> AzureClient:
        """The client of this process."""
        settings = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AZURE_")))
        account = self.path.partition("/")[0].partition("@")[2].partition(".")[0]
        return _make_client(os.getpid(), account, settings)


@functools.lru_cache(maxsize=64)  # one, but where tests go elsewhere
def _make_client(_process: int, account: str, _settings: tuple[tuple[str, str], ...]) -> AzureClient:
    try:
        return AzureClient(account)
    except (ValueError, AzureError) as error:
        said = str(error).splitlines()[0][:300]
        raise AwayError(f"no account for this store: {said}", where="abfs://", fix=ACCOUNT) from error


def _close(process: int, loop: Any, service: BlobServiceClient) -> None:
    """Close connections when nobody needs them any more, at the latest when Python ends; not those of a parent."""
    if os.getpid() == process:
        with contextlib.suppress(Exception):
            closing = asyncio.run_coroutine_threadsafe(service.close(), loop)
            if threading.current_thread() is not iothread[0]:
                closing.result(CONNECT)


def judge(error: Exception, *, where: str) -> Failing:
    """Judge a failed request for an address."""
    said = " ".join(str(getattr(error, "reason", "") or error).split())[:300] or type(error).__name__
    status = int(error.status_code or 0) if isinstance(error, HttpResponseError) else 0
    if status in (401, 403):
        return Failing(PermissionError(f"{said} ({getattr(error, 'error_code', status)})"))
    if status == 404:
        return Failing(FileNotFoundError(said))
    if status in OVERTAKEN:
        return Failing(FileExistsError(said))
    if status and not isinstance(error, BROKEN):
        kind = PassingError if status in BUSY else AwayError
        told = kind(f"the storage server refuses: {said}", where=where, fix="run it again later")
        return Failing(told, hopeful=status in BUSY)
    check = "check the network and AZURE_STORAGE_CONNECTION_STRING"
    if isinstance(error, SILENT):
        told = PassingError(f"the storage server does not answer ({said})", where=where, fix=f"{check}, run it again")
        return Failing(told, hopeful=True, silent=True)
    if isinstance(error, BROKEN):
        told = PassingError(f"the answer is cut or garbled: {said}", where=where, fix=f"{check}, and run it again")
        return Failing(told, hopeful=True)
    if isinstance(error, AzureError | ValueError):
        return Failing(AwayError(f"the storage server cannot be asked: {said}", where=where, fix=ACCOUNT))
    return Failing(error)


def _split(path: str) -> tuple[str, str]:
    """Container and name; an account between them is the client's."""
    container, _, key = path.partition("/")
    return container.partition("@")[0], key


def _folder(path: str) -> str:
    """What the names of a folder's objects begin with."""
    key = _split(path)[1]
    return f"{key.rstrip('/')}/" if key else ""


def _is_folder(found: Any) -> bool:
    """Tell a folder of an account that has such: an empty object with a mark."""
    return bool((found.metadata or {}).get("hdi_isfolder"))


def _unquote(tag: str) -> str:
    return tag.strip('"')
