"""Photos' headers: the size that a file states is the size it decodes to."""

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.imaging.headers import decode_size, read_header_size

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))
formats = st.sampled_from(
    [
        (".png", []),
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
    ]
)


@given(sizes, formats)
def test_header_and_pixels_agree(size, format_):
    suffix, options = format_
    data = cv2.imencode(suffix, np.zeros((*size, 3), np.uint8), options)[1].tobytes()
    assert read_header_size(data) == size == decode_size(data)


def test_a_rotation_in_exif_does_not_turn_the_size():
    """COCO's annotations are in the pixels as stored."""
    entry = struct.pack("<HHIHH", 0x0112, 3, 1, 6, 0)  # Orientation: turn by 90 degrees
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)
    data = cv2.imencode(".jpg", np.zeros((20, 30, 3), np.uint8))[1].tobytes()
    turned = data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape[:2] == (30, 20)
    assert read_header_size(turned) == (20, 30) == decode_size(turned)


@pytest.mark.parametrize(
    "data", [b"", b"GIF89a", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\x10JFIF", b"\xff\xd8\xff\xe0\0\0" * 9]
)
def test_what_has_no_size_has_none(data):
    assert read_header_size(data) is None
    assert decode_size(data) is None


@pytest.mark.data
def test_real_photos_state_their_size(data_folder):
    paths = sorted((data_folder / "coco_sample/images").iterdir())
    assert len(paths) == 61
    for path in paths:
        data = path.read_bytes()
        assert read_header_size(data) == decode_size(data), path.name
