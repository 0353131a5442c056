"""Old encryption: reads the form that model files were encrypted in before age's, for a release.

A file is a header of 32 bytes and one frame for each chunk. The header tells how scrypt makes the file's own AES key of
the typed one and a random salt. A frame is the chunk under AES-256-GCM and its tag. Its nonce is the chunk's number and
whether it is the last, and the header is authenticated with it.
"""

import struct
import unicodedata

from bodyposenet.common.bounds import OLD_KEY_CHUNK_BYTES, OLD_KEY_WORK

MAGIC = b"\xabBPNET\r\n"  # no text, no zip, no ONNX file begins so
VERSION = 1
HEADER = struct.Struct(">8s4BI16s")  # magic, version, scrypt's log2 n, r and p, bytes of a chunk, salt
NONCE = struct.Struct(">?3xQ")  # whether it is the last chunk, its number
TAG = 16


class DamageError(Exception):
    """A file of the old form that does not open."""


def decrypt(sealed: bytes, key: str) -> bytes:
    """Read a file's content.

    Args:
        sealed: The file's bytes.
        key: The one that it was encrypted with.

    Raises:
        DamageError: The key is another, or a byte is.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    log_n, r, p, chunk, salt = _read_header(sealed)
    secret = unicodedata.normalize("NFC", key).encode("utf-8")
    cipher = AESGCM(Scrypt(salt=salt, length=32, n=1 << log_n, r=r, p=p).derive(secret))
    header, frame = sealed[: HEADER.size], chunk + TAG
    starts = range(HEADER.size, len(sealed), frame)
    try:
        return b"".join(
            cipher.decrypt(NONCE.pack(start == starts[-1], number), sealed[start : start + frame], header)
            for number, start in enumerate(starts)
        )
    except InvalidTag:
        raise DamageError("old form") from None


def _read_header(sealed: bytes) -> tuple[int, int, int, int, bytes]:
    """Scrypt's costs, a chunk's bytes and the salt."""
    if len(sealed) < HEADER.size + TAG:
        raise DamageError("cut short within its first chunk")
    _, version, log_n, r, p, chunk, salt = HEADER.unpack_from(sealed)
    fits = 0 < log_n < 16 * r and p > 0 and (r * p) << log_n <= OLD_KEY_WORK and 0 < chunk <= OLD_KEY_CHUNK_BYTES
    if version != VERSION or not fits:
        raise DamageError("its header asks for what no such file has")
    return log_n, r, p, chunk, salt
