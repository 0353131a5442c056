"""S3: buckets of Amazon's service and of those that speak as it does; imported only where a path begins with ``s3://``.

Keys, regions and endpoints are found as every tool of Amazon's finds them: AWS_ACCESS_KEY_ID, AWS_PROFILE,
AWS_ENDPOINT_URL and so on.
"""

import functools
import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import aiohttp
import botocore.exceptions
import botocore.parsers
import botocore.session
from fsspec.exceptions import FSTimeoutError
from s3fs import S3FileSystem

from bodyposenet.common.errors import AwayError, PassingError
from bodyposenet.common.storage.stores.object_location import ObjectLocation
from bodyposenet.common.storage.stores.patience import ANSWER, BUSY, CONNECT, Failing, persist
from bodyposenet.common.storage.stores.store import Stat

T = TypeVar("T")

PAGE = 1000  # names in an answer: the service's most
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
SILENT = (
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    FSTimeoutError,
    ConnectionError,
    TimeoutError,
)
BROKEN = (
    botocore.exceptions.IncompleteReadError,
    botocore.exceptions.ResponseStreamingError,
    botocore.parsers.ResponseParserError,
    aiohttp.ClientError,
)
CERTIFICATE = botocore.exceptions.SSLError
NO_KEYS = (
    botocore.exceptions.NoCredentialsError,
    botocore.exceptions.PartialCredentialsError,
    botocore.exceptions.CredentialRetrievalError,
    botocore.exceptions.TokenRetrievalError,
)
ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301")
UNFIT = (botocore.exceptions.ParamValidationError, botocore.exceptions.BotoCoreError, ValueError)
PAST_THE_END, OVERTAKEN = 416, (409, 412)  # the first of two that write at one time may still be at it
KEYS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"


class S3Client:
    """The service's client; every request is repeated and told by the rules of ``patience.py``, none by s3fs' own.

    Args:
        nobody: There are no keys, and public buckets alone can be read.
    """

    def __init__(self, *, nobody: bool) -> None:
        self.nobody = nobody
        config = {
            "connect_timeout": CONNECT,
            "read_timeout": ANSWER,
            "retries": {"mode": "standard", "total_max_attempts": 1},
            # else every upload has a checksum at its end, which other servers than Amazon's do not understand
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        self.fs = S3FileSystem(anon=nobody, config_kwargs=config, use_listings_cache=False, skip_instance_cache=True)
        self.fs.retries = 1

    def call(self, method: str, path: str, **asked: Any) -> dict[str, Any]:
        """Make one of the service's requests about an object."""
        bucket, _, key = path.partition("/")
        return self._persist(lambda: dict(self.fs.call_s3(method, Bucket=bucket, Key=key, **asked)), path)

    def stat(self, path: str) -> Stat:
        """An object's bytes and ETag."""
        if "/" not in path:
            raise FileNotFoundError(path)
        found = self.call("head_object", path)
        return Stat(int(found["ContentLength"]), _unquote(found["ETag"]))

    def read(self, path: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of an object; fewer where it ends before."""
        if "/" not in path:
            raise FileNotFoundError(path)
        if end is not None and end <= start:
            return b""
        return self._persist(lambda: self._read(path, start, end), path)

    def _read(self, path: str, start: int, end: int | None) -> bytes:
        try:
            return bytes(self.fs.cat_file(path, start=start, end=end))
        except OSError as error:
            if _read_status(error) == PAST_THE_END:
                return b""
            raise

    def below(self, path: str) -> Iterator[tuple[str, Stat]]:
        """Name below the path, bytes and ETag of every object."""
        prefix = _folder(path)
        for page in self._pages(path, Prefix=prefix):
            for found in page.get("Contents", ()):
                if not found["Key"].endswith("/"):
                    yield found["Key"][len(prefix) :], Stat(int(found["Size"]), _unquote(found["ETag"]))

    def names(self, path: str) -> Iterator[str]:
        """Names of files and folders directly below the path."""
        prefix = _folder(path)
        for page in self._pages(path, Prefix=prefix, Delimiter="/"):
            found = [each["Prefix"] for each in page.get("CommonPrefixes", ())]
            found += [each["Key"] for each in page.get("Contents", ()) if each["Key"] != prefix]
            yield from (name[len(prefix) :].rstrip("/") for name in found)

    def _pages(self, path: str, **asked: Any) -> Iterator[dict[str, Any]]:
        bucket = path.partition("/")[0]
        asked |= {"Bucket": bucket, "MaxKeys": PAGE}
        while True:
            page = self._persist(lambda: dict(self.fs.call_s3("list_objects_v2", **asked)), path)
            yield page
            if not page.get("IsTruncated"):
                return
            asked["ContinuationToken"] = page["NextContinuationToken"]

    def put(self, path: str, content: bytes, *, over: str | None = None) -> None:
        """Write an object."""
        wish = {} if over is None else {"IfMatch": f'"{over}"'} if over else {"IfNoneMatch": "*"}
        self.call("put_object", path, Body=content, **wish)

    def begin(self, path: str) -> "S3Upload":
        """Begin to write a large object."""
        return S3Upload(self, path)

    def remove(self, path: str) -> None:
        """Delete an object, if there is one."""
        self.call("delete_object", path)

    def look_at_bucket(self, path: str) -> None:
        """Ask for the bucket of a path."""
        bucket = path.partition("/")[0]
        self._persist(lambda: self.fs.call_s3("head_bucket", Bucket=bucket), path)

    def _persist(self, act: Callable[[], T], path: str) -> T:
        return persist(act, functools.partial(judge, where=f"s3://{path}", nobody=self.nobody))


class S3Upload:
    """A large object in parts.

    Args:
        client: Of the service.
        path: Of the object.
    """

    def __init__(self, client: S3Client, path: str) -> None:
        self._client, self._path = client, path
        self._upload = client.call("create_multipart_upload", path)["UploadId"]
        self._parts: list[dict[str, Any]] = []
        self._size = 0

    def send(self, content: bytes) -> None:
        """Send the next part."""
        number = len(self._parts) + 1
        made = self._client.call("upload_part", self._path, UploadId=self._upload, PartNumber=number, Body=content)
        self._parts.append({"PartNumber": number, "ETag": made["ETag"]})
        self._size += len(content)

    def finish(self) -> None:
        """Let the object appear."""
        parts = {"Parts": self._parts}
        try:
            self._client.call("complete_multipart_upload", self._path, UploadId=self._upload, MultipartUpload=parts)
        except FileNotFoundError:  # the upload is gone; if it was completed and the answer lost, the object is there
            if self._client.stat(self._path).size != self._size:
                raise

    def give_up(self) -> None:
        """Leave nothing behind."""
        self._client.call("abort_multipart_upload", self._path, UploadId=self._upload)


class S3Location(ObjectLocation):
    """A path in a bucket, ``s3://bucket/name``."""

    __slots__ = ()

    @property
    def client(self) -> S3Client:
        """The client of this process."""
        settings = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))
        return _make_client(os.getpid(), settings)


