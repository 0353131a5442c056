"""Web requests: files of a server asked for over connections that stay open, and what a refusal means."""

import functools
import http.client
import io
import ipaddress
import netrc
import os
import re
import socket
import ssl
import threading
import time
import urllib.request
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from bodyposenet.common.errors import AwayError, PassingError, UserError
from bodyposenet.common.storage.stores.patience import ANSWER, BUSY, CONNECT, Failing, persist
from bodyposenet.common.storage.stores.schemes import HERE
from bodyposenet.common.storage.stores.store import Stat

WHOLE, PART, MOVED, PAST_THE_END = 200, 206, (301, 302, 303, 307, 308), 416
MOST_MOVES = 10
NO_ANSWER = (ConnectionError, TimeoutError, OSError)
HUNG_UP = (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError)
CERTIFICATES = "set SSL_CERT_FILE to the file of the authority that signed it"
RANGE = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)")
SIZE = re.compile(r"[0-9]{1,18}")
BLOCK = 1 << 20  # bytes that are taken at once
REFUSAL = 1 << 16  # bytes of an answer that is no file
SLOWEST = 1000  # bytes a second; what comes more slowly drips


class Answer(NamedTuple):
    """What a server answered: a code, its headers by their names in small letters, and a body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class WebClient:
    """Reads files; connections stay open for the next request of the same thread."""

    def __init__(self) -> None:
        self._trust = ssl.create_default_context()
        self._open = _OpenConnections()

    def stat(self, address: str) -> Stat:
        """A file's bytes, and what its server tells it by: its ETag, or its time.

        It is asked for with the first byte, as signed addresses are good for reading alone.

        Raises:
            UserError: The server does not tell how large the file is.
        """
        answer = self._get(address, {"Range": "bytes=0-0"}, most=0)
        told = answer.headers
        match = RANGE.fullmatch(told.get("content-range", ""))
        size = match[1] if match else told.get("content-length", "") if answer.status == WHOLE else ""
        if not SIZE.fullmatch(size):
            fix = "download it, and name the file on the disk"
            raise UserError("this server does not tell how large a file is", where=address, fix=fix)
        version = told.get("etag") or told.get("last-modified") or f"untold {os.urandom(8).hex()}"
        return Stat(int(size), f"{version.removeprefix('W/').strip(chr(34))}-{size}")

    def read(self, address: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a file; fewer where it ends before.

        Args:
            address: Of the file.
            start: The first byte.
            end: The one after the last; None reads to the end.

        Raises:
            UserError: The server gives whole files only.
        """
        if end is not None and end <= start:
            return b""
        part = start or end is not None
        span = {"Range": f"bytes={start}-{'' if end is None else end - 1}"} if part else {}
        answer = self._get(address, span, most=None if end is None else end - start)
        if answer.status == PAST_THE_END:
            return b""
        if answer.status == WHOLE and start:
            fix = "download the archive, and name it on the disk"
            raise UserError("this server does not give parts of a file", where=address, fix=fix)
        return answer.body

    def _get(self, address: str, headers: Mapping[str, str], *, most: int | None) -> Answer:
        return persist(lambda: self._follow(address, headers, most), functools.partial(judge, where=address))

    def _follow(self, address: str, headers: Mapping[str, str], most: int | None) -> Answer:
        """Ask for a file where it is, and where it has moved to."""
        for _ in range(MOST_MOVES):
            answer = self._ask(address, headers, most)
            if answer.status not in MOVED:
                break
            address = follow_move(address, answer.headers.get("location", ""))
        if answer.status not in (WHOLE, PART, PAST_THE_END):
            raise RefusedError(answer.status)
        return answer

    def _ask(self, address: str, headers: Mapping[str, str], most: int | None) -> Answer:
        """Make one request; if it was made by a connection that the server has closed meanwhile, make it anew."""
        parts = urlsplit(address)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        headers = {"Accept-Encoding": "identity", "User-Agent": "bodyposenet", **_sign(parts.hostname or ""), **headers}
        connection, used = self._connect(f"{parts.scheme}://{parts.netloc}")
        try:
            try:
                connection.request("GET", target, headers=headers)
                response = connection.getresponse()
            except HUNG_UP:
                connection.close()
                if not used:
                    raise
                return self._ask(address, headers, most)
            told = {name.lower(): value for name, value in response.getheaders()}
            content = _take(response, most if response.status in (WHOLE, PART) else REFUSAL)
            if not response.isclosed():  # what nobody wants to have is left where it is
                connection.close()
            return Answer(response.status, told, content)
        except BaseException:
            connection.close()
            raise

    def _connect(self, origin: str) -> tuple[http.client.HTTPConnection, bool]:
        """A connection of this thread, and whether it was used before."""
        kept = self._open.kept
        connection = kept.get(origin)
        if connection is not None and connection.sock is not None:
            return connection, True
        connection = kept[origin] = _make_connection(origin, self._trust)
        connection.connect()
        connection.sock.settimeout(ANSWER)
        return connection, False


