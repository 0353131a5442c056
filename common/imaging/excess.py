"""Excess: photos whose files ask for far more work than their pixels are worth, so that a decoder would not end.

A JPEG goes over all its pixels once a scan, of which ten bytes are one; a PNG's data can unpack to a thousand times
what is packed, and libpng unpacks them to their end, whatever the picture takes of it.
"""

import re
import zlib
from collections.abc import Iterator

from bodyposenet.common.bounds import PHOTO_PARTS, PHOTO_SCANS
from bodyposenet.common.imaging.headers import JPEG, PNG

SLACK = 1 << 16  # bytes of a PNG's data beyond those of its rows
FLUSHED = 2  # times its rows' bytes, that a PNG's data may have where each row was packed and sent by itself
PACKED_FROM = 1 << 22  # bytes of a PNG's data, from which on they are unpacked to see how far they go
_BLOCK = 1 << 20  # bytes that are unpacked at once
_SCAN, _END = 0xDA, 0xD9  # markers: ITU-T T.81, table B.1
_SCAN_BEGINS = b"\xff\xda"
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")  # any but those without a segment, and fill bytes
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # of a pixel, by a PNG's colour type: ISO 15948, table 11.1


def has_excess(data: bytes) -> bool:
    """Tell whether a photo has more scans than any encoder writes, or unpacks to more than its rows."""
    if data.startswith(JPEG):
        return data.count(_SCAN_BEGINS) > PHOTO_SCANS and _count_scans(data) > PHOTO_SCANS
    return data.startswith(PNG) and _unpacks_further(data)


def _count_scans(data: bytes) -> int:
    """Count a JPEG's scans, one more than are taken at most; a preview's, in a segment, do not count."""
    found, marker = 0, _MARKER.search(data, len(JPEG))
    for _ in range(PHOTO_PARTS):
        if marker is None or data[marker.start() + 1] == _END or found > PHOTO_SCANS:
            break
        at = marker.start()
        found += data[at + 1] == _SCAN
        marker = _MARKER.search(data, at + 2 + int.from_bytes(data[at + 2 : at + 4]))
    return found


def _unpacks_further(data: bytes) -> bool:
    """Tell whether a PNG's data unpack to more than all its rows take, the filters' bytes of interlaced ones, too."""
    width, height = (int.from_bytes(data[at : at + 4]) for at in (16, 20))
    bits = data[24] * _SAMPLES.get(data[25], 0) if len(data) > 25 else 0
    most = height * width * bits // 8 + 4 * height + SLACK
    parts = [*_find_packed(data)]
    packed = sum(end - start for start, end in parts)
    if packed > FLUSHED * most or packed < PACKED_FROM:
        return packed > FLUSHED * most
    unpacker, view, unpacked = zlib.decompressobj(), memoryview(data), 0
    try:
        for start, end in parts:
            left: bytes | memoryview = view[start:end]
            while len(left) and unpacked <= most:
                unpacked += len(unpacker.decompress(left, _BLOCK))
                left = unpacker.unconsumed_tail
    except zlib.error:  # the decoder tells it, or takes what it can
        return False
    return unpacked > most


def _find_packed(data: bytes) -> Iterator[tuple[int, int]]:
    """Find where in a PNG packed pixels begin and end: ISO 15948, 5.3."""
    at = len(PNG)
    for _ in range(PHOTO_PARTS):
        if at + 12 > len(data):
            return
        end = at + 8 + int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            yield at + 8, end
        at = end + 4