@functools.lru_cache(maxsize=64)  # one, but where tests go elsewhere
def _make_client(_process: int, _settings: tuple[tuple[str, str], ...]) -> S3Client:
    try:
        found = botocore.session.get_session().get_credentials()
    except botocore.exceptions.BotoCoreError as error:
        raise judge(error, where="s3://").told from error
    return S3Client(nobody=found is None)


def judge(error: Exception, *, where: str, nobody: bool = False) -> Failing:
    """Judge a failed request.

    Args:
        error: As s3fs or what is below it raises it.
        where: The address.
        nobody: It was made without keys.
    """
    status, code = _read_status(error), _read_said(error, "Code")
    said = " ".join((_read_said(error, "Message") or str(error)).split())[:300] or type(error).__name__
    if status and code in ELSEWHERE:
        fix = "set AWS_DEFAULT_REGION to the region of the bucket"
        return Failing(AwayError(f"the bucket is in another region: {said}", where=where, fix=fix))
    if status in (401, 403):
        return Failing(PermissionError(f"{said}; no keys were found: {KEYS}" if nobody else said))
    if status == 404:
        return Failing(FileNotFoundError(said))
    if status in OVERTAKEN:
        return Failing(FileExistsError(said))
    if status:
        kind = PassingError if status in BUSY else AwayError
        told = kind(f"the storage server refuses: {said}", where=where, fix="run it again later")
        return Failing(told, hopeful=status in BUSY)
    return _judge_silence(error, said, where)


def _judge_silence(error: Exception, said: str, where: str) -> Failing:
    """Judge a request that was not answered, or in a way that is not understood."""
    endpoint = next((name for name in ENDPOINTS if os.environ.get(name)), "")
    check = f"check the network{f' and {endpoint}' if endpoint else ''}"
    if isinstance(error, CERTIFICATE):
        fix = "set AWS_CA_BUNDLE to the file of the authority that signed it"
        return Failing(AwayError(f"the certificate is not trusted: {said}", where=where, fix=fix))
    if isinstance(error, NO_KEYS):
        return Failing(AwayError(f"no keys for this store: {said}", where=where, fix=KEYS))
    if isinstance(error, BROKEN):
        told = PassingError(f"the answer is cut or garbled: {said}", where=where, fix=f"{check}, and run it again")
        return Failing(told, hopeful=True)
    if isinstance(error, SILENT):
        told = PassingError(f"the storage server does not answer ({said})", where=where, fix=f"{check}, run it again")
        return Failing(told, hopeful=True, silent=True)
    if isinstance(error, UNFIT):
        return Failing(AwayError(f"the storage server cannot be asked: {said}", where=where, fix="check the path"))
    return Failing(error)


def _read_answer(error: BaseException) -> dict[str, Any]:
    """What the service answered, of the error itself or of the one that s3fs made another of."""
    found = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    return found if isinstance(found, dict) else {}


def _read_status(error: BaseException) -> int:
    """The HTTP code of a refusal; 0 of other errors."""
    return int(_read_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _read_said(error: BaseException, what: str) -> str:
    return str(_read_answer(error).get("Error", {}).get(what, ""))


def _folder(path: str) -> str:
    """What the names of a folder's objects begin with."""
    key = path.partition("/")[2]
    return f"{key.rstrip('/')}/" if key else ""


def _unquote(tag: str) -> str:
    return tag.strip('"')
