"""Model key: what model files are encrypted with, where it comes from, and how every one of them is opened.

Files are told apart by what they begin with, never by their names. Who gives a key does not expect an open file, which
anybody may have put in the place of an encrypted one: it is refused unless that is allowed, or the package brought it.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from bodyposenet.common.bounds import ONNX_BYTES
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.encryption import LockedError, begins_encrypted, decrypting, encrypting
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import locate
from bodyposenet.common.storage.tao_encryption import ETLT, TLT, explain_opening

VARIABLE, ALLOW_VARIABLE = "BPNET_MODEL_KEY", "BPNET_ALLOW_PLAIN"
SHIPPED = Path(__file__).resolve().parents[1] / "model/files/pretrained"
OPEN = (b"PK\3\4", b"\x89HDF", b"\x08")  # how a Keras zip, HDF5, and ONNX with its version first begin
TAO_ENDINGS = (TLT, ETLT)  # of models that are encrypted: networks to train, and exported ones

_given: list[str] = []  # of the process, not of a thread: a thread that knew no key would write open files
_allowing: list[bool] = []


@contextmanager
def using_key(key: str | None, *, allow_plain: bool = False) -> Iterator[None]:
    """Read and write model files with a key, within the block and whatever the environment says.

    Args:
        key: None changes nothing.
        allow_plain: Read open files, too.

    Raises:
        UserError: It is empty.
    """
    if key == "":
        raise UserError("the key is empty", where="--key", fix="give one, or leave it out to write open files")
    given = [] if key is None else [key]
    _given.extend(given)
    _allowing.append(allow_plain)
    try:
        yield
    finally:
        del _given[len(_given) - len(given) :]
        _allowing.pop()


def key_in_use() -> str | None:
    """Return the key of the innermost :func:`using_key`, else that of the environment, else None.

    Raises:
        UserError: The environment's is empty.
        ModuleNotFoundError: There is a key, and pyrage is not installed: said before any work is done.
    """
    key = _given[-1] if _given else _of_environment()
    if key is not None:
        import pyrage  # noqa: F401
    return key


def _of_environment() -> str | None:
    """Read the variable; files of secrets often end with a line break, which is no part of the key."""
    found = os.environ.get(VARIABLE)
    key = None if found is None else found.rstrip("\r\n")
    if key == "":
        raise UserError("is empty", where=VARIABLE, fix="set it to the key, or unset it to write open files")
    return key


@contextmanager
def open_model_file(path: Path) -> Iterator[BinaryIO]:
    """Open a model file's content, decrypted if need be, to read and seek in.

    Raises:
        LockedError: It is encrypted, and there is no key, the key is another, or the file is damaged.
        UserError: It is open, though a key is given, see :func:`refuse_plain`; or it is a pipe.
        OSError: It is not there, or is no file.
    """
    with locate(path).open_stream() as file:
        if not file.seekable():
            fix = "save what it gives in a file, and name that"
            raise UserError("this is a pipe, in which nobody can go back", where=str(path), fix=fix)
        if not begins_encrypted(file):
            refuse_plain(path)
            yield file
            return
        key = key_in_use()
        if key is None:
            fix = f"give the key that it was written with: -k KEY, or the variable {VARIABLE}"
            raise LockedError("is encrypted, and no key is given", where=str(path), fix=fix)
        yield decrypting(file, key, where=str(path))


def read_onnx_file(path: Path) -> bytes:
    """Read an ONNX file's content, decrypted if need be.

    Raises:
        UserError: As for :func:`open_model_file`, or it is larger than one here may be.
    """
    with open_model_file(path) as file:
        if file.seek(0, os.SEEK_END) > ONNX_BYTES:
            problem = f"this file has more than {ONNX_BYTES:,} bytes, so it is no network of poses"
            raise UserError(problem, where=str(path), fix="give the .onnx file that `bpnet export` wrote")
        file.seek(0)
        return file.read()


def taking_plain() -> AbstractContextManager[None]:
    """Read open files within a block, too, whatever the key: what a training starts from, or is adopted, is others'."""
    return using_key(None, allow_plain=True)


def refuse_plain(path: Path) -> None:
    """Refuse an open file where a key is given.

    Raises:
        UserError: There is a key, open files are not allowed, and the package did not bring this one.
    """
    allowed = any(_allowing) or os.environ.get(ALLOW_VARIABLE) == "1" or path.resolve().is_relative_to(SHIPPED)
    if allowed or key_in_use() is None:
        return
    fix = f"give --allow-plain, or {ALLOW_VARIABLE}=1, if you know that it is the one you mean"
    with path.open("rb") as file:
        if not file.read(len(max(OPEN, key=len))).startswith(OPEN):  # NVIDIA's tools encrypt, too
            raise foreign(path, "neither encrypted here nor an open network", fix)
    raise UserError("is not encrypted, though a key is given", where=str(path), fix=fix)


@contextmanager
def create_model_file(path: Path) -> Iterator[BinaryIO]:
    """Write a model file, whole or not at all; encrypted if a key is in use. It is a stream: no seeking.

    Raises:
        UserError: It cannot be written.
    """
    key = key_in_use()
    with whole_file(path) as file:
        if key is None:
            yield file
            return
        with encrypting(file, key) as sealed:
            yield sealed


def foreign(path: Path, kinds: str, fix: str, endings: tuple[str, ...] = TAO_ENDINGS) -> UserError:
    """Say of a file that it is none of the kinds wanted, nor encrypted here.

    Args:
        path: The file.
        kinds: What it is not, such as ``neither HDF5 nor a Keras zip``.
        fix: What to give instead, where NVIDIA's tools did not write it.
        endings: Of what they may have written.
    """
    if path.suffix not in endings:
        return UserError(f"is damaged, or of another kind: it is {kinds}", where=str(path), fix=fix)
    return UserError(
        f"is encrypted by NVIDIA's tools, or damaged: it is {kinds}",
        where=str(path),
        fix=f"where NVIDIA's codec is installed, `bpnet adopt` opens it; otherwise {explain_opening(path)}",
    )
