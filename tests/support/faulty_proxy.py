"""A proxy between a client and a server of this machine that disturbs some of the answers."""

import contextlib
import http.client
import http.server
import random
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

from support.threaded_server import ThreadedServer, serving

FAULTS = ("reset", "busy", "cut", "unheard")
HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Proxy(http.server.BaseHTTPRequestHandler):
    """Hands requests on, and answers back."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def hand_on(self) -> None:
        body = self._read_body()
        fault = self.server.choose(self)
        if fault == "reset":
            self._reset()
        elif fault == "busy":
            self._answer(503, [], b"busy", None)
        elif fault == "unheard":  # it is done, and who asked for it does not learn that
            self._ask(body)
            self._reset()
        else:
            status, headers, content = self._ask(body)
            whole = len(content)
            if fault == "cut" and self.command != "HEAD":
                content = content[: whole // 2]
            self._answer(status, headers, content, whole)
            if fault == "cut":
                self._reset()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do_PATCH = hand_on  # noqa: N815

    def handle_expect_100(self) -> bool:
        """Let the body come."""
        going_on = super().handle_expect_100()
        self.wfile.flush()
        return going_on

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.server.there, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in {*HOP, "expect"}}
            connection.request(self.command, self.path, body or None, headers | {"Content-Length": str(len(body))})
            answer = connection.getresponse()
            given = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP]
            if self.command == "HEAD":
                given.append(("Content-Length", answer.headers.get("Content-Length", "0")))
            return answer.status, given, answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, whole: int | None) -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        if self.command != "HEAD" and status not in (204, 304):
            self.send_header("Content-Length", str(len(content) if whole is None else whole))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
        self.wfile.flush()

    def _reset(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


class ProxyServer(ThreadedServer):
    """Disturbs answers.

    Attributes:
        there: The server that it stands before.
        choose: Given the handler of a request, one of :data:`FAULTS`, or nothing.
    """

    def __init__(self, url: str, choose: Callable[[Proxy], str | None], certificate: Path | None) -> None:
        super().__init__(Proxy, certificate)
        self.there = urlsplit(url).netloc
        self.choose = choose

    def shutdown_request(self, request: socket.socket) -> None:
        """Close without a farewell: after a reset there is none."""
        self.close_request(request)


def faulty_proxy(
    url: str, choose: Callable[[Proxy], str | None], certificate: Path | None = None
) -> AbstractContextManager[ProxyServer]:
    """Stand between a server and its clients; by https, where there is a certificate."""
    return serving(ProxyServer(url, choose, certificate))


class Faults:
    """Chooses faults by a seed.

    Args:
        seed: Of the choice.
        share: Of the requests that are disturbed.
        most: How many are disturbed in all.
        kinds: What may happen to them.
        forgetful: The server does not know what it has done; so nothing is disturbed that it did, but for reading.
    """

    def __init__(
        self, seed: int, share: float, most: int, kinds: tuple[str, ...] = FAULTS, *, forgetful: bool = False
    ) -> None:
        self._generator, self._share, self._left, self._kinds = random.Random(seed), share, most, kinds
        self._forgetful, self._lock = forgetful, threading.Lock()
        self.done: list[str] = []

    def __call__(self, request: Proxy) -> str | None:
        """Choose what happens to a request."""
        with self._lock:
            if not self._left or self._generator.random() >= self._share:
                return None
            self._left -= 1
            fault = self._generator.choice(self._kinds)
            late = self._forgetful and request.command != "GET" and fault in ("cut", "unheard")
            self.done.append("reset" if late else fault)
            return self.done[-1]
