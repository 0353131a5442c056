"""GCS: Google Cloud Storage as paths; imported only where a path begins with ``gs://``."""

import contextlib
import functools
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, ClassVar, cast

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage.stores.gcs_requests import (
    EMULATOR,
    KEY,
    PAST_THE_END,
    PatientSender,
    describe,
    persist,
    read_status,
)
from bodyposenet.common.storage.stores.patience import ANSWER, CONNECT
from bodyposenet.common.storage.stores.store import Change, Stat, gather_listing

# else gcsfs asks a gRPC service what kind of bucket it is, and stalls for a minute where an emulator has none
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import aiohttp
import google.auth
import google.auth.exceptions
from gcsfs.core import GCSFileSystem
from google.auth.credentials import AnonymousCredentials, Credentials
from google.auth.transport.requests import Request
from google.cloud import storage
from google.oauth2 import service_account
from upath.implementations.cloud import GCSPath

BLOCK = 8 << 20  # bytes of an upload's requests
AHEAD = 1 << 20  # bytes that a stream reads at once
OVERTAKEN_TRIES = 20  # of a change that others keep overtaking
DELETIONS = 16  # at once
PAGE = 1000  # names in an answer: the service's most
SCOPES = ("https://www.googleapis.com/auth/devstorage.full_control",)


class Bucket(GCSFileSystem):
    """The service's client: gives a server up that does not answer, and says plainly what went wrong.

    Google's own client does what goes by objects' generations, gcsfs reads and writes their bytes.
    """

    def __init__(self, credentials: Credentials, **options: Any) -> None:
        waits = aiohttp.ClientTimeout(total=None, connect=2 * CONNECT, sock_connect=CONNECT, sock_read=ANSWER)
        session = {"middlewares": (PatientSender(credentials),)}
        super().__init__(token="anon", block_size=BLOCK, requests_timeout=waits, session_kwargs=session, **options)
        self.account = credentials
        self.service = storage.Client(project=None, credentials=credentials)

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Bytes of an object; fewer where it ends before."""
        try:
            return bytes(self.cat_file(path, start=start, end=end))
        except AwayError as error:
            if read_status(error.__cause__) == PAST_THE_END:
                return b""
            raise

    def get_version(self, path: str) -> tuple[bytes, int]:
        """An object's bytes and its generation."""
        blob = self._blob(path)
        content = persist(functools.partial(blob.download_as_bytes, retry=None, timeout=(CONNECT, ANSWER)), path)
        return bytes(content), int(blob.generation)

    def put_version(self, path: str, content: bytes, before: int) -> None:
        """Write an object, if its generation is still the one given; 0: if it does not exist.

        Raises:
            FileExistsError: It is another by now.
        """
        upload = functools.partial(self._blob(path).upload_from_string, content, "application/octet-stream")
        persist(lambda: upload(if_generation_match=before, retry=None, timeout=(CONNECT, ANSWER)), path)

    def remove(self, path: str) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: There is none.
        """
        persist(functools.partial(self._blob(path).delete, retry=None, timeout=(CONNECT, ANSWER)), path)

    def below(self, path: str) -> Iterator[tuple[str, int, str]]:
        """``(name below the path, bytes, generation)`` of every object, asked for in pages."""
        bucket, key, _ = self.split_path(path)
        prefix = key.rstrip("/") + "/" if key else ""
        token = None
        while True:
            page, token = persist(functools.partial(self._list_page, bucket, prefix, token), path)
            for blob in page:
                if not blob.name.endswith("/"):
                    yield blob.name[len(prefix) :], int(blob.size), str(blob.generation)
            if not token:
                return

    def _list_page(self, bucket: str, prefix: str, token: str | None) -> tuple[list[storage.Blob], str | None]:
        """One answer of a listing and what the next is asked for by; an iterator over all would end at an error."""
        asked = {
            "prefix": prefix,
            "page_token": token,
            "max_results": PAGE,
            "retry": None,
            "timeout": (CONNECT, ANSWER),
        }
        listing = self.service.list_blobs(bucket, fields="nextPageToken,items(name,size,generation)", **asked)
        return list(next(listing.pages, ())), listing.next_page_token

    def _blob(self, path: str) -> storage.Blob:
        bucket, key, _ = self.split_path(path)
        return self.service.bucket(bucket).blob(key)


class Nobody(AnonymousCredentials):
    """No account."""

    def refresh(self, request: Request) -> None:
        """Nothing to do, where Google's own raises an error that hides what the server says."""


NOBODY = Nobody()  # type: ignore[no-untyped-call]  # google-auth has no annotations


