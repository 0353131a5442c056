"""Files of the form before age's: what was written then opens, and nothing that was changed since."""

import base64
import itertools
import logging

import pytest

from bodyposenet.common.storage import encryption, reencrypt
from bodyposenet.common.storage.encryption import LockedError, begins_old, is_encrypted
from bodyposenet.common.storage.model_key import VARIABLE, open_model_file, using_key
from bodyposenet.common.storage.old_encryption import HEADER, MAGIC, TAG, DamageError, decrypt

KEY, CHUNK = "tlt_encode", 32
CONTENT = bytes(range(101))
SEALED = base64.b64decode(  # of the last release that wrote it, with cheap costs
    "q0JQTkVUDQoBAggBAAAAIHhNF9onnrdUtkIMS3iJsUmqaaZarg5GzNx+roe5LyuBAGWHTtsOXQ/Tu5wlLYEWqxm8Dc6MP45+OKQD"
    "+PrVj6PT1Qobr87z0dHWJe8YBfMgBlDYUCdTtB/Y7vCGzKz5z9DEtKQhOfRfIpIjrzcPc50Uq8KjH3GGsSrYLBL1C1rVZboMMhYw"
    "8tHvUiRdzZV/3WbXdxyy9Kbk03tjExK4FKQIsoSurAPjdsP8eNz/Nprofia0I18="
)


def test_what_was_written_then_opens():
    assert decrypt(SEALED, KEY) == CONTENT


@pytest.mark.parametrize("key", ["tlt_encode ", "", "another"])
def test_another_key_opens_nothing(key):
    with pytest.raises(DamageError):
        decrypt(SEALED, key)


def test_no_changed_byte_and_no_cut_goes_unseen():
    for place, bit in itertools.product(range(len(MAGIC), len(SEALED)), (1, 128)):
        changed = bytearray(SEALED)
        changed[place] ^= bit
        with pytest.raises(DamageError):
            decrypt(bytes(changed), KEY)
    for length in range(len(SEALED)):
        with pytest.raises(DamageError):
            decrypt(SEALED[:length], KEY)


def test_chunks_open_in_their_order_only():
    frames = [SEALED[start : start + CHUNK + TAG] for start in range(HEADER.size, len(SEALED), CHUNK + TAG)]
    for order in itertools.permutations(range(4)):
        moved = SEALED[: HEADER.size] + b"".join(frames[number] for number in order)
        if moved != SEALED:
            with pytest.raises(DamageError):
                decrypt(moved, KEY)


@pytest.mark.parametrize(
    "costs", [(40, 8, 1), (15, 255, 1), (15, 8, 255), (0, 8, 1), (17, 1, 1), (15, 0, 1), (15, 8, 0)]
)
@pytest.mark.parametrize("chunk", [0, 32, 1 << 31])
def test_a_header_cannot_ask_for_all_memory(costs, chunk):
    if chunk == CHUNK and costs == (15, 8, 1):
        return
    with pytest.raises(DamageError, match="asks for what no such file has"):
        decrypt(HEADER.pack(MAGIC, 1, *costs, chunk, bytes(16)) + bytes(100), KEY)


def test_a_model_file_of_then_is_read_with_a_warning_that_names_the_remedy(tmp_path, caplog):
    path = tmp_path / "model.tlt"
    path.write_bytes(SEALED)
    encryption._warn_of_old.cache_clear()
    with caplog.at_level(logging.WARNING), using_key(KEY):
        for _ in range(2):
            with open_model_file(path) as file:
                assert file.read() == CONTENT
    (said,) = caplog.messages
    assert f"python -m bodyposenet.common.storage.reencrypt {path}" in said
    with using_key("other"), pytest.raises(LockedError, match="the key is another, or the file is damaged"):
        open_model_file(path).__enter__()
    with pytest.raises(LockedError, match="is encrypted, and no key is given"):
        open_model_file(path).__enter__()


def test_a_file_is_written_anew_under_its_key_and_then_stays(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv(VARIABLE, KEY)
    path = tmp_path / "model.tlt"
    path.write_bytes(SEALED)
    assert reencrypt.main([str(path)]) == 0
    anew = path.read_bytes()
    assert anew.startswith(b"age-encryption.org/v1\n-> scrypt ")
    with path.open("rb") as file:
        assert not begins_old(file)
    with open_model_file(path) as file:
        assert file.read() == CONTENT
    assert reencrypt.main([str(path)]) == 0
    assert path.read_bytes() == anew
    assert capsys.readouterr().out == f"{path}: written anew\n{path}: stays: it is not of the old form\n"


@pytest.mark.parametrize(("key", "message"), [
    ("", "BPNET_MODEL_KEY: there is no key"), ("other", "model.tlt: does not open: the key is another"),
])  # fmt: skip
def test_what_is_not_written_anew_stays_and_ends_with_2(tmp_path, capsys, monkeypatch, key, message):
    if key:
        monkeypatch.setenv(VARIABLE, key)
    path = tmp_path / "model.tlt"
    path.write_bytes(SEALED)
    assert reencrypt.main([str(path)]) == 2
    assert message in capsys.readouterr().err
    assert path.read_bytes() == SEALED
    assert is_encrypted(path)
