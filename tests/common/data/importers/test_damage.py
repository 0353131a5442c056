"""Whatever is damaged in a tool's files ends in annotations or in a clear error, never in anything else."""

import json
import random

import pytest
from support.coco_files import JOINTS
from support.exports import shots, zipped
from support.tool_files import (
    FLIPS,
    as_bytes,
    cvat_meta,
    cvat_points,
    cvat_xml,
    labelme,
    pixels,
    write_files,
    yolo_labels,
)

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.importers.mpii import JOINTS as MPII
from bodyposenet.common.errors import UserError
from bodyposenet.common.storage.location import locate


def yolo():
    yaml = f"path: .\ntrain: train.txt\nval: images\nnames: {{0: person}}\nkpt_shape: [17, 3]\nflip_idx: {FLIPS}\n"
    named = f"kpt_names:\n  0: {JOINTS}\n"
    labels = {f"labels/{stem}.txt": text for stem, text in yolo_labels(shots()).items()}
    return labels | {"data.yaml": yaml + named, "train.txt": "".join(f"images/{shot.name}\n" for shot in shots())}


def video():
    size = "<size>9</size><original_size><width>200</width><height>120</height></original_size>"
    frames = "".join(
        f'<skeleton frame="{frame}" keyframe="1">\n{cvat_points(shots()[0].figures[0])}</skeleton>\n'
        for frame in (0, 4)
    )
    track = f'<track id="0" label="person">\n{frames}</track>\n'
    return {"annotations.xml": f"<annotations>\n{cvat_meta(extra=size)}{track}</annotations>\n"}


def mpii():
    places = [[5 * number + 1, 20 + number] for number in range(len(MPII))]
    people = [{"image": shot.name, "joints": places, "joints_vis": [1] * len(MPII)} for shot in shots()]
    return {"people.json": json.dumps(people)}


def datumaro():
    (one,) = shots()[1].figures
    triplets = [one.joints.get(joint, (0, 0, 0)) for joint in JOINTS]
    points = {"id": 1, "type": "points", "group": 1, "label_id": 0, "points": [x for xyv in triplets for x in xyv[:2]]}
    points["visibility"] = [flag for _, _, flag in triplets]
    item = {"id": "b", "annotations": [points], "image": {"path": "b.png", "size": [150, 160]}}
    labels = {"label": {"labels": [{"name": "person"}]}, "points": {"items": [{"label_id": 0, "labels": JOINTS}]}}
    return {"people.json": json.dumps({"categories": labels, "items": [item]})}


FORMATS = {
    "yolo": (yolo, "#train"),
    "yolo folder": (yolo, "#val"),
    "cvat": (lambda: {"annotations.xml": cvat_xml(shots())}, ""),
    "cvat video": (video, ""),
    "labelme": (lambda: {f"{shot.name}.json": json.dumps(labelme(shot)) for shot in shots()}, ""),
    "mpii": (mpii, "/people.json"),
    "datumaro": (datumaro, "/people.json"),
}
ODD = [
    "nan",
    "inf",
    "-1",
    "1e308",
    "9" * 400,
    '""',
    "null",
    "[]",
    "{}",
    "\ud7ff",
    "\0",
    "&b;",
    "<",
    "0 0",
    "..",
    "true",
]


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    return Album(locate(write_files(folder, {shot.name: pixels(shot) for shot in shots()})))


def damage(chance, text):
    """Drop, double, overwrite or cut off bytes, or put something odd in place of a word."""
    content = bytearray(as_bytes(text))
    for _ in range(chance.randint(1, 3)):
        start = chance.randrange(len(content) or 1)
        end = start + chance.randint(1, 20)
        odd = chance.choice(ODD).encode()
        content[start:end] = chance.choice([b"", content[start:end] * 2, chance.randbytes(2), odd, b" " + odd + b" "])
    if chance.random() < 0.2:
        del content[chance.randrange(len(content) or 1) :]
    return bytes(content)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_sound_one_is_read(tmp_path, album, name, packed):
    """Otherwise damage would be refused for another reason."""
    make, part = FORMATS[name]
    if packed and part.startswith("/"):
        part = ""
    if packed:
        (tmp_path / "mine.zip").write_bytes(zipped({name: as_bytes(content) for name, content in make().items()}))
        where = f"{tmp_path}/mine.zip{part}"
    else:
        where = f"{write_files(tmp_path / 'mine', make())}{part}"
    assert len(read_annotations(where, strict=False, album=album).annotations.ids) >= 1


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("seed", range(60))
def test_a_damaged_one_ends_in_annotations_or_a_clear_error(tmp_path, album, name, seed):
    chance = random.Random(f"{name} {seed}")
    make, part = FORMATS[name]
    files = make()
    for file in chance.sample(sorted(files), chance.randint(1, min(2, len(files)))):
        files[file] = damage(chance, files[file])
    root = write_files(tmp_path / "mine", files)
    told = []
    try:
        found = read_annotations(f"{root}{part}", JOINTS if "mpii" not in name else MPII, strict=False, album=album)
        told = [str(problem) for problem in found.problems]
    except UserError as error:
        told = [str(error)]
    assert all(str(root) in message for message in told)
