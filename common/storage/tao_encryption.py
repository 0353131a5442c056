"""TAO's encryption: ``.tlt`` and ``.etlt`` files, opened by NVIDIA's own codec where that is installed.

The codec is ``eff_tao_encryption``, of the package ``nvidia-eff-tao-encryption``; its ``tao_codec.decrypt_stream`` is
called as TAO's own code calls it. A ``.tlt`` is a Keras ``.hdf5`` under a key. An ``.etlt`` is the length of its
input's name as four bytes, the name, and a network under a key: ONNX where there is no name. No real file was at hand:
this was tried with a stand-in for the codec.
"""

import shlex
from pathlib import Path
from typing import BinaryIO

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.encryption import LockedError, begins_encrypted
from bodyposenet.common.storage.files import whole_file

TLT, ETLT = ".tlt", ".etlt"
HDF5, ZIP = b"\x89HDF\r\n\x1a\n", b"PK\x03\x04"
ONNX = b"\x08"  # of a message that begins with the version of its form
NAME_SIZE = 4  # bytes, of the length of a name
LONGEST_NAME = 255
IMAGE = "nvcr.io/nvidia/tao/tao-toolkit:5.0.0-tf1.15.5"


def is_tao_encrypted(path: Path) -> bool:
    """Whether a file looks like one that NVIDIA's tools encrypted: by its name, and as it begins like no open file."""
    if path.suffix not in (TLT, ETLT) or not path.is_file():
        return False
    with path.open("rb") as file:
        if begins_encrypted(file):
            return False
        begin = file.read(len(HDF5))
    if len(begin) < len(HDF5):
        return False  # cut off, or empty
    if path.suffix == TLT:
        return not begin.startswith((HDF5, ZIP))
    return not begin.startswith(ZIP) and _read_length(begin) <= LONGEST_NAME


def decrypt_tao(path: Path, folder: Path, key: str | None) -> Path:
    """Open a file that NVIDIA's tools encrypted, by their codec.

    Args:
        path: The file, see :func:`is_tao_encrypted`.
        folder: Gets the open file.
        key: The one that it was encrypted with.

    Returns:
        The open file, ``.hdf5`` or ``.onnx``.

    Raises:
        UserError: There is no codec, no key, or the network is in NVIDIA's older form UFF.
        LockedError: The key is another, or the file is damaged.
    """
    try:
        from eff_tao_encryption.tao_codec import decrypt_stream
    except ImportError:
        raise UserError(
            "looks as if NVIDIA's tools had encrypted it, and their codec (eff_tao_encryption) is not installed",
            where=str(path), fix=explain_opening(path),
        ) from None  # fmt: skip
    if not key:
        raise UserError("is encrypted by NVIDIA's tools", where=str(path), fix="give its key: --tao_key KEY")
    output = folder / path.with_suffix(".hdf5" if path.suffix == TLT else ".onnx").name
    with path.open("rb") as file, whole_file(output) as opened:
        if path.suffix == ETLT:
            _skip_name(file, path)
        try:
            decrypt_stream(file, opened, key.encode(), encryption=True, rewind=False)
        except Exception as error:  # the codec is not this project's: whatever it raises, the file did not open
            raise _refuse(path, f"{type(error).__name__}: {error}") from error
    with output.open("rb") as file:
        if not file.read(len(HDF5)).startswith(HDF5 if path.suffix == TLT else ONNX):
            raise _refuse(path, "what comes out is no network")
    return output


def explain_opening(path: Path) -> str:
    """Say how NVIDIA's container opens a ``.tlt``: pruned at threshold 0, a network is written as it is, openly."""
    if path.suffix == ETLT:
        return (
            "export the network again with TAO 5, which writes open .onnx, or take the open file that NVIDIA publishes"
        )
    folder = shlex.quote(str(path.resolve().parent))
    return (
        f"open it in NVIDIA's container: docker run --rm --gpus all -v {folder}:/models {IMAGE} bpnet prune "
        f"-m /models/{shlex.quote(path.name)} -o /models/open/{shlex.quote(path.stem)}.hdf5 -k KEY -pth 0 "
        "-r /models/open"
    )


def _skip_name(file: BinaryIO, path: Path) -> None:
    length = _read_length(file.read(NAME_SIZE))
    if length:
        name = file.read(length).decode(errors="replace")
        fix = "export the network again with TAO 5, which writes open .onnx"
        raise UserError(f"holds a network in UFF, with the input {name!r}", where=str(path), fix=fix)


def _read_length(begin: bytes) -> int:
    return int.from_bytes(begin[:NAME_SIZE], "little")


def _refuse(path: Path, reason: str) -> LockedError:
    fix = "give the key that it was encrypted with: --tao_key KEY"
    return LockedError(f"does not open with this key, or is damaged ({reason})", where=str(path), fix=fix)