def _take(response: http.client.HTTPResponse, most: int | None) -> bytes:
    """Take an answer's content, or as many bytes of it.

    Raises:
        TimeoutError: It comes too slowly.
        http.client.IncompleteRead: It ends too soon.
    """
    taken, start, more = io.BytesIO(), time.monotonic(), b"-"
    while more and (most is None or taken.tell() < most):
        more = response.read1(BLOCK if most is None else min(BLOCK, most - taken.tell()))
        taken.write(more)
        waited = time.monotonic() - start
        if waited > ANSWER and taken.tell() < SLOWEST * waited:
            raise TimeoutError(f"{taken.tell():,} bytes in {waited:.0f} seconds")
    if response.length == 0:
        response.close()
    elif response.length and not more:
        raise http.client.IncompleteRead(taken.getvalue(), response.length)
    return taken.getvalue()


class _KeptConnections(dict[str, http.client.HTTPConnection]):
    """Connections to servers; they are closed when nobody needs them any more."""

    def __del__(self) -> None:
        for connection in self.values():
            connection.close()


class _OpenConnections(threading.local):
    """The connections of a thread."""

    def __init__(self) -> None:
        self.kept = _KeptConnections()


class RefusedError(Exception):
    """An answer that is no file.

    Args:
        status: Its HTTP code.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"{status} {http.client.responses.get(status, '')}".strip())
        self.status = status


def _make_connection(origin: str, trust: ssl.SSLContext) -> http.client.HTTPConnection:
    """A connection to a server, through the proxy that the environment names for it."""
    parts = urlsplit(origin)
    host = parts.hostname or ""
    if parts.scheme == "http":
        return http.client.HTTPConnection(host, parts.port, timeout=CONNECT)
    proxy = "" if urllib.request.proxy_bypass(host) else urllib.request.getproxies().get("https", "")
    if not proxy:
        return http.client.HTTPSConnection(host, parts.port, timeout=CONNECT, context=trust)
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    connection = http.client.HTTPSConnection(way.hostname or "", way.port, timeout=CONNECT, context=trust)
    login = _basic("Proxy-Authorization", unquote(way.username), unquote(way.password or "")) if way.username else {}
    connection.set_tunnel(host, parts.port, login)
    return connection


def _sign(host: str) -> dict[str, str]:
    """The header with the user and password that ``~/.netrc``, or the file that NETRC names, has for a host."""
    try:
        found = netrc.netrc(os.environ.get("NETRC") or None).authenticators(host)
    except (OSError, netrc.NetrcParseError):
        return {}
    return _basic("Authorization", found[0], found[2] or "") if found else {}


def _basic(header: str, user: str, password: str) -> dict[str, str]:
    return {header: f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"}


def follow_move(address: str, target: str) -> str:
    """Find the address to which a server sends who asks for a file.

    Args:
        address: Of the file.
        target: What the server says, which may be relative.

    Raises:
        UserError: Anybody on the way could read it, or a server elsewhere sends to what only this machine can reach.
    """
    moved = urljoin(address, target)
    check_private(moved)
    if _is_here(moved) and not _is_here(address):
        fix = "name the file itself, if you mean it"
        raise UserError("its server leads to an address of this machine alone", where=address, fix=fix)
    return moved


def _is_here(address: str) -> bool:
    """Tell whether an address is of this machine, or of what hangs on it, in whatever form numbers are written."""
    host = urlsplit(address).hostname or ""
    try:
        number = ipaddress.ip_address(host if ":" in host else socket.inet_aton(host))
    except (OSError, ValueError):
        return host.rstrip(".").rpartition(".")[2] == "localhost"
    number = getattr(number, "ipv4_mapped", None) or number
    return number.is_loopback or number.is_link_local or number.is_unspecified


def check_private(address: str) -> None:
    """Refuse addresses by which anybody on the way can read and change a file."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError("this is no address of a file", where=address, fix="give https://host/path")
    if parts.scheme == "http" and parts.netloc.rpartition("@")[2].rpartition(":")[0] not in HERE:
        if parts.hostname in HERE:  # without a port
            return
        raise UserError("http:// is read from this machine alone", where=address, fix="give an https:// address")


def judge(error: Exception, *, where: str) -> Failing:
    """Judge a failed request for an address."""
    said = str(error) or type(error).__name__
    if isinstance(error, UserError):
        return Failing(error)
    if isinstance(error, RefusedError):
        return _judge_refusal(error, where)
    if isinstance(error, ssl.SSLCertVerificationError):
        return Failing(
            AwayError(f"the certificate is not trusted ({error.verify_message})", where=where, fix=CERTIFICATES)
        )
    if isinstance(error, http.client.HTTPException) and not isinstance(error, ConnectionError):
        told = PassingError(f"the answer is cut or garbled ({said})", where=where, fix="run it again")
        return Failing(told, hopeful=True)
    if isinstance(error, NO_ANSWER):
        fix = "check the address and the network, and run it again"
        return Failing(PassingError(f"the server does not answer ({said})", where=where, fix=fix), True, True)
    if isinstance(error, ValueError):  # of a place to go on to
        return Failing(UserError(f"this is no address ({said})", where=where, fix="check the address"))
    return Failing(error)


def _judge_refusal(error: RefusedError, where: str) -> Failing:
    if error.status in (404, 410):
        return Failing(FileNotFoundError(str(error)))
    if error.status in (401, 403, 407):
        return Failing(PermissionError(str(error)))
    kind = PassingError if error.status in BUSY else AwayError
    return Failing(kind(f"the server refuses: {error}", where=where, fix="run it again later"), error.status in BUSY)
