"""Photos: pictures, videos, masks, and archives and lists of them."""

import cv2
import numpy as np
from fuzzing.mutations import pack
from fuzzing.parser import Parser, json_files
from support.exports import shots
from support.tool_files import pixels

from bodyposenet.common.errors import UserError


def photos(folder):
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8), (0, 0), 4)
    made = [cv2.imencode(end, picture)[1].tobytes() for end in (".jpg", ".png", ".bmp", ".webp", ".tif")]
    lossless = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    progressive = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()
    return [*made, lossless, progressive, cv2.imencode(".png", picture[..., 0])[1].tobytes()]


def _photo(path):
    from bodyposenet.common.imaging.headers import read_header_size
    from bodyposenet.common.imaging.near_duplicates import hash_picture
    from bodyposenet.common.imaging.photo import decode_image, read_image
    from bodyposenet.common.imaging.pixels import decode_grey, decode_size, describe_fault
    from bodyposenet.common.imaging.whole_files import is_whole
    from bodyposenet.common.storage.location import locate

    data = path.read_bytes()
    for read in (read_header_size, decode_grey, decode_size, describe_fault, is_whole, hash_picture):
        read(data)
    try:
        decode_image(data, where="photo")
    except UserError:
        read_image(locate(path))


def videos(folder):
    from support.clips import write_clip

    rng = np.random.default_rng(0)
    pictures = [cv2.GaussianBlur(rng.integers(0, 255, (24, 32, 3), np.uint8), (0, 0), 4) for _ in range(4)]
    kinds = (("a.mp4", "mp4v"), ("b.avi", "MJPG"), ("c.webm", "VP80"), ("d.mkv", "mp4v"))
    return [write_clip(folder / name, pictures, code).read_bytes() for name, code in kinds]


def _video(path):
    from bodyposenet.common.video.clip import open_clip

    with open_clip(str(path)) as clip:
        for frame in clip.read(most=100):
            assert frame.pixels.shape[2] == 3


def turned_photos(folder):
    from support.turned_photos import draw_photo, store_turned

    for number, (end, big) in enumerate(
        [(".jpg", False), (".jpg", True), (".png", False), (".webp", True), (".tif", False)], 4
    ):
        store_turned(folder / f"{number}{end}", draw_photo(number, (20, 30)), number, big=big)
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]


def _orientation(path):
    from bodyposenet.common.imaging.orientation import choose_turn, drop_orientation, read_orientation

    data = path.read_bytes()
    assert 1 <= read_orientation(data) <= 8
    assert read_orientation(drop_orientation(data)) == 1
    choose_turn(data, (20, 30), (30, 20), "shown")


def bitmaps(folder):
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 3:20] = 255
    grey = cv2.imencode(".png", mask)[1].tobytes()
    return [cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes(), grey]


def _bitmap(path):
    from bodyposenet.common.imaging.bitmask_png import read_bitmap

    read_bitmap(path.read_bytes())


def photo_archives(folder):
    files = {f"photos/{number}.jpg": content for number, content in enumerate(photos(folder))}
    return [pack(files), pack({"a.png": pixels(shots()[0]), "../b.png": b"x", "/c.png": b"x"})]


def _photo_archive(path):
    from bodyposenet.common.storage.photo_store import open_photos

    store = open_photos(path)
    for name in [*store.listing()][:20]:
        store.read(name)


def input_lists(folder):
    paths = ["a.png", "b.png"]
    return json_files(paths, {"images": [{"full_image_path": path, "id": 1} for path in paths], "more": {"a": 1}})


def _input_list(path):
    from bodyposenet.common.inference.inference import list_photos
    from bodyposenet.common.storage.location import locate

    list_photos("json", locate(path), locate(path.parent))


PARSERS = (
    Parser("photo", photos, _photo, "photo"),
    Parser("video", videos, _video, "clip.mp4"),
    Parser("orientation", turned_photos, _orientation, "photo"),
    Parser("bitmap", bitmaps, _bitmap, "mask.png"),
    Parser("photo-archive", photo_archives, _photo_archive, "photos.zip", "zip"),
    Parser("input-list", input_lists, _input_list, "photos.json", "json"),
)
