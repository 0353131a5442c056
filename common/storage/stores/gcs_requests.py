"""GCS requests: how long those to buckets are repeated, and what is said of those that fail."""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import google.auth.exceptions
import requests.exceptions
import yarl
from google.api_core.exceptions import GoogleAPICallError, from_http_status
from google.auth.credentials import Credentials
from google.auth.transport.requests import Request

from bodyposenet.common.errors import MALFORMED, AwayError, PassingError
from bodyposenet.common.storage.stores.patience import BUSY, choose_pause
from bodyposenet.common.storage.stores.schemes import report_denial

T = TypeVar("T")

EMULATOR = "STORAGE_EMULATOR_HOST"
KEY = "BODYPOSENET_BUCKET_KEY"  # the JSON of a service account's key, as a Kubernetes secret gives it

NO_ANSWER = (
    aiohttp.ClientConnectionError,
    asyncio.TimeoutError,
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
)
BROKEN = (aiohttp.ClientError, requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
UNSIGNED = (google.auth.exceptions.RefreshError, google.auth.exceptions.TransportError)
BAD_PATH, MISSING, OVERTAKEN, PAST_THE_END = 400, 404, 412, 416
REFUSED = (401, 403)


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
    """As :func:`describe`; no OSError, of which aiohttp would make another one that gcsfs repeats."""
    bucket, _, key = url.path.partition("/b/")[2].partition("/o")
    path = f"gs://{bucket}{key or '/' + url.query.get('name', '')}"
    told = describe(error, path)
    return report_denial(told, path) if isinstance(told, PermissionError) else told


def _read_reason(content: bytes) -> str:
    """What a refusal says, in JSON or in any other form."""
    text = content.decode("utf-8", errors="replace")
    try:
        error = json.loads(text)["error"]
    except MALFORMED:
        return text
    return str(error.get("message", "")) if isinstance(error, dict) else str(error)


def persist(act: Callable[[], T], path: str) -> T:
    """Call Google's client; a failure is repeated where that may help, and told, as gcsfs's are.

    Args:
        act: One request, without repeats of its own.
        path: What it is about.
    """
    start = time.monotonic()
    for number in itertools.count(1):
        try:
            return act()
        except Exception as error:
            pause = _pause(error, number, start)
            if pause is None:
                raise describe(error, f"gs://{path.removeprefix('gs://')}") from error
        time.sleep(pause)
    raise AssertionError("the numbers do not end")


def _pause(error: Exception, number: int, start: float) -> float | None:
    """Seconds after which a request is tried again; None where that is of no use."""
    hopeful = read_status(error) in BUSY or isinstance(error, (*NO_ANSWER, *BROKEN, *UNSIGNED))
    return choose_pause(number, start, silent=isinstance(error, NO_ANSWER)) if hopeful else None


def read_status(error: BaseException | None) -> int:
    """The HTTP code of a refusal; 0 of other errors."""
    return int(error.code or 0) if isinstance(error, GoogleAPICallError) else 0


def _read_message(error: Exception) -> str:
    """What a server said; Google's client puts the request's URL before it."""
    if not isinstance(error, GoogleAPICallError):
        return str(error)
    return str(error.message) if error.response is None else _read_reason(error.response.content)


def describe(error: Exception, where: str) -> Exception:
    """What a user needs to know of a failed request."""
    code = read_status(error)
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
        return PassingError(
            f"the storage server does not answer ({said or type(error).__name__})", where=where, fix=fix
        )
    if isinstance(error, json.JSONDecodeError):
        return AwayError("this is no storage server: its answer is no JSON", where=where, fix=f"check {EMULATOR}")
    if code == BAD_PATH and "invalid" in said:
        return AwayError(f"the storage server does not take this path: {said}", where=where, fix="check the path")
    if code or isinstance(error, aiohttp.ClientError | requests.exceptions.RequestException):
        kind = PassingError if not code or code in BUSY else AwayError
        return kind(f"the storage server refuses: {said or code}", where=where, fix="run it again later")
    return error
