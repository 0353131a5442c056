"""Annotations: COCO's files, and those of every tool whose labels are read."""

import gzip
import json

from fuzzing.parser import ROOT, Parser, json_files, text_files
from support.coco_files import JOINTS
from support.exports import coco, cvat, shots, studio_coco, studio_tasks, zipped
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

from bodyposenet.common.data.importers.mpii import JOINTS as MPII

EXPORTS = ROOT / "tests/exports"
mpii_joints = list(MPII)
crowdpose_joints = [*JOINTS[5:], "head", "neck"]


def _photos(folder):
    write_files(folder / "images", {shot.name: pixels(shot) for shot in shots()})


def coco_files(folder):
    _photos(folder)
    sound = coco(shots())
    sound["annotations"][0]["segmentation"] = [[1, 1, 30, 1, 30, 30]]
    sound["annotations"][1] |= {"iscrowd": 1, "segmentation": {"size": [120, 200], "counts": [0, 100, 23900]}}
    packed = {"size": [150, 160], "counts": "o0Q1Pn0"}
    sound["annotations"][2] |= {"iscrowd": 1, "segmentation": packed}
    return json_files(sound, cvat(shots()), studio_coco(shots(crowded=False)))


def coco_gzips(folder):
    return [gzip.compress(content, mtime=0) for content in coco_files(folder)]


def coco_zips(folder):
    _photos(folder)
    several = {"annotations/person_keypoints_default.json": coco(shots()), "annotations/captions.json": {}}
    return [zipped(several), zipped({"result.json": studio_coco(shots(crowded=False))})]


def cvat_files(folder):
    _photos(folder)
    grouped = cvat_xml(shots()).replace(
        "</image>", '<box label="person" xtl="1" ytl="1" xbr="9" ybr="9"></box></image>'
    )
    return text_files(cvat_xml(shots()), grouped)


def cvat_videos(folder):
    _photos(folder)
    size = "<size>9</size><original_size><width>200</width><height>120</height></original_size>"
    frames = "".join(
        f'<skeleton frame="{frame}" keyframe="1">\n{cvat_points(shots()[0].figures[0])}</skeleton>\n'
        for frame in (0, 4)
    )
    track = f'<track id="0" label="person">\n{frames}</track>\n'
    return text_files(f"<annotations>\n{cvat_meta(extra=size)}{track}</annotations>\n")


def studio_files(folder):
    _photos(folder)
    return json_files(studio_tasks(shots()), studio_tasks(shots(crowded=False), parents=False))


def labelme_files(folder):
    _photos(folder)
    files = {f"{shot.name}.json": json.dumps(labelme(shot)) for shot in shots()}
    write_files(folder, files)
    return json_files(labelme(shots()[0]), labelme(shots()[1], boxes=False))


def datumaro_files(folder):
    _photos(folder)
    (one,) = shots()[1].figures
    triplets = [one.joints.get(joint, (0, 0, 0)) for joint in JOINTS]
    points = {"id": 1, "type": "points", "group": 1, "label_id": 0, "points": [x for xyv in triplets for x in xyv[:2]]}
    points["visibility"] = [flag for _, _, flag in triplets]
    item = {"id": "b", "annotations": [points], "image": {"path": "b.png", "size": [150, 160]}}
    labels = {"label": {"labels": [{"name": "person"}]}, "points": {"items": [{"label_id": 0, "labels": JOINTS}]}}
    return [*json_files({"categories": labels, "items": [item]}), (EXPORTS / "datumaro/train.json").read_bytes()]


def mpii_files(folder):
    _photos(folder)
    places = [[5 * number + 1, 20 + number] for number in range(16)]
    people = [{"image": shot.name, "joints": places, "joints_vis": [1] * 16} for shot in shots()]
    selves = [{"img_paths": shot.name, "joint_self": [[*place, 1] for place in places]} for shot in shots()]
    return json_files(people, selves)


def crowdpose_files(folder):
    _photos(folder)
    document = coco(shots())
    for entry in document["annotations"]:
        entry["keypoints"] = entry["keypoints"][: 14 * 3]
    document["categories"] = [{"id": 1, "name": "person"}]
    return json_files(document)


def fiftyone_files(folder):
    _photos(folder)
    return [(EXPORTS / "fiftyone/labels.json").read_bytes(), (EXPORTS / "sleap_io/coco.json").read_bytes()]


def _yolo(folder):
    _photos(folder)
    yaml_text = f"path: .\ntrain: train.txt\nval: images\nnames: {{0: person}}\nkpt_shape: [17, 3]\nflip_idx: {FLIPS}\n"
    named = f"kpt_names:\n  0: {JOINTS}\n"
    labels = {f"labels/{stem}.txt": text for stem, text in yolo_labels(shots()).items()}
    listed = "".join(f"images/{shot.name}\n" for shot in shots())
    files = labels | {"data.yaml": yaml_text + named, "train.txt": listed}
    write_files(folder, files)
    return files


def yolo_yamls(folder):
    return [as_bytes(_yolo(folder)["data.yaml"])]


def yolo_label_files(folder):
    return [as_bytes(_yolo(folder)["labels/a.txt"])]


def yolo_lists(folder):
    return [as_bytes(_yolo(folder)["train.txt"])]


def _annotations(joints=None, part=""):
    def parse(path):
        from bodyposenet.common.data.annotations.album import Album
        from bodyposenet.common.data.annotations.coco import read_annotations
        from bodyposenet.common.storage.location import locate

        place = path.parent if part is None else path
        read_annotations(f"{place}{part or ''}", joints, strict=False, album=Album(locate(path.parent / "images")))

    return parse


def _dataset_folder(part):
    """Annotations that are several files: of the folder, whichever of them was changed."""

    def parse(path):
        from bodyposenet.common.data.annotations.album import Album
        from bodyposenet.common.data.annotations.coco import read_annotations
        from bodyposenet.common.storage.location import locate

        root = next(folder for folder in (path.parent, *path.parents) if (folder / "images").is_dir())
        read_annotations(f"{root}{part}", None, strict=False, album=Album(locate(root / "images")))

    return parse


PARSERS = (
    Parser("coco", coco_files, _annotations(), "people.json", "json"),
    Parser("coco-gzip", coco_gzips, _annotations(), "people.json.gz"),
    Parser("coco-zip", coco_zips, _annotations(), "export.zip", "zip"),
    Parser("cvat", cvat_files, _annotations(), "annotations.xml"),
    Parser("cvat-video", cvat_videos, _annotations(), "annotations.xml"),
    Parser("label-studio", studio_files, _annotations(), "tasks.json", "json"),
    Parser("labelme", labelme_files, _dataset_folder(""), "a.png.json", "json"),
    Parser("datumaro", datumaro_files, _annotations(), "people.json", "json"),
    Parser("mpii", mpii_files, _annotations(mpii_joints), "people.json", "json"),
    Parser("crowdpose", crowdpose_files, _annotations(crowdpose_joints), "people.json", "json"),
    Parser("fiftyone", fiftyone_files, _annotations(JOINTS), "labels.json", "json"),
    Parser("yolo-yaml", yolo_yamls, _annotations(part="#train"), "data.yaml", "yaml"),
    Parser("yolo-labels", yolo_label_files, _dataset_folder("/data.yaml#train"), "labels/a.txt"),
    Parser("yolo-list", yolo_lists, _dataset_folder("/data.yaml#train"), "train.txt"),
)
