"""Encryption: files under a key that somebody types, in the age format, which ``age -d`` opens, too.

The key is the passphrase: https://age-encryption.org/v1 tells how it is stretched, and how no byte can be changed, cut
off, added or moved unseen. A file is in memory whole while it is encrypted or decrypted.
"""

import functools
import hashlib
import io
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage import old_encryption
from bodyposenet.common.storage.files import whole_file

MAGIC = b"age-encryption.org/v1\n"
OTHER_KEY = "Decryption failed"  # pyrage's words where a header does not fit the passphrase
CUT = ("decryption error", "age file is truncated")  # its words where the header fits, and what follows does not


class LockedError(UserError):
    """An encrypted file that does not open: there is no key, it is another, or the file is not whole."""


class _Opened:
    """The contents that were decrypted last: a verb opens the same few files again and again, at a second each."""

    MOST = 4  # an export in 8 bits writes three, and reads them once more

    def __init__(self) -> None:
        self._contents: OrderedDict[bytes, bytes] = OrderedDict()
        self._alone = threading.Lock()

    def find(self, digest: bytes) -> bytes | None:
        with self._alone:
            return self._contents.get(digest)

    def keep(self, digest: bytes, content: bytes) -> bytes:
        with self._alone:
            self._contents[digest] = content
            while len(self._contents) > self.MOST:
                self._contents.popitem(last=False)
        return content


_opened = _Opened()


def is_encrypted(path: Path) -> bool:
    """Whether a file is encrypted, by what it begins with; False where there is none."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return begins_encrypted(file)


def begins_encrypted(file: BinaryIO) -> bool:
    """The same of an open file, which is at its beginning before and after."""
    return _begins(file, MAGIC) or begins_old(file)


def begins_old(file: BinaryIO) -> bool:
    """Whether an open file has the form that was written before age's; it is at its beginning before and after."""
    return _begins(file, old_encryption.MAGIC)


def _begins(file: BinaryIO, magic: bytes) -> bool:
    found = file.read(len(magic))
    file.seek(0)
    return found == magic


def encrypt_file(source: Path, output: Path, key: str) -> None:
    """Write a file encrypted, whole or not at all.

    Raises:
        UserError: The key is empty, the source is encrypted already, or a file cannot be read or written.
    """
    with source.open("rb") as file:
        if begins_encrypted(file):
            raise UserError("is encrypted already", where=str(source), fix="decrypt it first to change its key")
        with whole_file(output) as written, encrypting(written, key) as sealed:
            sealed.write(file.read())


def decrypt_file(source: Path, output: Path, key: str) -> None:
    """Write an encrypted file's content, whole or not at all.

    Raises:
        LockedError: The key is another, or the source is damaged.
        UserError: The key is empty, the source is not encrypted, or a file cannot be read or written.
    """
    with source.open("rb") as file:
        if not begins_encrypted(file):
            raise UserError("is no file that bpnet encrypted", where=str(source), fix="use it as it is")
        content = decrypting(file, key, where=str(source)).read()
    with whole_file(output) as written:
        written.write(content)


@contextmanager
def encrypting(file: BinaryIO, key: str) -> Iterator[BinaryIO]:
    """Open a stream whose content goes to a file encrypted when the block ends; nothing does after an error in it.

    Args:
        file: Gets the encrypted bytes.
        key: Whoever knows it can read them.

    Raises:
        UserError: The key is empty, or no text.
    """
    import pyrage

    passphrase = _normalize(key)
    content = io.BytesIO()
    yield content
    sealed = pyrage.passphrase.encrypt(content.getvalue(), passphrase)
    _opened.keep(_digest(sealed, passphrase), content.getvalue())
    file.write(sealed)


def decrypting(file: BinaryIO, key: str, *, where: str) -> BinaryIO:
    """Open an encrypted file's content as a stream to read and seek in.

    Args:
        file: The encrypted file, at its beginning.
        key: The one that it was encrypted with.
        where: What messages call it.

    Raises:
        LockedError: The key is another, or the file is damaged.
        UserError: The key is empty, or no text.
    """
    old = begins_old(file)
    sealed = file.read()
    if old:
        return io.BytesIO(_decrypt_old(sealed, key, where))
    passphrase = _normalize(key)
    digest = _digest(sealed, passphrase)
    content = _opened.find(digest)
    return io.BytesIO(_opened.keep(digest, _decrypt(sealed, passphrase, where)) if content is None else content)


def _decrypt(sealed: bytes, passphrase: str, where: str) -> bytes:
    import pyrage

    try:
        return bytes(pyrage.passphrase.decrypt(sealed, passphrase))
    except pyrage.DecryptError as error:
        raise _report_locked(str(error), where) from None


def _decrypt_old(sealed: bytes, key: str, where: str) -> bytes:
    _normalize(key)
    _warn_of_old(where)
    try:
        return old_encryption.decrypt(sealed, key)
    except old_encryption.DamageError as error:
        raise _report_locked(str(error), where) from None


@functools.lru_cache(maxsize=256)  # once for each file
def _warn_of_old(where: str) -> None:
    import logging

    logging.getLogger(__name__).warning(
        "%s is encrypted in a form that the next release will not read; write it anew in age's: "
        "python -m bodyposenet.common.storage.reencrypt %s",
        where,
        where,
    )


def _normalize(key: str) -> str:
    """A key's text, the same however a keyboard composes its letters.

    Raises:
        UserError: It is empty, or has bytes that are no text.
    """
    if not key:
        raise UserError("the key is empty", fix="give one, or none at all, which leaves model files open")
    try:
        key.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError("the key is no text in UTF-8", fix="give it as text") from None
    return unicodedata.normalize("NFC", key)


def _digest(sealed: bytes, passphrase: str) -> bytes:
    return hashlib.sha256(hashlib.sha256(passphrase.encode()).digest() + sealed).digest()


def _report_locked(reason: str, where: str) -> LockedError:
    if reason in CUT:
        problem = "is damaged or cut short: its beginning fits the key, the rest does not"
        return LockedError(problem, where=where, fix="copy it again")
    problem = "does not open: the key is another, or the file is damaged; nothing tells which"
    detail = "" if reason == OTHER_KEY else f" ({reason})"
    return LockedError(problem + detail, where=where, fix="give the key that it was written with, or copy it again")
