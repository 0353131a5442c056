"""Streams: objects of a store as files that are open, read by ranges and written by parts."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

AHEAD = 1 << 20  # bytes that a stream reads at once
PART = 8 << 20  # bytes of an upload's first requests
GROWTH = 1000  # requests, after which they are twice as large


class Upload(Protocol):
    """A large object on its way, which appears when it is finished."""

    def send(self, content: bytes) -> None:
        """Send the next part."""
        ...

    def finish(self) -> None:
        """Let the object appear."""
        ...

    def give_up(self) -> None:
        """Leave nothing behind."""
        ...


def open_ranges(read: Callable[[int, int], bytes], size: int) -> io.BufferedReader:
    """Open an object for reading in turn and seeking.

    Args:
        read: Reads its bytes from a place to another.
        size: Its bytes.
    """
    return io.BufferedReader(_Ranges(read, size), AHEAD)


class _Ranges(io.RawIOBase):
    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._place = read, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"{base + offset} is before the beginning")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer).cast("B")
        end = min(self._place + len(view), self._size)
        content = self._read(self._place, end) if end > self._place else b""
        view[: len(content)] = content
        self._place += len(content)
        return len(content)


class PartsFile(io.RawIOBase):
    """A file that is written in turn; a small one goes to the store with one request, a large one in parts.

    Args:
        put: Writes a small object.
        begin: Begins a large one.
    """

    def __init__(self, put: Callable[[bytes], Any], begin: Callable[[], Upload]) -> None:
        self._put, self._begin = put, begin
        self._upload: Upload | None = None
        self._waiting = bytearray()
        self._sent = 0

    def writable(self) -> bool:
        """It can be written."""
        return True

    def write(self, content: "ReadableBuffer") -> int:
        """Take bytes; as soon as they are enough, they are sent."""
        view = memoryview(content).cast("B")
        for start in range(0, len(view), PART):
            self._waiting += view[start : start + PART]
            if len(self._waiting) >= PART << self._sent // GROWTH:  # S3 takes 10,000 parts and no more
                self._send()
        return len(view)

    def _send(self) -> None:
        self._upload = self._upload or self._begin()
        self._upload.send(bytes(self._waiting))
        self._waiting.clear()
        self._sent += 1

    def finish(self) -> None:
        """Let the object appear."""
        if self._upload is None:
            self._put(bytes(self._waiting))
            return
        if self._waiting:
            self._send()
        self._upload.finish()

    def give_up(self) -> None:
        """Leave nothing behind."""
        if self._upload is not None:
            self._upload.give_up()
