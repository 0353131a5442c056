"""Photos' headers and pixels: the size stated is the size decoded; one beyond the bounds is refused before."""

import resource
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodyposenet.common.bounds import PHOTO_PARTS, PHOTO_PIXELS
from bodyposenet.common.errors import UserError
from bodyposenet.common.imaging.excess import has_excess
from bodyposenet.common.imaging.fit import plan_fit
from bodyposenet.common.imaging.headers import read_header_size
from bodyposenet.common.imaging.photo import decode_image
from bodyposenet.common.imaging.pixels import decode, decode_grey, decode_size, describe_fault
from bodyposenet.common.imaging.whole_files import is_whole, shorten_jpeg

sizes = st.tuples(st.integers(1, 90), st.integers(1, 90))
formats = st.sampled_from(
    [
        (".png", []),
        (".jpg", []),
        (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
        (".jpg", [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]),
        (".bmp", []),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 50]),
        (".webp", [cv2.IMWRITE_WEBP_QUALITY, 101]),
        (".tiff", []),
    ]
)


@given(sizes, formats)
def test_header_and_pixels_agree(size, format_):
    suffix, options = format_
    data = cv2.imencode(suffix, np.zeros((*size, 3), np.uint8), options)[1].tobytes()
    assert read_header_size(data) == size == decode_size(data) == decode(data, cv2.IMREAD_COLOR).shape[:2]


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


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_file_that_ends_early_has_a_size_just_where_it_has_pixels(suffix):
    data = cv2.imencode(suffix, np.random.default_rng(0).integers(0, 255, (20, 30, 3), np.uint8))[1].tobytes()
    for end in range(0, len(data), 7):
        assert (decode_size(data[:end]) is None) == (decode(data[:end], cv2.IMREAD_COLOR) is None)


@pytest.mark.data
def test_real_photos_state_their_size(data_folder):
    paths = sorted((data_folder / "coco_sample/images").iterdir())
    assert len(paths) == 61
    for path in paths:
        data = path.read_bytes()
        assert read_header_size(data) == decode_size(data), path.name


@pytest.mark.data
def test_real_photos_are_told_whole_by_their_markers(data_folder, capfd):
    for path in sorted((data_folder / "coco_sample/images").iterdir()):
        data = path.read_bytes()
        assert len(shorten_jpeg(data)) < 4096, path.name
        assert shorten_jpeg(data[:-2]) is None, path.name
        assert is_whole(data), path.name
    assert capfd.readouterr().err == ""  # libjpeg finds nothing to tell


def draw_jpegs(dice):
    """JPEGs of all kinds that OpenCV writes."""
    ways = [cv2.IMWRITE_JPEG_OPTIMIZE, 1], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 3], []
    for number, way in enumerate(ways * 3):
        pixels = cv2.resize(dice.integers(0, 255, (12, 9, 3), np.uint8), tuple(dice.integers(8, 300, 2).tolist()))
        pixels = pixels if number % 4 else pixels[..., 0]
        yield cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(dice.integers(20, 98)), *way])[1].tobytes()


def damage(data, dice):
    """The file as it is, and spoilt in ways that disks, networks and people have."""
    place, number = int(dice.integers(2, len(data) - 8)), int(dice.integers(1, 9))
    in_head = int(dice.integers(2, min(len(data), 700)))
    other = bytes([data[in_head] ^ 1 << int(dice.integers(8))])
    return [
        data,
        data[:place],
        data[:-number],
        data[:place] + bytes(len(data) - place),
        data[:place] + dice.bytes(number) + data[place:],
        data[:place] + data[place + number :],
        data[:in_head] + other + data[in_head + 1 :],
        data[:in_head] + dice.bytes(1) + data[in_head + 1 :],
        data + dice.bytes(number),
    ]


def test_of_a_sound_jpeg_nothing_is_told(capfd):
    drawn = [*draw_jpegs(np.random.default_rng(5))]
    assert all(map(is_whole, drawn))
    assert sum(shorten_jpeg(data) is not None for data in drawn) >= 9  # all but progressive ones
    assert capfd.readouterr().err == ""


def test_a_jpeg_is_whole_just_where_its_pixels_decode(capfd):
    dice = np.random.default_rng(3)
    tried = [spoilt for _ in range(8) for data in draw_jpegs(dice) for spoilt in damage(data, dice)]
    assert [is_whole(data) for data in tried] == [decode_grey(data) is not None for data in tried]
    assert 300 < sum(map(is_whole, tried)) < len(tried) - 300
    assert sum(shorten_jpeg(data) is not None for data in tried) > 300
    capfd.readouterr()  # what libjpeg says of them


def png_of(height, width):
    """A PNG that says what it likes of its size, and is whole as far as its checksums go."""
    head = struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def jpeg_of(height, width):
    data = bytearray(cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">2H", height, width)
    return bytes(data)


