"""Encryption: files under a key that somebody types, AES-256-GCM in chunks, so that no large file is in memory whole.

A file is a header of 32 bytes and one frame for each chunk. The header tells how scrypt makes the file's own AES key of
the typed one and a random salt. A frame is the encrypted chunk and its tag. Its nonce is the chunk's number and whether
it is the last, and the header is authenticated with it: frames that are changed, cut off, added or moved do not open.
"""

import functools
import io
import os
import struct
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.files import whole_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC = b"\xabBPNET\r\n"  # no text, no zip, no ONNX file begins so
VERSION = 1
HEADER = struct.Struct(">8s4BI16s")  # magic, version, scrypt's log2 n, r and p, bytes of a chunk, salt
NONCE = struct.Struct(">?3xQ")  # whether it is the last chunk, its number
TAG = 16
CHUNK = 1 << 20
MOST_CHUNK = 1 << 24
MOST_WORK = 1 << 21  # of n * r * p: 256 MiB and about a second; a header may say anything


class LockedError(UserError):
    """An encrypted file that does not open: there is no key, it is another, or the file is not whole."""


class Cost(NamedTuple):
    """What scrypt costs whoever tries keys: by default 32 MiB and a tenth of a second for each."""

    log_n: int = 15
    r: int = 8
    p: int = 1


class Header(NamedTuple):
    """How an encrypted file is to be read."""

    cost: Cost
    chunk: int
    salt: bytes

    def packed(self) -> bytes:
        """The bytes that the file begins with."""
        return HEADER.pack(MAGIC, VERSION, *self.cost, self.chunk, self.salt)

    @classmethod
    def unpack(cls, content: bytes, where: str) -> "Header":
        """The inverse of :meth:`packed`.

        Raises:
            LockedError: It is cut short, of another version, or asks for more than any file that was written here.
        """
        if len(content) < HEADER.size:
            raise LockedError("is cut short within its header", where=where, fix="copy it again")
        _, version, log_n, r, p, chunk, salt = HEADER.unpack(content)
        if version != VERSION:
            fix = "read it with the release that wrote it, or copy it again"
            raise LockedError(f"is damaged, or encrypted in another form (number {version})", where=where, fix=fix)
        fits = 0 < log_n < 16 * r and p > 0 and (r * p) << log_n <= MOST_WORK and 0 < chunk <= MOST_CHUNK
        if not fits:
            raise LockedError("is damaged: its header asks for more than any has", where=where, fix="copy it again")
        return cls(Cost(log_n, r, p), chunk, salt)

    def cipher(self, key: str) -> "AESGCM":
        """What encrypts and decrypts this file's chunks."""
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(_derive(_secret(key), self.salt, self.cost))


def _secret(key: str) -> bytes:
    """A key's bytes, the same however a keyboard composes its letters.

    Raises:
        UserError: It is empty.
    """
    if not key:
        raise UserError("the key is empty", fix="give one, or none at all, which leaves model files open")
    return unicodedata.normalize("NFC", key).encode("utf-8", "surrogatepass")


@functools.lru_cache(maxsize=8)  # a verb opens the same few files again and again
def _derive(secret: bytes, salt: bytes, cost: Cost) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=1 << cost.log_n, r=cost.r, p=cost.p).derive(secret)


