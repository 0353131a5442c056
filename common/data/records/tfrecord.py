"""TFRecord: TensorFlow's record files, written and read without TensorFlow.

A record is ``uint64 length | crc of the length | payload | crc of the payload``, little-endian, the crcs masked CRC-32C
(tensorflow.org/tutorials/load_data/tfrecord, "TFRecords format details").
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

import google_crc32c
import numpy as np
import numpy.typing as npt

from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.errors import translate_errors
from bodyposenet.common.storage.files import whole_file
from bodyposenet.common.storage.location import Location, locate

HEADER = struct.Struct("<QI")  # length, its crc
FOOTER = struct.Struct("<I")  # the payload's crc
FRAME = HEADER.size + FOOTER.size  # bytes around a payload

_LENGTH = struct.Struct("<Q")
BLOCK = 8 << 20  # bytes of a request, where records are read in turn

_CONVERT_AGAIN = "convert the dataset again, with --from_scratch"
_NAME_A_FILE = "name a file that dataset_convert wrote"


def compute_masked_crc(data: bytes) -> int:
    """CRC-32C of the bytes, rotated and offset as TensorFlow stores it."""
    crc = int(google_crc32c.value(data))
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def frame(payload: bytes) -> bytes:
    """The payload between its header and footer."""
    length = _LENGTH.pack(len(payload))
    return b"".join(
        (length, FOOTER.pack(compute_masked_crc(length)), payload, FOOTER.pack(compute_masked_crc(payload)))
    )


def write_records(path: Path | Location, payloads: Iterable[bytes]) -> list[int]:
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


def read_records(path: Path | Location) -> Iterator[bytes]:
    """Every payload of a record file, in order, one in memory at a time.

    Raises:
        UserError: The file is missing, cut short or damaged.
    """
    with RecordFile(path) as records:
        yield from records


class RecordFile:
    """A record file as a sequence of payloads; reading is safe from several threads at once.

    A file in a bucket is read by the range: a record with a request, records in turn by the block.

    Args:
        path: The file.
        offsets: Byte offset of each record, as a manifest keeps them; without them the file's frames are walked.

    Raises:
        UserError: The file is missing, or a frame is cut short or damaged.
    """

    def __init__(self, path: str | Path | Location, offsets: Sequence[int] | None = None) -> None:
        self.path = locate(path)
        self._bytes: mmap.mmap | bytes | _Object = _open(self.path)
        self.size = len(self._bytes)
        walked = self._walk() if offsets is None else offsets
        self.offsets: npt.NDArray[np.int64] = np.fromiter(walked, np.int64)
        self._bounds = np.sort(np.append(self.offsets, self.size))

    def __len__(self) -> int:
        return len(self.offsets)

    def __getitem__(self, index: int) -> bytes:
        """The payload of a record, its crc verified."""
        offset = int(self.offsets[index])
        end = int(self._bounds[np.searchsorted(self._bounds, offset, side="right")]) if offset < self.size else offset
        return self._payload(self._source(offset, end), offset)

    def __iter__(self) -> Iterator[bytes]:
        source = self._source()
        return (self._payload(source, int(offset)) for offset in self.offsets)

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

    def _source(self, start: int = 0, end: int = 0) -> "mmap.mmap | bytes | _Ahead":
        """What slices are taken of; of a file in a bucket, a range that is to be read may be told beforehand."""
        return _Ahead(self._bytes, start, end) if isinstance(self._bytes, _Object) else self._bytes

    def _walk(self) -> Iterator[int]:
        offset, source = 0, self._source()
        while offset < self.size:
            yield offset
            offset += self._length(source, offset) + FRAME

    def _payload(self, source: "mmap.mmap | bytes | _Ahead", offset: int) -> bytes:
        start = offset + HEADER.size
        end = start + self._length(source, offset)
        payload = source[start:end]
        if FOOTER.unpack(source[end : end + FOOTER.size])[0] != compute_masked_crc(payload):
            raise self._report_damage(offset, "the payload does not match its checksum")
        return payload

    def _length(self, source: "mmap.mmap | bytes | _Ahead", offset: int) -> int:
        """Length of the payload of the record at an offset, once its whole frame is known to be in the file."""
        header = source[offset : offset + HEADER.size] if 0 <= offset <= self.size - HEADER.size else b""
        if len(header) < HEADER.size:
            raise self._report_damage(offset, "no record here: the file is cut short")
        length, crc = HEADER.unpack(header)
        if crc != compute_masked_crc(header[: _LENGTH.size]):
            raise self._report_damage(offset, "no record here: the length does not match its checksum")
        if offset + length + FRAME > self.size:
            raise self._report_damage(offset, "the record is cut short")
        return int(length)

    def _report_damage(self, offset: int, problem: str) -> UserError:
        return UserError(problem, where=f"{self.path}: offset {offset}", fix=_CONVERT_AGAIN)


class _Object:
    """A file in a bucket, as it was when it was opened."""

    def __init__(self, path: Location) -> None:
        self.path = path
        with translate_errors(path, fix=_NAME_A_FILE):
            self._size = path.count_bytes()

    def __len__(self) -> int:
        return self._size

    def read(self, start: int, end: int) -> bytes:
        """The bytes from ``start`` to ``end``, or to the file's."""
        with translate_errors(self.path, fix=_CONVERT_AGAIN):
            data = self.path.fetch(start, min(end, self._size))
        if len(data) < min(end, self._size) - start:
            raise UserError("the file has changed while it was read", where=str(self.path), fix="start again")
        return data


class _Ahead:
    """Slices of a file in a bucket for one reader, who mostly goes forward: a request brings a block.

    Args:
        whole: The file.
        start: Where the first request begins.
        end: Where it ends; nothing is read yet if that is ``start``.
    """

    def __init__(self, whole: _Object, start: int, end: int) -> None:
        self._whole, self._start = whole, start
        self._held = whole.read(start, end) if start < end else b""

    def __getitem__(self, asked: slice) -> bytes:
        start, end = int(asked.start), int(asked.stop)
        if not self._start <= start <= end <= self._start + len(self._held):
            self._start, self._held = start, self._whole.read(start, max(end, start + BLOCK))
        return self._held[start - self._start : end - self._start]


def _open(path: Location) -> "mmap.mmap | bytes | _Object":
    """The file's bytes, mapped (an empty file cannot be)."""
    if path.remote:
        return _Object(path)
    try:
        with path.open_stream() as file:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if os.fstat(file.fileno()).st_size else b""
    except OSError as error:
        raise UserError(f"cannot read this record file: {error.strerror}", where=str(path), fix=_NAME_A_FILE) from None