class BucketLocation(GCSPath):
    """A path in a bucket: ``pathlib``'s methods on ``gs://bucket/name``, and those of :class:`Location`.

    Folders need not be made in a bucket. What lies there is looked up anew each time, as others write, too.
    """

    __slots__ = ()

    remote: ClassVar[bool] = True
    has_lists: ClassVar[bool] = True

    def __new__(cls, *_parts: Any, **_options: Any) -> "BucketLocation":
        """UPath itself would make one of its registered classes."""
        return object.__new__(cls)

    @property
    def fs(self) -> Bucket:
        """The client of this process."""
        return client()

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Make nothing: a bucket has no folders, and a bucket itself is not ours to make."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object, whatever characters are in its name."""
        try:
            self.fs.remove(self.path)
        except FileNotFoundError:
            if not missing_ok:
                raise

    def require_store(self) -> None:
        """Refuse a bucket that does not exist; one that may not be looked at may be there."""
        fs, asked = self.fs, {"max_results": 1, "retry": None, "timeout": (CONNECT, ANSWER)}
        bucket = fs.split_path(self.path)[0]
        with contextlib.suppress(PermissionError):
            persist(lambda: list(fs.service.list_blobs(bucket, **asked)), self.path)

    def count_bytes(self) -> int:
        """Return the object's size."""
        return int(self.fs.info(self.path)["size"])

    def find_version(self) -> str:
        """Return the object's generation."""
        return str(self.fs.info(self.path).get("generation"))

    def fetch(self, start: int = 0, end: int | None = None) -> bytes:
        """Read the object's bytes with one request."""
        return self.fs.read(self.path, start or None, end)

    def open_stream(self) -> BinaryIO:
        """Open the object; it is read ahead by the block."""
        return cast("BinaryIO", self.fs.open(self.path, "rb", block_size=AHEAD, cache_type="readahead"))

    def list_files(self) -> dict[str, Stat]:
        """List every object below the path."""
        files = ((name, Stat(size, version)) for name, size, version in self.fs.below(self.path))
        found = gather_listing(files, self)
        if not found:
            raise FileNotFoundError(str(self))
        return found

    @contextlib.contextmanager
    def write_whole(self) -> Iterator[BinaryIO]:
        """Upload; it takes effect when it is complete, where fsspec's own ``with`` would complete it after an error."""
        file: Any = self.fs.open(self.path, "wb")
        try:
            yield file
            file.close()
        except BaseException:
            with contextlib.suppress(Exception):
                file.discard()
            raise
        finally:
            file.closed = True  # else the garbage collector would complete it

    def write_soon(self, token: str = "") -> AbstractContextManager[BinaryIO]:
        """Upload: an object has no name before it is complete."""
        return self.write_whole()

    def change(self, make: Change) -> None:
        """Write the object if it is still the one that was read; else read and change it again.

        Raises:
            UserError: Others keep changing it.
        """
        for _ in range(OVERTAKEN_TRIES):
            try:
                old, version = self.fs.get_version(self.path)
            except FileNotFoundError:
                old, version = None, 0
            content = make(old)
            with contextlib.suppress(FileExistsError):
                return self.fs.put_version(self.path, content, version)
        raise UserError("others keep changing this file", where=str(self), fix="run it again")

    def append(self, content: bytes) -> None:
        """Write the object anew with bytes at its end."""
        self.change(lambda before: (before or b"") + content)

    def remove_folder(self) -> None:
        """Delete every object below the path, several at once."""
        names = [name for name, *_ in self.fs.below(self.path)]
        with ThreadPoolExecutor(DELETIONS) as threads:
            list(threads.map(lambda name: (self / name).unlink(missing_ok=True), names))


def client() -> Bucket:
    """The client of this process."""
    return _client(os.getpid(), os.environ.get(EMULATOR, ""), os.environ.get(KEY, ""))


@functools.lru_cache(maxsize=4)
def _client(_process: int, emulator: str, key: str) -> Bucket:
    credentials = NOBODY if emulator else _read_account(key) if key else _find_account()
    return Bucket(credentials, use_listings_cache=False, skip_instance_cache=True)


def _find_account() -> Credentials:
    """The account of this machine or of its user; nobody's, which may read public buckets, where there is none."""
    try:
        return google.auth.default(scopes=SCOPES)[0]
    except google.auth.exceptions.DefaultCredentialsError:
        return NOBODY
    except google.auth.exceptions.GoogleAuthError as error:
        raise describe(error, "gs://") from error


def _read_account(key: str) -> Credentials:
    """A service account by its key; what is wrong with it is told without showing it."""
    fix = "give the JSON file that 'gcloud iam service-accounts keys create' writes"
    try:
        account = json.loads(key)
    except (ValueError, RecursionError):
        raise UserError("is no JSON", where=KEY, fix=fix) from None
    if not isinstance(account, dict):
        raise UserError("is no key of an account", where=KEY, fix=fix)
    missing = [name for name in ("client_email", "private_key", "token_uri") if name not in account]
    if missing:
        raise UserError(f"has no {missing[0]}", where=KEY, fix=fix)
    try:
        found: Credentials = service_account.Credentials.from_service_account_info(account, scopes=SCOPES)
        return found
    except (ValueError, TypeError, AttributeError):
        raise UserError("its private_key is none", where=KEY, fix=fix) from None
