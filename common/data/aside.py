"""Aside: files that appear under their name whole or not at all, however this process ends."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bodyposenet.common.storage.files import is_remote, reported, whole_file


@contextlib.contextmanager
def laid(path: Path, token: str = "") -> Iterator[BinaryIO]:
    """Open a file that appears when it is complete; unlike ``whole_file`` it does not wait for the disk.

    Args:
        path: The final name; its folder must be there.
        token: Part of the name until then, so that a later attempt finds and replaces what a killed one left; by
            default it is random.

    Raises:
        UserError: The disk is full, or the folder is not there.
    """
    if is_remote(path):
        with whole_file(path) as file:
            yield file
        return
    aside = path.with_name(f".{path.name}.{token or secrets.token_hex(4)}.tmp")
    with reported(path):
        try:
            with open(aside, "wb") as file:
                yield file
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
