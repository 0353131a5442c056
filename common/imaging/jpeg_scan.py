"""JPEG scan: whether a JPEG goes on to its end, told by its markers, at a tenth of what decoding its pixels costs.

Numbers of markers, and how segments are laid out, are those of ITU-T T.81, annex B.
"""

import re

from bodyposenet.common.imaging.headers import JPEG

_FRAME, _FRAMES = {0xC0, 0xC1}, {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # whose pixels are one scan; of every kind
_SCAN, _ADOBE, _COMMENT = 0xDA, 0xEE, 0xFE
_BARE = {0x00, 0x01, *range(0xD0, 0xDA), 0xFF}  # without a segment, the end of the image, and fill bytes
_UNREAD = {*range(0xE0, 0xF0), _COMMENT} - {_ADOBE}  # segments that no decoder needs
_END = b"\xff\xd9"
_AFTER_PIXELS = re.compile(rb"\xff[^\x00\xd0-\xd7]")  # any marker but those within a scan
_SMALL = (8).to_bytes(2) * 2  # height and width
_SAMPLE = 1024  # bytes of pixels


def shorten_jpeg(data: bytes) -> bytes | None:
    """Make a JPEG of eight by eight pixels that decodes just if one that goes on to its end does.

    All pixels of a baseline JPEG are one scan, a row of bytes that the first marker ends, but for restart markers. If
    that is the end of the image, a decoder gets there, whatever the bytes say: libjpeg makes up what it cannot read. So
    all that can stop it is in the segments before, and the small JPEG has those.

    Args:
        data: A JPEG, whole or not.

    Returns:
        The small one; None where only decoding the pixels tells: of a file that ends early, has several scans, or has
        anything where it is not expected.
    """
    kept, components, at = [JPEG], -1, len(JPEG)
    while len(data) > at + 10 and data[at] == 0xFF and data[at + 1] not in _BARE:
        marker, end = data[at + 1], at + 2 + int.from_bytes(data[at + 2 : at + 4])
        segment = data[at:end]
        if marker == _SCAN:
            pixels = _find_pixels(data, end) if data[at + 4] == components else None
            return None if pixels is None else b"".join([*kept, segment, pixels, _END])
        if marker in _FRAMES:
            if marker not in _FRAME or components >= 0:
                return None
            components = data[at + 9]
            segment = segment[:5] + _SMALL + segment[9:]
        kept += [] if marker in _UNREAD else [segment]
        at = max(end, at + 4)
    return None


def _find_pixels(data: bytes, start: int) -> bytes | None:
    """Find the first bytes of a scan; None if it does not go on to the end of the image."""
    end = _AFTER_PIXELS.search(data, start)
    if end is None or end.group() != _END:
        return None
    return data[start : min(end.start(), start + _SAMPLE)]
