"""Past: what earlier runs in a folder have left that a new one can take up."""

import contextlib
import fcntl
import functools
import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bodyposenet
from bodyposenet.common.errors import UserError
from bodyposenet.common.retention.local_runs import LOCK, RunNote
from bodyposenet.common.storage.digests import digest_file, digest_settings
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.inside import is_plain
from bodyposenet.common.storage.locking import read_owner, sign_folder

PATIENCE = 8.0  # seconds that the processes of a run that was killed may take to end
LIBRARIES = ("kfp", "tensorflow", "tensorflow-cpu", "keras", "onnx", "onnxruntime", "tf2onnx", "opencv-python-headless")


@contextlib.contextmanager
def sole_user(folder: Path) -> Iterator[int]:
    """Keep other runs out of a folder for as long as this one, or a process that was handed the lock, is alive.

    Yields:
        The lock's descriptor.

    Raises:
        UserError: Another run is at work there.
    """
    with translate_errors(folder):
        descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
    with os.fdopen(descriptor, "r+b"):
        end = time.monotonic() + PATIENCE
        while not _lock(descriptor):
            if time.monotonic() > end:
                problem, fix = f"another run is at work in this folder: {read_owner(folder)}", "wait, or name another"
                raise UserError(problem, where=str(folder), fix=fix)
            time.sleep(0.1)
        sign_folder(folder)
        yield descriptor


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def name_run(folder: Path, arguments: Mapping[str, Any]) -> str:
    """The name of a run: that of the last one if it did not come to a good end and was asked for the same."""
    asked = digest_settings([code_digest(), arguments])
    last = RunNote.read(folder) or RunNote()
    if last.asked == asked and not last.done and is_plain(last.name):  # it becomes a folder's
        return last.name
    name = f"demo-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"  # clocks are set back, each autumn at least
    replace(last, name=name, asked=asked, done=False).write(folder)
    return name


def is_new(cache: Path) -> bool:
    """Whether no task has been finished yet that a run could take up."""
    return not any(cache.glob("*.json"))


def mark_complete(folder: Path, made: Iterable[Path] = ()) -> None:
    """Note that the last run came to a good end, and where its outputs are."""
    (RunNote.read(folder) or RunNote()).complete(folder, made, code_digest()).write(folder)


@functools.cache
def code_digest() -> str:
    """A digest of this package and of the libraries that it computes with: what others made is made again."""
    digest = hashlib.sha256(bodyposenet.__version__.encode())
    for package in ("common", "components", "pipelines"):
        root = Path(__file__).parents[2] / package
        for path in sorted(root.rglob("*")):
            if path.suffix in (".py", ".yaml", ".json", ".keras", ".html"):
                digest.update(f"{path.relative_to(root)} {digest_file(path)}".encode())
    digest.update(json.dumps([_version(name) for name in LIBRARIES]).encode())
    return digest.hexdigest()[:16]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return os.devnull
