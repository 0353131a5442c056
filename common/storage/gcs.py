"""GCS: Google Cloud Storage as paths; imported only where a path begins with ``gs://``."""

import asyncio
import functools
import io
import itertools
import json
import os
import random
import secrets
import time
from collections.abc import Iterator
from typing import Any

from bodyposenet.common.errors import AwayError, UserError

EMULATOR = "STORAGE_EMULATOR_HOST"
KEY = "BODYPOSENET_BUCKET_KEY"  # the JSON of a service account's key, as a Kubernetes secret gives it
# else gcsfs asks a gRPC service what kind of bucket it is, and stalls for a minute where an emulator has none
os.environ.setdefault("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")

import aiohttp  # noqa: E402
import fsspec.asyn  # noqa: E402
import gcsfs.core  # noqa: E402
import google.auth.exceptions  # noqa: E402
import requests.exceptions  # noqa: E402
from gcsfs.retry import HttpError, is_retriable  # noqa: E402
from upath.implementations.cloud import GCSPath  # noqa: E402

TRIES = 6  # where the server answers that it is busy, or broken
PATIENCE = 15.0  # seconds after which a server that does not answer at all is given up
WAITS = aiohttp.ClientTimeout(total=None, connect=10, sock_connect=5, sock_read=30)  # seconds
BLOCK = 8 << 20  # bytes of an upload's requests
PAGE = 1000  # names in an answer: the service's most
NO_ANSWER = (aiohttp.ClientConnectionError, asyncio.TimeoutError, requests.exceptions.ConnectionError)
REFUSED = (401, 403)
CHANCE = random.Random()  # of our own: from the common one a seeded training draws its weights meanwhile

_once = gcsfs.core.GCSFileSystem._request.__wrapped__  # without gcsfs's own retries, which take 33 s to give up


class Bucket(gcsfs.core.GCSFileSystem):
    """The service's client: gives a server up that does not answer, and says plainly what went wrong."""

    async def _request(self, *args: Any, data: Any = None, **kwargs: Any) -> Any:
        """One request, tried again where that may help."""
        start = time.monotonic()
        for number in itertools.count(1):
            try:  # aiohttp wants what is long as a file, and closes it
                return await _once(self, *args, data=data if data is None else io.BytesIO(data), **kwargs)
            except Exception as error:
                pause = CHANCE.random() + 2 ** (number - 1)
                late = isinstance(error, NO_ANSWER) and time.monotonic() - start + pause > PATIENCE
                if late or number == TRIES or not is_retriable(error):
                    raise
            await asyncio.sleep(pause)

    async def _call(self, method: str, path: str, *args: Any, **kwargs: Any) -> Any:
        """A request whose failures are ``FileNotFoundError``, ``PermissionError``, ``FileExistsError`` or AwayError."""
        try:
            return await super()._call(method, path, *args, **kwargs)
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            raise _describe(error, self._location) from error

    call = fsspec.asyn.sync_wrapper(_call)

    def read(self, path: str, start: int | None = None, end: int | None = None) -> bytes:
        """Bytes of an object; fewer where it ends before."""
        try:
            return bytes(self.cat_file(path, start=start, end=end))
        except AwayError as error:
            if isinstance(error.__cause__, HttpError) and error.__cause__.code == 416:  # the range begins past the end
                return b""
            raise

    def get_version(self, path: str) -> tuple[bytes, int]:
        """An object's bytes and its generation."""
        headers, content = self.call("GET", self.url(path))
        return bytes(content), int(headers["x-goog-generation"])

    def put_version(self, path: str, content: bytes, before: int) -> None:
        """Write an object, if its generation is still the one given; 0: if it does not exist.

        Raises:
            FileExistsError: It is another by now.
        """
        bucket, key, _ = self.split_path(path)
        edge = secrets.token_hex(16)
        head = f"--{edge}\nContent-Type: application/json; charset=UTF-8\n\n{json.dumps({'name': key})}\n"
        head += f"--{edge}\nContent-Type: application/octet-stream\n\n"
        self.call(
            "POST",
            f"{self._location}/upload/storage/v1/b/{{}}/o",
            bucket,
            uploadType="multipart",
            ifGenerationMatch=str(before),
            headers={"Content-Type": f'multipart/related; boundary="{edge}"'},
            data=head.encode() + content + f"\n--{edge}--".encode(),
        )

    def remove(self, path: str) -> None:
        """Delete an object.

        Raises:
            FileNotFoundError: There is none.
        """
        bucket, key, _ = self.split_path(path)
        self.call("DELETE", "b/{}/o/{}", bucket, key)

    def below(self, path: str) -> Iterator[tuple[str, int, str]]:
        """``(name below the path, bytes, generation)`` of every object, asked for in pages."""
        bucket, key, _ = self.split_path(path)
        prefix = key.rstrip("/") + "/" if key else ""
        asked: dict[str, Any] = {"prefix": prefix, "maxResults": PAGE}
        asked["fields"] = "nextPageToken,items(name,size,generation)"
        while True:
            page = self.call("GET", "b/{}/o", bucket, json_out=True, **asked)
            for item in page.get("items", ()):
                if not item["name"].endswith("/"):
                    yield item["name"][len(prefix) :], int(item["size"]), str(item["generation"])
            if not page.get("nextPageToken"):
                return
            asked["pageToken"] = page["nextPageToken"]

    def has_bucket(self, path: str) -> bool:
        """Whether the bucket of a path exists, as far as it may be looked at."""
        try:
            self.call("GET", "b/{}/o", self.split_path(path)[0], maxResults=1, json_out=True)
        except FileNotFoundError:
            return False
        except PermissionError:
            return True
        return True


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
    token = "anon" if emulator else _account(key) if key else None
    options = {"use_listings_cache": False, "skip_instance_cache": True, "requests_timeout": WAITS}
    try:
        return Bucket(token=token, block_size=BLOCK, **options)
    except google.auth.exceptions.GoogleAuthError as error:
        raise _describe(error, "gs://") from error


