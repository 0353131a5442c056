"""YOLO sets: a YOLO-pose dataset as its files, and the people that are read of one."""

from support.coco_files import JOINTS
from support.exports import shots
from support.tool_files import FLIPS, pixels, yolo_labels

from bodyposenet.common.data.annotations.album import Album
from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.storage.location import locate

POSE = f"kpt_shape: [17, 3]\nflip_idx: {FLIPS}\n"
NAMED = "names: [person]\n"
KEYS = f"train: images/train\n{NAMED}"


def files(images, labels, yaml, *, photos=None, **how):
    """Photos, their label files and the yaml, by path."""
    photos = photos or shots()
    drawn = {f"{images}/{shot.name}": pixels(shot) for shot in photos}
    return drawn | {f"{labels}/{stem}.txt": text for stem, text in yolo_labels(photos, **how).items()} | yaml


def read(path, images=None, joints=JOINTS, **how):
    album = Album(locate(images)) if images else None
    return read_annotations(path, joints, strict=False, album=album, **how)


def plain(**how):
    """As the documentation has it: a path, images/train and labels/train."""
    yaml = f"path: ../datasets/mine\ntrain: images/train\nval: images/val\n{NAMED}{POSE}"
    return files("images/train", "labels/train", {"data.yaml": yaml}, **how)