def is_encrypted(path: Path) -> bool:
    """Whether a file was encrypted here, by what it begins with; False where there is none."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return begins_encrypted(file)


def begins_encrypted(file: BinaryIO) -> bool:
    """The same of an open file, which is at its beginning before and after."""
    found = file.read(len(MAGIC))
    file.seek(0)
    return found == MAGIC


def encrypt_file(source: Path, output: Path, key: str) -> None:
    """Write a file encrypted, whole or not at all.

    Raises:
        UserError: The key is empty, the source is encrypted already, or a file cannot be read or written.
    """
    with source.open("rb") as file:
        if begins_encrypted(file):
            raise UserError("is encrypted already", where=str(source), fix="decrypt it first to change its key")
        with whole_file(output) as written, encrypting(written, key) as sealed:
            while block := file.read(CHUNK):
                sealed.write(block)


def decrypt_file(source: Path, output: Path, key: str) -> None:
    """Write an encrypted file's content, whole or not at all.

    Raises:
        LockedError: The key is another, or the source is damaged.
        UserError: The key is empty, the source is not encrypted, or a file cannot be read or written.
    """
    with source.open("rb") as file:
        if not begins_encrypted(file):
            raise UserError("is no file that bpnet encrypted", where=str(source), fix="use it as it is")
        with decrypting(file, key, where=str(source)) as opened, whole_file(output) as written:
            while block := opened.read(CHUNK):
                written.write(block)


@contextmanager
def encrypting(file: BinaryIO, key: str, *, cost: Cost | None = None, chunk: int = CHUNK) -> Iterator[BinaryIO]:
    """Open a stream whose content goes to a file encrypted; after an error in the block the file is not complete.

    Args:
        file: Gets the encrypted bytes.
        key: Whoever knows it can read them.
        cost: Of trying a key.
        chunk: Bytes that are encrypted at once.

    Raises:
        UserError: The key is empty.
    """
    header = Header(cost or Cost(), chunk, os.urandom(16))
    sealer = _Sealer(file, header, header.cipher(key))
    yield sealer  # type: ignore[misc]  # a raw stream, which takes all that is written
    sealer.finish()


class _Sealer(io.RawIOBase):
    """Encrypts what is written to it, chunk by chunk; a chunk goes out when it is known not to be the last."""

    def __init__(self, file: BinaryIO, header: Header, cipher: "AESGCM") -> None:
        self._file, self._chunk, self._cipher, self._header = file, header.chunk, cipher, header.packed()
        self._pending = bytearray()
        self._number = 0
        file.write(self._header)

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        for start in range(0, len(view), self._chunk):
            self._pending += view[start : start + self._chunk]
            if len(self._pending) > self._chunk:
                self._put(last=False)
        return len(view)

    def finish(self) -> None:
        """Write the last chunk; a stream that is only closed leaves a file that does not open."""
        self._put(last=True)

    def _put(self, *, last: bool) -> None:
        content = bytes(self._pending[: self._chunk])
        del self._pending[: self._chunk]
        self._file.write(self._cipher.encrypt(NONCE.pack(last, self._number), content, self._header))
        self._number += 1


def decrypting(file: BinaryIO, key: str, *, where: str) -> BinaryIO:
    """Open an encrypted file's content as a stream to read and seek in; its first and last chunk are held to the key.

    Args:
        file: The encrypted file, at its beginning; it must stay open.
        key: The one that it was encrypted with.
        where: What messages call it.

    Raises:
        LockedError: The key is another, or the file is damaged; the same when a damaged chunk is read later.
        UserError: The key is empty.
    """
    header = Header.unpack(file.read(HEADER.size), where)
    return io.BufferedReader(_Opener(file, header, header.cipher(key), where))


class _Opener(io.RawIOBase):
    """Decrypts what is read from it, a chunk at a time."""

    def __init__(self, file: BinaryIO, header: Header, cipher: "AESGCM", where: str) -> None:
        self._file, self._chunk, self._cipher, self._header = file, header.chunk, cipher, header.packed()
        self._where = where
        self._place = 0
        self._kept: tuple[int, bytes] = (-1, b"")  # number and content of the chunk that was read last
        size = file.seek(0, io.SEEK_END) - HEADER.size
        self._frames = max(1, -(-size // (header.chunk + TAG)))
        self._size = size - TAG * self._frames
        for number in {0, self._frames - 1}:
            self._content(number)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"place {start + offset} is before the file")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        if self._place >= self._size:
            return 0
        number, start = divmod(self._place, self._chunk)
        part = self._content(number)[start : start + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def _content(self, number: int) -> bytes:
        """A chunk, decrypted; the first one tells whether the key is right."""
        from cryptography.exceptions import InvalidTag

        if self._kept[0] != number:
            self._file.seek(HEADER.size + number * (self._chunk + TAG))
            frame = self._file.read(self._chunk + TAG)
            nonce = NONCE.pack(number + 1 == self._frames, number)
            try:
                self._kept = number, self._cipher.decrypt(nonce, frame, self._header)
            except InvalidTag:
                raise _report_locked(self._where, number) from None
        return self._kept[1]


def _report_locked(where: str, number: int) -> LockedError:
    if number:
        problem = f"is damaged or cut short: its beginning fits the key, chunk {number + 1} does not"
        return LockedError(problem, where=where, fix="copy it again")
    problem = "does not open: the key is another, or the file is damaged; nothing tells which"
    return LockedError(problem, where=where, fix="give the key that it was written with, or copy it again")