def bmp_of(height, width):
    data = bytearray(cv2.imencode(".bmp", np.zeros((8, 8, 3), np.uint8))[1].tobytes())
    data[18:26] = struct.pack("<2i", width, -height)
    return bytes(data)


def webp_of(height, width):
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size + bytes(8)


def tiff_of(height, width):
    entries = struct.pack(">2HI2H", 256, 3, 1, width, 0) + struct.pack(">2H2I", 257, 4, 1, height)
    return b"MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4)


@pytest.mark.parametrize("make", [png_of, jpeg_of, bmp_of, webp_of, tiff_of])
def test_a_photo_that_says_it_has_too_many_pixels_is_refused_by_its_header(make, monkeypatch):
    data = make(30_000, 32_000)
    assert read_header_size(data) == (30_000, 32_000)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(UserError, match=r"a: says that it has 32000 x 30000 pixels; 134 million are taken at most"):
        decode_image(data, where="a")
    assert not is_whole(data) or make is png_of


def test_kinds_that_nobody_takes_photos_in_are_not_decoded():
    for suffix in (".ppm", ".jp2", ".ras"):
        data = cv2.imencode(suffix, np.zeros((64, 64, 3), np.uint8))[1].tobytes()
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) is not None
        assert decode(data, cv2.IMREAD_COLOR) is None


def test_a_jpeg_that_hides_its_size_behind_stray_bytes_is_refused_all_the_same():
    data = jpeg_of(30_000, 32_000)
    at = data.index(b"\xff\xc0")
    with pytest.raises(UserError, match="says that it has 32000 x 30000 pixels"):
        decode_image(data[:at] + b"\0" + data[at:], where="a")


def test_a_jpeg_with_bytes_between_its_segments_is_read_as_before():
    data = cv2.imencode(".jpg", np.full((24, 40, 3), 90, np.uint8))[1].tobytes()
    odd = data[:2] + data[2:20] + b"\0\0\0" + data[20:]
    assert read_header_size(odd) == (24, 40)
    assert decode_image(odd, where="odd").shape == (24, 40, 3)


def write_png(size, packed, depth=8, colour=2, interlaced=0):
    """A PNG of some packed rows, in one chunk for each."""
    head = struct.pack(">2I5B", *size[::-1], depth, colour, 0, 0, interlaced)
    chunks = [(b"IHDR", head), *((b"IDAT", part) for part in packed), (b"IEND", b"")]
    parts = (
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part)) for kind, part in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.fixture
def decoded(monkeypatch):
    """Files that were given to the decoder."""
    given, decoding = [], cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *args: given.append(1) or decoding(*args))
    return given


def progressive():
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


def with_scans(count):
    """A JPEG of so many scans: the last one's header again and again, of ten bytes."""
    data = progressive()
    last = data.rindex(b"\xff\xda")
    scan = data[last : last + 2 + int.from_bytes(data[last + 2 : last + 4])]
    return data[:-2] + scan * (count - data.count(b"\xff\xda")) + data[-2:]


def test_a_jpeg_of_more_scans_than_any_encoder_writes_is_not_decoded(decoded, capfd):
    assert decode(with_scans(100), cv2.IMREAD_COLOR) is not None
    assert decoded.pop()
    bomb = with_scans(101)
    assert not is_whole(bomb)
    with pytest.raises(UserError, match="a: has more in it to decode than its pixels are worth; save it anew"):
        decode_image(bomb, where="a")
    assert not decoded
    preview = b"".join(b"\xff\xe1\xff\xff" + b"\xff\xda".ljust(65533) for _ in range(102))
    assert decode(progressive()[:2] + preview + progressive()[2:], cv2.IMREAD_COLOR) is not None
    capfd.readouterr()


