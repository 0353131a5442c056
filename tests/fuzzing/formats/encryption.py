"""Encryption: model files under a key, TAO's among them, and files of keys."""

from fuzzing.parser import Parser, text_files

KEY = "tlt_encode"


def encrypted(folder):
    import base64

    from support.age_by_the_book import encrypt_cheaply

    old = (
        "q0JQTkVUDQoBAggBAAAAIHhNF9onnrdUtkIMS3iJsUmqaaZarg5GzNx+roe5LyuBAGWHTtsOXQ/Tu5wlLYEWqxm8Dc6MP45+OKQD"
        "+PrVj6PT1Qobr87z0dHWJe8YBfMgBlDYUCdTtB/Y7vCGzKz5z9DEtKQhOfRfIpIjrzcPc50Uq8KjH3GGsSrYLBL1C1rVZboMMhYw"
        "8tHvUiRdzZV/3WbXdxyy9Kbk03tjExK4FKQIsoSurAPjdsP8eNz/Nprofia0I18="
    )
    return [encrypt_cheaply(b"content" * 30, KEY), base64.b64decode(old)]


def _encrypted(path):
    from bodyposenet.common.storage.model_key import open_model_file, using_key

    with using_key(KEY), open_model_file(path) as file:
        file.read()


def tao_encrypted(folder):
    return [(8).to_bytes(4, "little") + b"input_1\0" + bytes(range(200)), bytes(4) + bytes(range(100, 250))]


def _tao_encrypted(path):
    from bodyposenet.common.storage.tao_encryption import decrypt_tao, is_tao_encrypted

    if is_tao_encrypted(path):
        decrypt_tao(path, path.parent, KEY)


def key_files(folder):
    return text_files("tlt_encode\n", "schlüssel")


def _key_file(path):
    from bodyposenet.common.cli.options import _find_key

    _find_key(None, str(path))


PARSERS = (
    Parser("encrypted", encrypted, _encrypted, "net.tlt"),
    Parser("tao-encrypted", tao_encrypted, _tao_encrypted, "net.etlt"),
    Parser("key-file", key_files, _key_file, "key.txt"),
)
