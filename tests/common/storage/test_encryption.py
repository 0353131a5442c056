"""Encrypted files: they come back whole with their key, and with nothing else; age reads and writes them, too."""

import base64
import io
import itertools
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.age_by_the_book import PAYLOAD, write_by_the_book

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.encryption import (
    MAGIC,
    LockedError,
    decrypt_file,
    decrypting,
    encrypt_file,
    encrypting,
    is_encrypted,
)

KEY = "tlt_encode"
EITHER = r"nvidia.tlt: does not open: the key is another, or the file is damaged; nothing tells which"
OF_AGE = base64.b64decode(  # what age 1.1.1 made of "age": age -p
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBQdURsTGhiclJzT3RkTyt0dVZtTHZBIDE4CnRIN3FsSG5MYjFISzRjVkZl"
    "OW16WXJHbFFrcnh0Rzc5a3BLYWFhakRBbDgKLS0tIDFqQmRKZ0ErajNnRS8xTkg2ZEFNclE3OS9SdkZGeXBQTVplVVJvQ0NaQkEK"
    "e6U6ULaVwwBEjoVjW+JsyARsoed6gKQOAWh9NKrdwDlM3Js="
)


def encrypted(content, key=KEY, *, pieces=1):
    """The bytes of an encrypted file, written in so many pieces."""
    file = io.BytesIO()
    with encrypting(file, key) as sealed:
        for part in range(pieces):
            sealed.write(content[len(content) * part // pieces : len(content) * (part + 1) // pieces])
    return file.getvalue()


def decrypted(file, key=KEY):
    return decrypting(io.BytesIO(file), key, where="nvidia.tlt").read()


def content_of(size):
    return bytes(number % 251 for number in range(size))


@pytest.fixture(scope="module")
def sealed():
    """A file of two and a half of age's chunks; made once, for each takes a second."""
    return encrypted(content_of(5 * PAYLOAD // 2), pieces=3)


def test_what_was_encrypted_comes_back_with_its_key_in_another_process():
    size, key = PAYLOAD + 1, "ü 密钥 \n" * 60
    file = encrypted(content_of(size), key)
    assert file.startswith(MAGIC)
    code = "import base64, io, sys; from bodyposenet.common.storage.encryption import decrypting;"
    code += "key, sealed = (base64.b64decode(line) for line in sys.stdin);"
    code += "sys.stdout.buffer.write(decrypting(io.BytesIO(sealed), key.decode(), where='x').read())"
    given = base64.b64encode(key.encode()) + b"\n" + base64.b64encode(file)
    done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, check=True)
    assert done.stdout == content_of(size)


def test_what_is_inside_cannot_be_seen_and_differs_each_time(sealed):
    content = content_of(5 * PAYLOAD // 2)
    assert decrypted(sealed) == content
    assert content[:32] not in sealed
    other = encrypted(content)
    assert sealed[len(MAGIC) : len(MAGIC) + 40] != other[len(MAGIC) : len(MAGIC) + 40]
    assert sealed[-64:] != other[-64:]


def test_a_file_that_age_wrote_opens():
    assert decrypted(OF_AGE, "open sesame") == b"age"


def test_a_file_says_scrypt_and_a_cost_that_makes_trying_keys_dear(sealed):
    kind, name, _, cost = sealed[len(MAGIC) :].split(b"\n", 1)[0].split(b" ")
    assert (kind, name) == (b"->", b"scrypt")
    assert int(cost) >= 15  # 2**15 * 8 * 128 bytes are 32 MiB for each key that is tried


@given(key=st.text(min_size=1, max_size=20), other=st.text(min_size=1, max_size=20))
def test_another_key_opens_nothing(key, other):
    key, other = (unicodedata.normalize("NFC", text) for text in (key, other))
    file = b"".join(write_by_the_book(b"network", key))
    if key == other:
        assert decrypted(file, other) == b"network"
        return
    with pytest.raises(LockedError, match=EITHER):
        decrypted(file, other)


@pytest.mark.usefixtures("cheap_keys")
def test_a_key_is_the_same_however_its_letters_are_composed():
    assert decrypted(encrypted(b"a network", "schl\u00fcssel"), "schlu\u0308ssel") == b"a network"


@pytest.mark.parametrize("use", [lambda key: encrypted(b"", key), lambda key: decrypted(OF_AGE, key)])
def test_a_key_that_is_none_is_told(use):
    with pytest.raises(UserError, match="the key is empty; give one"):
        use("")
    with pytest.raises(UserError, match="the key is no text in UTF-8"):
        use("\udcff")


def test_any_part_can_be_read():
    content = content_of(5 * PAYLOAD // 2)
    opened = decrypting(io.BytesIO(b"".join(write_by_the_book(content, KEY))), KEY, where="x")
    assert opened.seek(0, io.SEEK_END) == len(content)
    for place, count in [(5, 7), (PAYLOAD - 3, 9), (len(content) - 2, 50)]:
        opened.seek(place)
        assert opened.read(count) == content[place : place + count]


def test_a_file_written_by_the_book_opens():
    content = content_of(2 * PAYLOAD + 7)
    assert decrypted(b"".join(write_by_the_book(content, KEY))) == content


def test_no_changed_byte_and_no_cut_goes_unseen():
    file = b"".join(write_by_the_book(content_of(50), KEY))
    assert decrypted(file) == content_of(50)
    for place, bit in itertools.product(range(len(MAGIC), len(file)), (1, 16)):
        changed = bytearray(file)
        changed[place] ^= bit
        with pytest.raises(LockedError):
            decrypted(bytes(changed))
    for length in range(len(MAGIC), len(file)):
        with pytest.raises(LockedError):
            decrypted(file[:length])
    with pytest.raises(LockedError):
        decrypted(file + b"\0")


def test_chunks_open_in_their_order_only():
    header, *frames = write_by_the_book(content_of(3 * PAYLOAD), KEY)
    for count in (1, 2, 3):
        for order in itertools.permutations(frames, count):
            if list(order) != frames:
                with pytest.raises(LockedError, match="its beginning fits the key, the rest does not"):
                    decrypted(header + b"".join(order))


def test_damage_behind_a_header_that_fits_is_told_from_another_key():
    sealed = b"".join(write_by_the_book(content_of(5 * PAYLOAD // 2), KEY))
    with pytest.raises(LockedError, match="is damaged or cut short: its beginning fits the key, the rest does not"):
        decrypted(sealed[:-1] + bytes([sealed[-1] ^ 1]))


def test_a_header_that_asks_for_all_time_is_refused():
    header, frame = write_by_the_book(b"network", KEY)
    with pytest.raises(LockedError, match="does not open"):
        decrypted(header.replace(b" 2\n", b" 50\n", 1) + frame)


# Files


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content_of(PAYLOAD + 77))
    return path


@pytest.mark.usefixtures("cheap_keys")
def test_a_file_is_encrypted_and_decrypted(source, tmp_path):
    encrypt_file(source, tmp_path / "deep/er/model.tlt", KEY)
    assert is_encrypted(tmp_path / "deep/er/model.tlt")
    assert not is_encrypted(source)
    assert not is_encrypted(tmp_path / "none")
    decrypt_file(tmp_path / "deep/er/model.tlt", tmp_path / "again.keras", KEY)
    assert (tmp_path / "again.keras").read_bytes() == source.read_bytes()


@pytest.mark.usefixtures("cheap_keys")
def test_what_does_not_open_leaves_no_file(source, tmp_path):
    encrypt_file(source, tmp_path / "model.tlt", KEY)
    whole = (tmp_path / "model.tlt").read_bytes()
    (tmp_path / "model.tlt").write_bytes(whole[: PAYLOAD // 2] + b"?" + whole[PAYLOAD // 2 + 1 :])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LockedError, match=r"model\.tlt: is damaged or cut short"):
        decrypt_file(tmp_path / "model.tlt", tmp_path / "again.keras", KEY)
    with pytest.raises(UserError, match=r"model\.tlt: is encrypted already; decrypt it first to change its key"):
        encrypt_file(tmp_path / "model.tlt", tmp_path / "twice.tlt", KEY)
    with pytest.raises(UserError, match=r"model\.keras: is no file that bpnet encrypted"):
        decrypt_file(source, tmp_path / "again.keras", KEY)
    with pytest.raises(UserError, match="the key is empty"):
        encrypt_file(source, tmp_path / "other.tlt", "")
    assert sorted(tmp_path.iterdir()) == before


def test_an_error_while_writing_leaves_nothing():
    file = io.BytesIO()

    def fails():
        with encrypting(file, KEY) as sealed:
            sealed.write(content_of(500))
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fails()
    assert file.getvalue() == b""
