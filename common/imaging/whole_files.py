"""Whole files: whether an image goes on to its end; of a JPEG its markers tell, at a tenth of what its pixels cost.

Numbers of markers, how segments are laid out, and codes are those of ITU-T T.81, annexes B and C.
"""

import re
from collections.abc import Iterator

from bodyposenet.common.bounds import PHOTO_PARTS, PHOTO_PIXELS
from bodyposenet.common.imaging.excess import has_excess
from bodyposenet.common.imaging.headers import JPEG, PNG, read_header_size
from bodyposenet.common.imaging.pixels import decode_grey, is_sound_png

_FRAME, _FRAMES = {0xC0, 0xC1}, {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # whose pixels are one scan; of every kind
_TABLES, _SCAN, _ADOBE, _COMMENT = 0xC4, 0xDA, 0xEE, 0xFE
_BARE = {0x00, 0x01, *range(0xD0, 0xDA), 0xFF}  # without a segment, the end of the image, and fill bytes
_UNREAD = {*range(0xE0, 0xF0), _COMMENT} - {_ADOBE}  # segments that no decoder needs
_END = b"\xff\xd9"
_AFTER_PIXELS = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # any marker but those within a scan
_SMALL = (8).to_bytes(2) * 2  # height and width
_NOTHING = 0  # the value that codes no difference from the block before, or no more waves in a block


def is_whole(data: bytes) -> bool:
    """Tell whether a file decodes to its end, a JPEG or PNG at less cost than its pixels.

    A JPEG's markers tell it, or it is decoded to an eighth of its size; the checksums of a PNG's chunks are compared.
    """
    if data.startswith(PNG):
        return is_sound_png(data) and not has_excess(data)
    return (data.startswith(JPEG) and _is_whole_jpeg(data)) or decode_grey(data) is not None


def _is_whole_jpeg(data: bytes) -> bool:
    """Tell a JPEG that decodes to its end, if that can be told without its pixels."""
    height, width = read_header_size(data) or (0, 0)
    small = shorten_jpeg(data) if 0 < height * width <= PHOTO_PIXELS else None
    return small is not None and decode_grey(small) is not None


def shorten_jpeg(data: bytes) -> bytes | None:
    """Make a grey JPEG of eight by eight pixels that decodes just if one that goes on to its end does.

    All pixels of a baseline JPEG are one scan, a row of bytes that the first marker ends, but for restart markers. If
    that is the end of the image, a decoder gets there, whatever the bytes say: libjpeg makes up what it cannot read. So
    all that can stop it is in the segments before, and the small JPEG has those.

    Args:
        data: A JPEG, whole or not.

    Returns:
        The small one; None where only decoding the pixels tells: of a file that ends early, has several scans, or has
        anything where it is not expected.
    """
    kept, frame, tables, at = [JPEG], b"", dict[int, str](), len(JPEG)
    for _ in range(PHOTO_PARTS):
        if len(data) <= at + 10 or data[at] != 0xFF or data[at + 1] in _BARE:
            break
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4])
        segment = data[at:end]
        if marker == _SCAN:
            pixels = _code_grey(frame, segment, tables) if _is_last(data, end) else None
            return None if pixels is None else b"".join([*kept, segment, pixels, _END])
        if marker in _FRAMES:
            if marker not in _FRAME or frame:
                return None
            frame = segment
            segment = segment[:5] + _SMALL + segment[9:]
        elif marker == _TABLES:
            tables.update(_find_codes(segment[4:]))
        kept += [] if marker in _UNREAD else [segment]
        at = max(end, at + 4)
    return None


def _is_last(data: bytes, start: int) -> bool:
    """Tell whether a scan goes on to the end of the image."""
    end = _AFTER_PIXELS.search(data, start)
    return end is not None and end.group() == _END


def _find_codes(tables: bytes) -> Iterator[tuple[int, str]]:
    """Find, in bits, the code of ``_NOTHING`` in each Huffman table of a segment that has one."""
    while len(tables) > 17:
        counts, code, place = tables[1:17], 0, 17
        for length, count in enumerate(counts, 1):
            found = tables.find(_NOTHING, place, place + count)
            if found >= 0:
                yield tables[0], f"{code + found - place:0{length}b}"
            code, place = (code + count) * 2, place + count
        tables = tables[place:]


def _code_grey(frame: bytes, scan: bytes, tables: dict[int, str]) -> bytes | None:
    """Code the blocks of a grey picture; None where the scan is not of all components, or a table lacks a code."""
    bits, places = "", range(5, len(scan) - 3, 2)
    if not frame or len(places) != frame[9] or scan[4] != frame[9] or len(frame) != 10 + 3 * frame[9]:
        return None
    for number, place in enumerate(places):
        sampling, chosen = frame[11 + 3 * number], scan[place + 1]
        blocks = 1 if len(places) == 1 else (sampling >> 4) * (sampling & 15)
        first, rest = tables.get(chosen >> 4), tables.get(0x10 | chosen & 15)
        if first is None or rest is None or frame[10 + 3 * number] != scan[place]:
            return None
        bits += (first + rest) * blocks
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