def _account(key: str) -> dict[str, str]:
    """A service account's key; what is wrong with it is told without showing it."""
    fix = "give the JSON file that 'gcloud iam service-accounts keys create' writes"
    try:
        account = json.loads(key)
    except json.JSONDecodeError:
        raise UserError("is no JSON", where=KEY, fix=fix) from None
    missing = [name for name in ("client_email", "private_key", "token_uri") if name not in account]
    if missing:
        raise UserError(f"has no {missing[0]}", where=KEY, fix=fix)
    return dict(account)


def _describe(error: Exception, where: str) -> Exception:
    """What a user needs to know of a failed request."""
    said = " ".join(str(error).split())[:300]
    code = getattr(error, "code", None)
    if str(error).startswith("Forbidden") or str(code) in map(str, REFUSED):
        return PermissionError(said)
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        fix = f"run 'gcloud auth application-default login', or set GOOGLE_APPLICATION_CREDENTIALS or {KEY}"
        return AwayError(f"no credentials for Google Cloud Storage: {said}", where=where, fix=fix)
    if isinstance(error, NO_ANSWER):
        fix = f"check the network{f' and {EMULATOR}' if os.environ.get(EMULATOR) else ''}, and run it again"
        return AwayError(f"the storage server does not answer ({said or type(error).__name__})", where=where, fix=fix)
    if isinstance(error, json.JSONDecodeError):
        return AwayError("this is no storage server: its answer is no JSON", where=where, fix=f"check {EMULATOR}")
    if isinstance(error, HttpError | aiohttp.ClientError | requests.exceptions.RequestException):
        return AwayError(f"the storage server refuses: {said or code}", where=where, fix="run it again later")
    if isinstance(error, ValueError) and "Bad Request" in said:
        return AwayError(f"the storage server does not take this path: {said}", where=where, fix="check the path")
    return error
