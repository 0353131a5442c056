"""Reencrypt: writes model files of the old form anew, in age's, under the same key and name.

BPNET_MODEL_KEY=… python -m bodyposenet.common.storage.reencrypt FILE…
"""

import sys
from pathlib import Path

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.encryption import begins_old, decrypting, encrypting
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.model_key import VARIABLE, key_in_use


def reencrypt(path: Path) -> bool:
    """Write a file of the old form anew; any other stays as it is.

    Returns:
        Whether it was of the old form.

    Raises:
        LockedError: The key is another, or the file is damaged.
        UserError: There is no key or no such file.
    """
    key = key_in_use()
    if key is None:
        raise UserError("there is no key", where=VARIABLE, fix="set it to the one that the files were written with")
    if not path.is_file():
        raise UserError("there is no such file", where=str(path), fix="check the path")
    with path.open("rb") as file:
        if not begins_old(file):
            return False
        content = decrypting(file, key, where=str(path)).read()
    with whole_file(path) as written, encrypting(written, key) as sealed:
        sealed.write(content)
    return True


def main(names: list[str]) -> int:
    """Write the files that are named anew, and say what became of each."""
    try:
        for name in names:
            print(f"{name}: {'written anew' if reencrypt(Path(name)) else 'stays: it is not of the old form'}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
