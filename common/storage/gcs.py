"""GCS: Google Cloud Storage as paths; imported only where a path begins with ``gs://``."""

import functools
import json
import os
from collections.abc import Iterator
from typing import Any

from bodyposenet.common.errors import AwayError, UserError
from bodyposenet.common.storage.gcs_requests import (
    ANSWER,
    CONNECT,
    EMULATOR,
    KEY,
    PAST_THE_END,
    PatientSender,
    describe,
    persist,
    read_status,
)

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

    def has_bucket(self, path: str) -> bool:
        """Whether the bucket of a path exists, as far as it may be looked at."""
        asked = {"max_results": 1, "retry": None, "timeout": (CONNECT, ANSWER)}
        try:
            persist(lambda: list(self.service.list_blobs(self.split_path(path)[0], **asked)), path)
        except FileNotFoundError:
            return False
        except PermissionError:
            return True
        return True

    def _blob(self, path: str) -> storage.Blob:
        bucket, key, _ = self.split_path(path)
        return self.service.bucket(bucket).blob(key)


class Nobody(AnonymousCredentials):
    """No account."""

    def refresh(self, request: Request) -> None:
        """Nothing to do, where Google's own raises an error that hides what the server says."""


NOBODY = Nobody()  # type: ignore[no-untyped-call]  # google-auth has no annotations


class Remote(GCSPath):
    """A path in a bucket: ``pathlib``'s methods on ``gs://bucket/name``.

    Folders need not be made in a bucket. What lies there is looked up anew each time, as others write, too.
    """

    __slots__ = ()

    def __new__(cls, *_parts: Any, **_options: Any) -> "Remote":
        """UPath itself would make one of its registered classes."""
        return object.__new__(cls)

    @property
    def fs(self) -> Bucket:
        """The client of this process."""
        return client()

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing to make: a bucket has no folders, and a bucket itself is not ours to make."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object, whatever characters are in its name."""
        try:
            self.fs.remove(self.path)
        except FileNotFoundError:
            if not missing_ok:
                raise


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
    except json.JSONDecodeError:
        raise UserError("is no JSON", where=KEY, fix=fix) from None
    missing = [name for name in ("client_email", "private_key", "token_uri") if name not in account]
    if missing:
        raise UserError(f"has no {missing[0]}", where=KEY, fix=fix)
    try:
        found: Credentials = service_account.Credentials.from_service_account_info(account, scopes=SCOPES)
        return found
    except ValueError:
        raise UserError("its private_key is none", where=KEY, fix=fix) from None
