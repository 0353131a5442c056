"""TFRecord: TensorFlow's record files, written and read without TensorFlow.

A record is ``uint64 length | crc of the length | payload | crc of the payload``, little-endian, the crcs masked CRC-32C
(tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details").
"""

import contextlib
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import google_crc32c
import numpy as np
import numpy.typing as npt

from bodyposenet.common.errors import UserError

HEADER = struct.Struct("<QI")  # length, its crc
FOOTER = struct.Struct("<I")  # the payload's crc
FRAME = HEADER.size + FOOTER.size  # bytes around a payload

_LENGTH = struct.Struct("<Q")
_CONVERT_AGAIN = "convert the dataset again"


def masked_crc(data: bytes) -> int:
    """CRC-32C of the bytes, rotated and offset as TensorFlow stores it."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """The payload between its header and footer."""
    length = _LENGTH.pack(len(payload))
    return b"".join((length, FOOTER.pack(masked_crc(length)), payload, FOOTER.pack(masked_crc(payload))))


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file that appears under its name complete and on disk, or not at all.

    Args:
        path: The final name; missing folders are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(aside, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename in the folder survive a power cut, where the file system knows how."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_records(path: Path, payloads: Iterable[bytes]) -> list[int]:
    """Write a record file one payload at a time; it appears whole or not at all.

    Returns:
        The byte offset of each record in the file.
    """
    offsets, end = [], 0
    with whole_file(path) as file:
        for payload in payloads:
            offsets.append(end)
            end += file.write(frame(payload))
    return offsets


def read_records(path: Path) -> Iterator[bytes]:
    """Every payload of a record file, in order, one in memory at a time.

    Raises:
        UserError: The file is missing, cut short or damaged.
    """
    with RecordFile(path) as records:
        yield from records


class RecordFile:
    """A record file as a sequence of payloads; reading is safe from several threads at once.

    Args:
        path: The file.
        offsets: Byte offset of each record, as a manifest keeps them; without them the file's frames are walked.

    Raises:
        UserError: The file is missing, or a frame is cut short or damaged.
    """

    def __init__(self, path: str | Path, offsets: Sequence[int] | None = None) -> None:
        self.path = Path(path)
        self._bytes = _map(self.path)
        walked = self._walk() if offsets is None else offsets
        self.offsets: npt.NDArray[np.int64] = np.fromiter(walked, np.int64)

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: int) -> bytes:
        """The payload of a record, its crc verified."""
        offset = int(self.offsets[index])
        start = offset + HEADER.size
        end = start + self._length(offset)
        payload = self._bytes[start:end]
        if FOOTER.unpack(self._bytes[end : end + FOOTER.size])[0] != masked_crc(payload):
            raise self._damaged(offset, "the payload does not match its checksum")
        return payload

    def __iter__(self) -> Iterator[bytes]:
        return (self[index] for index in range(len(self)))

    def __enter__(self) -> "RecordFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the file back; no record can be read afterwards."""
        if isinstance(self._bytes, mmap.mmap):
            self._bytes.close()

    def _walk(self) -> Iterator[int]:
        offset = 0
        while offset < len(self._bytes):
            yield offset
            offset += self._length(offset) + FRAME

    def _length(self, offset: int) -> int:
        """Length of the payload of the record at an offset, once its whole frame is known to be in the file."""
        header = self._bytes[offset : offset + HEADER.size] if offset >= 0 else b""
        if len(header) < HEADER.size:
            raise self._damaged(offset, "no record here: the file is cut short")
        length, crc = HEADER.unpack(header)
        if crc != masked_crc(header[: _LENGTH.size]):
            raise self._damaged(offset, "no record here: the length does not match its checksum")
        if offset + length + FRAME > len(self._bytes):
            raise self._damaged(offset, "the record is cut short")
        return int(length)

    def _damaged(self, offset: int, problem: str) -> UserError:
        return UserError(problem, where=f"{self.path}: offset {offset}", fix=_CONVERT_AGAIN)


def _map(path: Path) -> mmap.mmap | bytes:
    """The file's bytes, mapped (an empty file cannot be)."""
    try:
        with open(path, "rb") as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    except OSError as error:
        raise UserError(
            f"cannot read this record file: {error.strerror}",
            where=str(path),
            fix="name a file that dataset_convert wrote",
        ) from None
