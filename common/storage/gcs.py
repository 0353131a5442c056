"""GCS: Google Cloud Storage as paths; imported only where a path begins with ``gs://``."""

import asyncio
import functools
import itertools
import json
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from bodyposenet.common.errors import AwayError, UserError

EMULATOR = "STORAGE_EMULATOR_HOST"
KEY = "BODYPOSENET_BUCKET_KEY"  # the JSON of a service account's key, as a Kubernetes secret gives it
# else gcsfs asks a gRPC service what kind of bucket it is, and stalls for a minute where an emulator has none
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import aiohttp  # noqa: E402
import google.auth  # noqa: E402
import google.auth.exceptions  # noqa: E402
import requests.exceptions  # noqa: E402
import yarl  # noqa: E402
from gcsfs.core import GCSFileSystem  # noqa: E402
from google.api_core.exceptions import GoogleAPICallError, from_http_status  # noqa: E402
from google.auth.credentials import AnonymousCredentials, Credentials  # noqa: E402
from google.auth.transport.requests import Request  # noqa: E402
from google.cloud import storage  # noqa: E402
from google.oauth2 import service_account  # noqa: E402
from upath.implementations.cloud import GCSPath  # noqa: E402

T = TypeVar("T")

TRIES = 6  # where the server answers that it is busy, or broken
PATIENCE = 15.0  # seconds after which a server that does not answer at all is given up
CONNECT, ANSWER = 5, 30  # seconds
BLOCK = 8 << 20  # bytes of an upload's requests
PAGE = 1000  # names in an answer: the service's most
SCOPES = ("https://www.googleapis.com/auth/devstorage.full_control",)
NO_ANSWER = (
    aiohttp.ClientConnectionError,
    asyncio.TimeoutError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
)
BROKEN = (aiohttp.ClientError, requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
UNSIGNED = (google.auth.exceptions.RefreshError, google.auth.exceptions.TransportError)
BUSY = (408, 429, 500, 502, 503, 504)
BAD_PATH, MISSING, OVERTAKEN, PAST_THE_END = 400, 404, 412, 416
REFUSED = (401, 403)
CHANCE = random.Random()  # of our own: from the common one a seeded training draws its weights meanwhile


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
            if _status(error.__cause__) == PAST_THE_END:
                return b""
            raise

    def get_version(self, path: str) -> tuple[bytes, int]:
        """An object's bytes and its generation."""
        blob = self._blob(path)
        content = _persist(functools.partial(blob.download_as_bytes, retry=None, timeout=(CONNECT, ANSWER)), path)
        return bytes(content), int(blob.generation)

    def put_version(self, path: str, content: bytes, before: int) -> None:
        """Write an object, if its generation is still the one given; 0: if it does not exist.

        Raises:
            FileExistsError: It is another by now.
        """
        upload = functools.partial(self._blob(path).upload_from_string, content, "application/octet-stream")
        _persist(lambda: upload(if_generation_match=before, retry=None, timeout=(CONNECT, ANSWER)), path)

    def remove(self, path: str) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: There is none.
        """
        _persist(functools.partial(self._blob(path).delete, retry=None, timeout=(CONNECT, ANSWER)), path)

    def below(self, path: str) -> Iterator[tuple[str, int, str]]:
        """``(name below the path, bytes, generation)`` of every object, asked for in pages."""
        bucket, key, _ = self.split_path(path)
        prefix = key.rstrip("/") + "/" if key else ""
        token = None
        while True:
            page, token = _persist(functools.partial(self._list_page, bucket, prefix, token), path)
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
            _persist(lambda: list(self.service.list_blobs(self.split_path(path)[0], **asked)), path)
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


class PatientSender:
    """What gcsfs's requests go through: it signs them, repeats those that may work later, and says why others fail.

    gcsfs itself would repeat for half a minute what nobody answers; it lets these errors pass.
    """

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    async def __call__(
        self, request: aiohttp.ClientRequest, send: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
    ) -> aiohttp.ClientResponse:
        """Return the answer to a request, its content read."""
        start = time.monotonic()
        for number in itertools.count(1):
            try:
                self._credentials.before_request(Request(), request.method, str(request.url), request.headers)
                return await _check(request, await send(request))
            except Exception as error:
                pause = _pause(error, number, start)
                if pause is None:
                    raise _describe_to_gcsfs(error, request.url) from error
            await asyncio.sleep(pause)
        raise AssertionError("the numbers do not end")


async def _check(request: aiohttp.ClientRequest, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    content = await response.read()
    if response.status in (MISSING, OVERTAKEN):
        return response  # gcsfs itself makes FileNotFoundError and FileExistsError of them
    if response.status >= 400:
        raise from_http_status(response.status, _read_reason(content))
    if request.url.query.get("alt") != "media" and content[:1] not in (b"", b"{"):
        raise json.JSONDecodeError("no JSON", "", 0)
    return response


def _describe_to_gcsfs(error: Exception, url: yarl.URL) -> Exception:
    """As :func:`_describe`; no OSError, of which aiohttp would make another one that gcsfs repeats."""
    bucket, _, key = url.path.partition("/b/")[2].partition("/o")
    path = f"gs://{bucket}{key or '/' + url.query.get('name', '')}"
    told = _describe(error, path)
    return report_denial(told, path) if isinstance(told, PermissionError) else told


def _read_reason(content: bytes) -> str:
    """What a refusal says, in JSON or in any other form."""
    text = content.decode("utf-8", errors="replace")
    try:
        error = json.loads(text)["error"]
    except (ValueError, KeyError, TypeError):
        return text
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


def _persist(act: Callable[[], T], path: str) -> T:
    """The same for a call of Google's client."""
    start = time.monotonic()
    for number in itertools.count(1):
        try:
            return act()
        except Exception as error:
            pause = _pause(error, number, start)
            if pause is None:
                raise _describe(error, f"gs://{path.removeprefix('gs://')}") from error
        time.sleep(pause)
    raise AssertionError("the numbers do not end")


def _pause(error: Exception, number: int, start: float) -> float | None:
    """Seconds after which a request is tried again; None where that is of no use."""
    pause = CHANCE.random() + 2 ** (number - 1)
    late = isinstance(error, NO_ANSWER) and time.monotonic() - start + pause > PATIENCE
    hopeful = _status(error) in BUSY or isinstance(error, (*NO_ANSWER, *BROKEN, *UNSIGNED))
    return pause if hopeful and not late and number < TRIES else None


def _status(error: BaseException | None) -> int:
    """The HTTP code of a refusal; 0 of other errors."""
    return int(error.code or 0) if isinstance(error, GoogleAPICallError) else 0


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
        raise _describe(error, "gs://") from error


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


def _read_message(error: Exception) -> str:
    """What a server said; Google's client puts the request's URL before it."""
    if not isinstance(error, GoogleAPICallError):
        return str(error)
    return str(error.message) if error.response is None else _read_reason(error.response.content)


def _describe(error: Exception, where: str) -> Exception:
    """What a user needs to know of a failed request."""
    code = _status(error)
    said = " ".join(_read_message(error).split())[:300]
    if code in (MISSING, OVERTAKEN):
        return (FileNotFoundError if code == MISSING else FileExistsError)(said)
    if code in REFUSED:
        return PermissionError(said)
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        fix = f"run 'gcloud auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS or {KEY}"
        return AwayError(f"no credentials for Google Cloud Storage: {said}", where=where, fix=fix)
    if isinstance(error, NO_ANSWER):
        fix = f"check the network{f' and {EMULATOR}' if os.environ.get(EMULATOR) else ''}, and run it again"
        return AwayError(f"the storage server does not answer ({said or type(error).__name__})", where=where, fix=fix)
    if isinstance(error, json.JSONDecodeError):
        return AwayError("this is no storage server: its answer is no JSON", where=where, fix=f"check {EMULATOR}")
    if code == BAD_PATH and "invalid" in said:
        return AwayError(f"the storage server does not take this path: {said}", where=where, fix="check the path")
    if code or isinstance(error, aiohttp.ClientError | requests.exceptions.RequestException):
        return AwayError(f"the storage server refuses: {said or code}", where=where, fix="run it again later")
    return error


def report_denial(error: OSError, path: str) -> UserError:
    """What to say where an account may not do something in a bucket."""
    return UserError(f"permission denied ({error})", where=path, fix="let this account read and write the bucket")