@pytest.mark.parametrize("kind", [{}, {"depth": 16, "colour": 6}, {"interlaced": 1}, {"depth": 1, "colour": 0}])
def test_a_png_that_unpacks_to_more_than_its_rows_is_not_decoded(decoded, kind):
    random = np.random.default_rng(0)
    size = (900, 700) if kind else (700, 900)
    pixels = (
        random.integers(0, 2, size, np.uint8) * 255
        if kind.get("depth") == 1
        else random.integers(0, 255, (*size, 3), np.uint8)
    )
    if kind == {"depth": 16, "colour": 6}:
        pixels = random.integers(0, 2**16, (*size, 4), np.uint16)
    sound = cv2.imencode(".png", pixels)[1].tobytes()
    assert decode(sound, cv2.IMREAD_COLOR) is not None
    packed = zlib.compress(random.bytes(9 << 19) + bytes(1 << 23), 1)  # twice what the larger picture's rows take
    bits = kind.get("depth", 8) * {0: 1, 2: 3, 6: 4}[kind.get("colour", 2)]
    decoded.clear()
    for size in ((200, 300), ((6 << 20) * 8 // bits // 1000, 1000)):
        bomb = write_png(size, [packed[:9], packed[9:]], **kind)
        assert not is_whole(bomb)
        with pytest.raises(UserError, match="has more in it to decode than its pixels are worth"):
            decode_image(bomb, where="a")
    assert not decoded
    assert not has_excess(write_png((3 * size[0], 1000), [packed], **kind))


def test_a_png_of_which_every_row_was_flushed_is_a_picture():
    """As programs write that send rows on as they come: ten bytes a row that are none of its pixels."""
    grey = np.random.default_rng(0).integers(0, 255, (30_000, 3), np.uint8)
    packer = zlib.compressobj(0)
    rows = [packer.compress(b"\0" + row.tobytes()) + packer.flush(zlib.Z_SYNC_FLUSH) for row in grey]
    packed = b"".join(rows) + packer.flush()
    assert len(packed) > 13 * len(grey)
    np.testing.assert_array_equal(decode(write_png(grey.shape, [packed], colour=0), cv2.IMREAD_GRAYSCALE), grey)


def test_a_photo_of_more_parts_than_one_may_have_is_refused():
    jpeg, png = progressive(), cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    empty = struct.pack(">I", 0) + b"teXt" + struct.pack(">I", zlib.crc32(b"teXt"))
    for count, taken in ((1000, True), (PHOTO_PARTS, False)):
        many = jpeg[:2] + b"\xff\xe5\0\2" * count + jpeg[2:], png[:33] + empty * count + png[33:]
        for data in many:
            assert (decode(data, cv2.IMREAD_COLOR) is not None) is taken
            assert is_whole(data) is taken
    assert shorten_jpeg(jpeg[:2] + b"\xff\xdd\0\4\0\0" * PHOTO_PARTS + jpeg[2:]) is None


@given(
    st.binary(max_size=200),
    st.sampled_from([b"BM", b"RIFF\0\0\0\0WEBP", b"II*\0", b"MM\0*", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]),
)
def test_any_bytes_have_a_size_or_none(rest, head):
    size = read_header_size(head + rest)
    assert size is None or min(size) > 0


def test_the_frame_around_a_photo_has_a_bound_of_its_own():
    """The largest photo that is taken may be half as wide as high; with a frame it would be 800 MB more."""
    side = int(PHOTO_PIXELS**0.5)
    plan_fit((side, side), (368, 368), "pad_image_input")
    with pytest.raises(UserError, match="crop it"):
        plan_fit((2 * side, side // 2), (368, 368), "pad_image_input")


@pytest.mark.parametrize(
    ("data", "problem", "fix"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC photo", "convert it to JPEG"),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "is an AVIF photo", "convert it to JPEG"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "is a JPEG 2000 photo", "convert it to JPEG"),
        (b"GIF89a", "is a GIF", "convert it to JPEG"),
        (b"<!DOCTYPE html>", "is a web page or XML", "download the photo again"),
        (b'{"error": "expired"}', "is JSON", "download the photo again"),
        (b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS", "git lfs pull"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "is a JPEG XL photo", "convert it to JPEG"),
        (b"\0\0\0\x20ftypisom\0\0\2\0", "is a video", "take photos from it"),
        (b"8BPS\0\1", "is a Photoshop file", "convert it to JPEG"),
        (b"%PDF-1.7\n", "is a PDF", "convert it to JPEG"),
        (b"hello", "is no readable image", "replace it with a JPEG, PNG, BMP, WebP or TIFF file"),
        (b"", "is empty, an image of 0 bytes", "copy or download it again"),
    ],
)
def test_a_file_of_another_kind_is_called_by_its_name(data, problem, fix):
    assert decode(data, cv2.IMREAD_COLOR) is None
    told = describe_fault(data)
    assert told[0].startswith(problem)
    assert fix in told[1]


PICTURE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)
SPOILT_PNGS = {
    "cut": lambda data, idat: data[: idat + 40],
    "pixels": lambda data, idat: data[: idat + 40] + b"\0\0" + data[idat + 42 :],
    "long pixels": lambda data, idat: data[: idat - 4] + b"\x60\0\0\0" + data[idat:],
    "long text": lambda data, idat: data[: idat - 4] + b"\x60\0\0\0tEXtabc" + data[idat - 4 :],
    "no end": lambda data, idat: data[:-12],
}


@pytest.mark.parametrize("way", SPOILT_PNGS)
def test_a_spoilt_png_takes_no_memory_and_no_library_speaks_of_it(way, capfd):
    data = cv2.imencode(".png", PICTURE)[1].tobytes()
    spoilt = SPOILT_PNGS[way](data, data.index(b"IDAT"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert decode(spoilt, cv2.IMREAD_COLOR) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**17  # kilobytes
    assert capfd.readouterr().err == ""


def test_a_png_is_read_whose_text_alone_is_spoilt():
    data = cv2.imencode(".png", PICTURE)[1].tobytes()
    spoilt = data[:33] + b"\0\0\0\3tEXtabc\0\0\0\0" + data[33:]
    assert np.array_equal(decode(spoilt, cv2.IMREAD_COLOR), PICTURE)
    assert not is_whole(spoilt)
