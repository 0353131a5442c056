"""Corrupted input, 500 times over: conversion tells what is wrong, or leaves it out, and writes nowhere else."""

import copy
import errno
import functools
import gzip
import io
import json
import os
import random
import signal
import struct
import subprocess
import sys
import zipfile
import zlib

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from support.coco_files import annotation, category, document, image, write_dataset
from support.faulty_disk import fail_reading
from support.permissions import run_bound

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.errors import AwayError, UserError

JUNK = (
    None, True, -1, 0, 1.5, 2**31, 10**400, 1e308, float("nan"), float("inf"), "", "x", "\ud800", "a" * 10_000,
    [], {}, [[]], [None], {"size": [120, 160], "counts": "\uffff"}, {"size": [10**9, 10**9], "counts": [10**18]},
    [[1e308] * 6], [["x"] * 6], ["nose"] * 17,
)  # fmt: skip
NAMES = ("../a.png", "../../../../etc/passwd", "/etc/passwd", "a/../../b.png", "C:\\a.png", "..\\a.png", "nul\0.png",
         "\ud800.png", ".", "..", "", "photos", "a" * 5000 + ".png", "con:stream", "~/.bashrc")  # fmt: skip
SECONDS = 30  # a case that takes longer hangs
CASES = 500


def photo(number, size=(120, 160)):
    pixels = np.random.default_rng(number).integers(0, 255, (size[0] // 8, size[1] // 8, 3), np.uint8)
    pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_NEAREST)
    return bytes(cv2.imencode(".jpg" if number % 2 else ".png", pixels)[1])


PHOTOS = {f"{number}.{'jpg' if number % 2 else 'png'}": photo(number) for number in range(1, 5)}


def people():
    images = [image(number, name=name) for number, name in enumerate(PHOTOS, 1)]
    annotations = [annotation(number, number % 4 + 1, (number, 10, 60, 80)) for number in range(1, 9)]
    crowd = {"size": [120, 160], "counts": [0, 100, 120 * 160 - 100]}
    annotations.append(annotation(9, 1, (10, 10, 50, 50), labelled=0, iscrowd=1, segmentation=crowd))
    return document(images, annotations)


def somewhere(value, dice):
    """A container inside a document, and a key of it."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = dice.choice(keys)
        if not isinstance(value[key], dict | list) or not value[key] or dice.random() < 0.25:
            return value, key
        value = value[key]


def junk_somewhere(case, dice):
    for _ in range(dice.randint(1, 3)):
        inside, key = somewhere(case["document"], dice)
        inside[key] = copy.deepcopy(dice.choice(JUNK))


def lose_something(case, dice):
    inside, key = somewhere(case["document"], dice)
    del inside[key]


def name_strangely(case, dice):
    dice.choice(case["document"]["images"])["file_name"] = dice.choice(NAMES)


def cut_text(case, dice):
    case["text"] = lambda text: text[: dice.randrange(len(text))]


def flip_text(case, dice):
    def flipped(text):
        changed = bytearray(text)
        for _ in range(dice.randint(1, 20)):
            changed[dice.randrange(len(changed))] = dice.randrange(256)
        return bytes(changed)

    case["text"] = flipped


def replace_text(case, dice):
    texts = (b"", b"null", b"[]", b"{}", b"[" * 200_000, b'{"a":' * 100_000, b"\xff\xfe", b"\0" * 100, b"<html></html>",
             b'{"images": [], "annotations": [], "categories": []}', gzip.compress(b"{" + b" " * 10_000_000, mtime=0),
             b"\x1f\x8b broken", b"1" * 1_000_000)  # fmt: skip
    case["text"] = lambda _: dice.choice(texts)


def archive_text(case, dice):
    """The annotations in an archive: a bomb, one that leaves its folder, one that is cut."""
    kind = dice.choice(("bomb", "outside", "cut", "lies", "empty"))

    def archived(text):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            if kind not in ("bomb", "empty"):
                name = "../../out.json" if kind == "outside" else "annotations/person_keypoints_default.json"
                archive.writestr(name, text)
        data = bomb("annotations/person_keypoints_default.json") if kind == "bomb" else file.getvalue()
        if kind == "lies":
            data = data.replace(struct.pack("<I", len(text)), struct.pack("<I", 12))
        return data[: dice.randrange(len(data))] if kind == "cut" else data

    case["text"] = archived


def damage_photo(case, dice):
    name = dice.choice(list(case["photos"]))
    data = bytearray(case["photos"][name])
    kind = dice.choice(("cut", "flip", "empty", "text", "huge", "folder", "gone", "bomb"))
    if kind == "cut":
        data = data[: dice.randrange(len(data))]
    elif kind == "flip":
        for _ in range(dice.randint(1, 50)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    elif kind in ("huge", "bomb"):
        side = 65_535 if kind == "huge" else 30_000
        data = png_of(side)
        if dice.random() < 0.5:  # the annotations believe it
            entry = next(entry for entry in case["document"]["images"] if entry["file_name"] == name)
            entry["height"] = entry["width"] = side
    case["photos"][name] = {"empty": b"", "text": b"hello", "folder": ..., "gone": None}.get(kind, bytes(data))


def png_of(side):
    """A small file that claims to be of so many pixels a side."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zip_photos(case, dice):
    case["zip"] = dice.choice(("plain", "bomb", "outside", "cut"))
    if dice.random() < 0.5:
        damage_photo(case, dice)


def break_spec(case, dice):
    inside, key = somewhere(case["spec"], dice)
    if key != "root_directory_path":
        inside[key] = copy.deepcopy(dice.choice(JUNK))


KINDS = (junk_somewhere, junk_somewhere, lose_something, name_strangely, cut_text, flip_text, replace_text,
         archive_text, damage_photo, damage_photo, zip_photos, break_spec)  # fmt: skip


def write_case(root, case, dice):
    for name, data in case["photos"].items():
        path = root / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if data is ...:
            path.mkdir()
        elif data is not None:
            path.write_bytes(data)
    if case["zip"]:
        write_zip(root / "photos.zip", case, dice)
    text = json.dumps(case["document"]).encode()
    (root / "people.json").write_bytes(case["text"](text))
    (root / "spec.json").write_text(json.dumps(case["spec"]))


@functools.cache
def bomb(name):
    """An archive whose one member is 400 MB of zeros, packed to a thousandth."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(name, bytes(400_000_000))
    return file.getvalue()


def write_zip(path, case, dice):
    if case["zip"] == "bomb":
        path.write_bytes(bomb("1.jpg"))
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in case["photos"].items():
            if isinstance(data, bytes):
                archive.writestr("../" + name if case["zip"] == "outside" else name, data)
    if case["zip"] == "cut":
        path.write_bytes(path.read_bytes()[: dice.randrange(1, path.stat().st_size)])


def fresh(root, dice):
    half = {"images_root_dir_path": "photos", "mask_root_dir_path": "masks", "annotation_root_dir_path": "people.json"}
    spec = {"dataset": "coco", "root_directory_path": str(root), "train_data": dict(half), "test_data": dict(half)}
    spec |= {"categories": [copy.deepcopy(category())]}
    case = {
        "photos": dict(PHOTOS),
        "document": copy.deepcopy(people()),
        "text": lambda text: text,
        "spec": spec,
        "zip": None,
    }
    dice.choice(KINDS)(case, dice)
    if case["zip"]:
        spec["train_data"]["images_root_dir_path"] = "photos.zip"
    return case


def files_below(root):
    return {path: path.read_bytes() if path.is_file() else None for path in root.rglob("*") if "out" not in path.parts}


def too_long(*_):
    raise TimeoutError(f"took more than {SECONDS} seconds")


@pytest.fixture
def limited():
    """A case that hangs fails."""
    before = signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("block", range(20))
def test_corrupted_input_is_told_or_left_out_and_nothing_is_written_elsewhere(block, tmp_path, limited):
    for number in range(block, CASES, 20):
        dice = random.Random(number)
        root = tmp_path / str(number)
        root.mkdir()
        case = fresh(root, dice)
        write_case(root, case, dice)
        before = files_below(tmp_path)
        strict = ["--strict"] if dice.random() < 0.3 else []
        check = ["--check_files"] if dice.random() < 0.5 else []
        arguments = ["dataset_convert", "-d", root / "spec.json", "-o", root / "out/train", "-r", root / "out"]
        done = CliRunner().invoke(main, [*map(str, arguments), *strict, *check])
        signal.alarm(SECONDS)
        story = f"case {number}: {done.output[-800:]!r} {done.exception!r}"
        assert done.exit_code in (0, 2), story
        assert "Traceback" not in done.output, story
        assert done.output.strip(), story
        assert files_below(tmp_path) == before, story
        left = [path.name for path in (root / "out").glob(".*")] if (root / "out").exists() else []
        assert done.exit_code or not left, story


def test_damaged_photos_are_told_by_the_verb_alone(tmp_path):
    images = [image(number, name=f"{number}.bmp") for number in (1, 2)]
    spec = write_dataset(tmp_path, images, [annotation(number, number, (10, 10, 60, 80)) for number in (1, 2)])
    spoilt = tmp_path / "images/1.bmp"
    spoilt.write_bytes(spoilt.read_bytes()[:-900])
    (tmp_path / "spec.json").write_text(spec.model_dump_json(by_alias=True))
    verb = ["dataset_convert", "-d", tmp_path / "spec.json", "-o", tmp_path / "out/train"]
    run = "from bodyposenet.common.cli.main import main; main()"
    shell = {name: value for name, value in os.environ.items() if name != "OPENCV_LOG_LEVEL"}
    done = subprocess.run([sys.executable, "-c", run, *verb], env=shell, capture_output=True, text=True)
    assert (done.returncode, "images/1.bmp" in done.stdout + done.stderr) == (0, True)
    assert "OpenCV" not in done.stderr


def three_photos(root):
    images = [image(number, name=f"{number}.png") for number in (1, 2, 3)]
    return write_dataset(root, images, [annotation(number, number, (10, 10, 60, 80)) for number in (1, 2, 3)])


OF_ONE_FILE = ("EIO", "EUCLEAN", "EBADMSG", "ENXIO", "ESTALE", "EHOSTDOWN", "ENOLINK", "EACCES")


@pytest.mark.parametrize(
    ("name", "when"),
    [*((name, "read") for name in OF_ONE_FILE), ("EUCLEAN", "stat"), ("EUCLEAN", "open"), ("EIO", "stat")],
)
def test_a_photo_that_the_disk_does_not_give_is_left_out_told_and_counted(tmp_path, monkeypatch, name, when):
    spec = three_photos(tmp_path)
    fail_reading(monkeypatch, tmp_path / "images/2.png", getattr(errno, name), when=when)
    done = convert_dataset(spec, tmp_path / "out/train")
    assert (done.images, [problem.image_id for problem in done.problems if not problem.kept]) == (2, [2])
    assert str(next(problem for problem in done.problems if not problem.kept)).startswith(f"{tmp_path}/images/2.png: ")


def test_few_photos_that_a_disk_does_not_give_point_at_the_disk(tmp_path, monkeypatch):
    """Fewer than show that it gives nothing any more."""
    spec = three_photos(tmp_path)
    fail_reading(monkeypatch, tmp_path / "images", errno.EIO)
    with pytest.raises(UserError, match=r"left out; check images_root_dir_path, and the disk that it is on") as caught:
        convert_dataset(spec, tmp_path / "out/train")
    assert "the disk does not read or write any more" in str(caught.value)


@pytest.mark.parametrize("name", ["ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM"])
def test_what_no_photo_is_to_blame_for_ends_a_conversion_and_it_goes_on_later(tmp_path, monkeypatch, name):
    spec = three_photos(tmp_path)
    with monkeypatch.context() as patch:
        fail_reading(patch, tmp_path / "images/2.png", getattr(errno, name))
        with pytest.raises(AwayError, match=r"images/2\.png: "):
            convert_dataset(spec, tmp_path / "out/train")
    assert not (tmp_path / "out/manifest.json").exists()
    assert convert_dataset(spec, tmp_path / "out/train").images == 3


def test_a_disk_that_dies_meanwhile_ends_a_conversion_and_it_goes_on_later(tmp_path, monkeypatch):
    images = [image(number, name=f"{'old' if number < 5 else 'dead'}/{number}.png") for number in range(1, 30)]
    people = [annotation(number, number, (10, 10, 60, 80)) for number in range(1, 30)]
    spec = write_dataset(tmp_path, images, people)
    with monkeypatch.context() as patch:
        fail_reading(patch, tmp_path / "images/dead", errno.EIO)
        with pytest.raises(
            AwayError, match=r"images/dead/\d+\.png: the disk does not read or write any more, and it gave"
        ):
            convert_dataset(spec, tmp_path / "out/train")
    assert not (tmp_path / "out/manifest.json").exists()
    assert convert_dataset(spec, tmp_path / "out/train").images == 29


def test_a_folder_that_may_not_be_looked_at_any_more_stops_a_conversion(tmp_path):
    """Else all its photos would be left out, one by one."""
    (tmp_path / "spec.json").write_text(three_photos(tmp_path).model_dump_json(by_alias=True))
    code = """if True:
        import os, sys
        from bodyposenet.common.data.conversion.split import DatasetSplit
        from bodyposenet.common.spec.dataset import DatasetSpec
        from bodyposenet.common.spec.base import load_spec
        from bodyposenet.common.storage.location import locate
        root = sys.argv[1]
        source = DatasetSplit.read(load_spec(root + "/spec.json", DatasetSpec), "train")
        recipe = source.recipe(thorough=False, mask_files=False, token="")
        os.chmod(root + "/images", 0)
        source.piece("piece", locate(root), [0], recipe)()"""
    done = run_bound([sys.executable, "-c", code, tmp_path])
    assert "AwayError" in done.stderr
    assert f"{tmp_path}/images: the photos have gone (Permission denied)" in done.stderr
