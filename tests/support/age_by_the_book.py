"""Files in the age format as its specification says, made by other means than the product's, with a key that is cheap.

What keeps others from trying keys, half a second to three for each, is of no use to a test that needs files whose key
it knows. The product's own costs are held by the tests of encryption.
"""

import base64
import hmac
import os

import pyrage
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from bodyposenet.common.storage.encryption import MAGIC

PAYLOAD = 64 << 10  # bytes that age encrypts at once


def write_by_the_book(content, key, log_n=2):
    """The header and the encrypted chunks of a file."""

    def base64_of(data):
        return base64.b64encode(data).rstrip(b"=")

    def derive(salt, info):
        return HKDF(hashes.SHA256(), 32, salt, info).derive(file_key)

    file_key, salt, nonce = (os.urandom(16) for _ in range(3))
    wrapping = Scrypt(b"age-encryption.org/v1/scrypt" + salt, 32, 1 << log_n, 8, 1).derive(key.encode())
    stanza = base64_of(ChaCha20Poly1305(wrapping).encrypt(bytes(12), file_key, None))
    header = MAGIC + b"-> scrypt %b %d\n%b\n---" % (base64_of(salt), log_n, stanza)
    mac = hmac.digest(derive(None, b"header"), header, "sha256")
    chunks = [content[start : start + PAYLOAD] for start in range(0, len(content), PAYLOAD)]
    cipher = ChaCha20Poly1305(derive(nonce, b"payload"))
    frames = [
        cipher.encrypt(number.to_bytes(11, "big") + bytes([number + 1 == len(chunks)]), chunk, None)
        for number, chunk in enumerate(chunks)
    ]
    return [header + b" " + base64_of(mac) + b"\n" + nonce, *frames]


def encrypt_cheaply(content, key):
    """What ``pyrage.passphrase.encrypt`` does, at a thousandth of its cost."""
    return b"".join(write_by_the_book(content, key))


def make_keys_cheap():
    """Model files that this process writes with a key cost nothing; whoever reads them does not see a difference."""
    pyrage.passphrase.encrypt = encrypt_cheaply
