"""Encrypted files: they come back whole with their key, and with nothing else."""

import io
import itertools
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.encryption import (
    CHUNK,
    HEADER,
    MAGIC,
    TAG,
    Cost,
    Header,
    LockedError,
    decrypt_file,
    decrypting,
    encrypt_file,
    encrypting,
    is_encrypted,
)

KEY = "tlt_encode"
CHEAP = Cost(log_n=2)
SMALL = 32  # bytes of a chunk
FRAME = SMALL + TAG
EITHER = r"nvidia.tlt: does not open: the key is another, or the file is damaged; nothing tells which"


def encrypted(content, key=KEY, *, pieces=1, cost=CHEAP, chunk=SMALL):
    """The bytes of an encrypted file, written in so many pieces."""
    file = io.BytesIO()
    with encrypting(file, key, cost=cost, chunk=chunk) as sealed:
        for part in range(pieces):
            sealed.write(content[len(content) * part // pieces : len(content) * (part + 1) // pieces])
    return file.getvalue()


def decrypted(file, key=KEY):
    return decrypting(io.BytesIO(file), key, where="nvidia.tlt").read()


def content_of(size):
    return bytes(number % 251 for number in range(size))


sizes = st.builds(
    lambda chunks, off: max(0, chunks * SMALL + off),
    st.integers(0, 5),
    st.sampled_from((-1, 0, 1)) | st.integers(0, 40),
)


@given(size=sizes, key=st.text(min_size=1), pieces=st.integers(1, 6))
def test_what_was_encrypted_comes_back_with_its_key(size, key, pieces):
    content = content_of(size)
    file = encrypted(content, key, pieces=pieces)
    assert decrypted(file, key) == content
    assert len(file) == HEADER.size + size + TAG * max(1, -(-size // SMALL))
    if size > 3:
        assert content not in file


@given(key=st.text(min_size=1), other=st.text(min_size=1))
def test_another_key_opens_nothing(key, other):
    file = encrypted(content_of(50), key)
    if unicodedata.normalize("NFC", key) == unicodedata.normalize("NFC", other):
        assert decrypted(file, other) == content_of(50)
        return
    with pytest.raises(LockedError, match=EITHER):
        decrypted(file, other)


def test_a_key_is_the_same_however_its_letters_are_composed():
    assert decrypted(encrypted(b"a network", "schl\u00fcssel"), "schlu\u0308ssel") == b"a network"


@given(size=sizes, reads=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 90)), max_size=6))
def test_any_part_can_be_read(size, reads):
    content = content_of(size)
    opened = decrypting(io.BytesIO(encrypted(content)), KEY, where="x")
    assert opened.seek(0, io.SEEK_END) == size
    for place, count in reads:
        opened.seek(place)
        assert opened.read(count) == content[place : place + count]


def test_no_changed_byte_goes_unseen():
    file = encrypted(content_of(3 * SMALL + 5))
    for place, bit in itertools.product(range(len(file)), (1, 128)):
        changed = bytearray(file)
        changed[place] ^= bit
        if place < len(MAGIC):
            assert not bytes(changed).startswith(MAGIC)  # then it is read as an open file, and is none
            continue
        with pytest.raises(LockedError):
            decrypted(bytes(changed))


def test_no_cut_goes_unseen():
    file = encrypted(content_of(3 * SMALL))
    for length in range(len(MAGIC), len(file)):
        with pytest.raises(LockedError):
            decrypted(file[:length])
    with pytest.raises(LockedError):
        decrypted(file + b"\0")


@given(order=st.permutations(range(4)), keep=st.integers(1, 4))
def test_chunks_open_in_their_order_only(order, keep):
    file = encrypted(content_of(4 * SMALL))
    frames = [file[HEADER.size + FRAME * number :][:FRAME] for number in range(4)]
    moved = file[: HEADER.size] + b"".join(frames[number] for number in order[:keep])
    if moved == file:
        assert decrypted(moved) == content_of(4 * SMALL)
        return
    with pytest.raises(LockedError):
        decrypted(moved)


def test_a_chunk_of_another_file_with_the_same_key_does_not_open():
    one, other = encrypted(content_of(3 * SMALL)), encrypted(content_of(3 * SMALL))
    assert one != other
    second = slice(HEADER.size + FRAME, HEADER.size + 2 * FRAME)
    with pytest.raises(LockedError, match="its beginning fits the key, chunk 2 does not; copy it again"):
        decrypted(one[: second.start] + other[second] + one[second.stop :])


@pytest.mark.parametrize(
    "header",
    [
        Header(Cost(log_n=40), SMALL, bytes(16)),
        Header(Cost(log_n=15, r=255), SMALL, bytes(16)),
        Header(Cost(log_n=15, p=255), SMALL, bytes(16)),
        Header(Cost(log_n=0), SMALL, bytes(16)),
        Header(Cost(log_n=17, r=1), SMALL, bytes(16)),
        Header(Cost(r=0), SMALL, bytes(16)),
        Header(Cost(p=0), SMALL, bytes(16)),
        Header(Cost(), 0, bytes(16)),
        Header(Cost(), 1 << 31, bytes(16)),
    ],
)
def test_a_header_cannot_ask_for_all_memory(header):
    with pytest.raises(LockedError, match="its header asks for more than any has"):
        decrypted(header.packed() + bytes(100))


def test_a_later_form_is_told():
    file = bytearray(encrypted(b"network"))
    file[len(MAGIC)] = 2
    with pytest.raises(LockedError, match=r"encrypted in another form \(number 2\); read it with the release that"):
        decrypted(bytes(file))


def test_to_try_a_key_takes_32_mib_and_its_time():
    file = io.BytesIO()
    with encrypting(file, KEY) as sealed:
        sealed.write(b"network")
    cost = Header.unpack(file.getvalue()[: HEADER.size], "").cost
    assert 128 * cost.r << cost.log_n == 32 << 20
    assert decrypted(file.getvalue()) == b"network"


# Files


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(content_of(CHUNK + 77))
    return path


def test_a_file_is_encrypted_and_decrypted(source, tmp_path):
    encrypt_file(source, tmp_path / "deep/er/model.tlt", KEY)
    assert is_encrypted(tmp_path / "deep/er/model.tlt")
    assert not is_encrypted(source)
    assert not is_encrypted(tmp_path / "none")
    decrypt_file(tmp_path / "deep/er/model.tlt", tmp_path / "again.keras", KEY)
    assert (tmp_path / "again.keras").read_bytes() == source.read_bytes()


def test_what_does_not_open_leaves_no_file(source, tmp_path):
    encrypt_file(source, tmp_path / "model.tlt", KEY)
    whole = (tmp_path / "model.tlt").read_bytes()
    (tmp_path / "model.tlt").write_bytes(whole[: CHUNK // 2] + b"?" + whole[CHUNK // 2 + 1 :])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(LockedError, match=r"model\.tlt: does not open"):
        decrypt_file(tmp_path / "model.tlt", tmp_path / "again.keras", KEY)
    with pytest.raises(UserError, match=r"model\.tlt: is encrypted already; decrypt it first to change its key"):
        encrypt_file(tmp_path / "model.tlt", tmp_path / "twice.tlt", KEY)
    with pytest.raises(UserError, match=r"model\.keras: is no file that bpnet encrypted"):
        decrypt_file(source, tmp_path / "again.keras", KEY)
    with pytest.raises(UserError, match="the key is empty"):
        encrypt_file(source, tmp_path / "other.tlt", "")
    assert sorted(tmp_path.iterdir()) == before


def test_an_error_while_writing_leaves_nothing_that_opens():
    file = io.BytesIO()

    def fails():
        with encrypting(file, KEY, cost=CHEAP, chunk=SMALL) as sealed:
            sealed.write(content_of(5 * SMALL))
            raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        fails()
    with pytest.raises(LockedError):
        decrypted(file.getvalue())
