"""Bitmaps: what OpenCV reads in a PNG of one bit a pixel, whatever its filters; nothing else is touched."""

import struct
import zlib
from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.data.annotations.ignore_masks import encode_mask
from bodyposenet.common.imaging.bitmask_png import SIGNATURE, read_bitmap


def png_of(mask, filters, *, chunks=1):
    """A PNG written row by row, each with the filter asked for."""
    packed = np.packbits(mask > 0, axis=1).astype(int)
    before, raw = np.zeros(packed.shape[1], int), b""
    for line, kind in zip(packed, filters, strict=True):
        left = np.r_[0, line[:-1]]
        corner = np.r_[0, before[:-1]]
        straight = left + before - corner
        nearest = np.abs(np.stack([left, before, corner]) - straight).argmin(axis=0)
        paeth = np.choose(nearest, [left, before, corner])
        guess = [0 * left, left, before, (left + before) // 2, paeth][kind]
        raw += bytes([kind]) + ((line - guess) % 256).astype(np.uint8).tobytes()
        before = line
    height, width = mask.shape
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compress(raw)
    cuts = np.linspace(0, len(packed), chunks + 1).astype(int)
    parts = [(b"IDAT", packed[a:b]) for a, b in pairwise(cuts.tolist())]
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in [(b"IHDR", header), *parts, (b"IEND", b"")]
    )


def opencv(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)


@given(
    seed=st.integers(0, 2**32 - 1), height=st.integers(1, 30), width=st.integers(1, 70), chunks=st.integers(1, 3),
    share=st.floats(0, 1),
)  # fmt: skip
def test_every_filter_is_undone(seed, height, width, chunks, share):
    rng = np.random.default_rng(seed)
    mask = np.where(rng.random((height, width)) < share, 255, 0).astype(np.uint8)
    data = png_of(mask, rng.integers(0, 5, height), chunks=chunks)
    assert (read_bitmap(data).unpack() == mask).all()
    assert (opencv(data) == mask).all()


def test_masks_come_back_as_they_were_written():
    mask = np.full((427, 641), 255, np.uint8)
    cv2.circle(mask, (300, 200), 90, 0, -1)
    mask[400:, :50] = 0
    read = read_bitmap(encode_mask(mask)).unpack()
    assert (read == mask).all()
    assert read.dtype == np.uint8
    assert read.flags.c_contiguous


@pytest.mark.parametrize("kind", [".png", ".jpg"])
def test_other_pictures_are_left_to_others(kind):
    picture = np.random.default_rng(0).integers(0, 255, (20, 30), np.uint8)
    assert read_bitmap(cv2.imencode(kind, picture)[1].tobytes()) is None


def test_what_is_broken_is_none_and_never_a_crash():
    mask = np.zeros((20, 30), np.uint8)
    data = png_of(mask, [4] * 20)
    assert read_bitmap(b"") is None
    for end in range(len(data) - 28):  # the last four bytes of the pixels are a checksum; a record has its own
        assert read_bitmap(data[:end]) is None
    for place in range(len(data)):
        wrong = bytearray(data)
        wrong[place] ^= 255
        read = read_bitmap(bytes(wrong))
        assert read is None or read.unpack().ndim == 2
    assert read_bitmap(png_of(mask, [4] * 20)[:33] + png_of(mask[:19], [0] * 19)[33:]) is None
