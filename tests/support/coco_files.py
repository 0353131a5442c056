"""Small COCO datasets on disk, drawn for one test."""

import json

import cv2
import numpy as np

from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec

JOINTS = list(COCO_17.joints)


def category():
    return {"id": 1, "name": "person", "supercategory": "person", "num_joints": 17, "keypoints": JOINTS, "skeleton": []}


def annotation(number, image, box, *, labelled=17, **changes):
    """A person whose joints lie along the diagonal of the box; the first ``labelled`` of them are labelled."""
    x, y, width, height = box
    joints = []
    for joint in range(17):
        part = joint / 16
        joints += [x + part * width, y + part * height, 2] if joint < labelled else [0, 0, 0]
    corners = [x, y, x + width, y, x + width, y + height, x, y + height]
    fields = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "bbox": list(box),
        "area": width * height,
        "iscrowd": 0,
        "keypoints": joints,
        "num_keypoints": labelled,
        "segmentation": [corners],
    }
    return fields | changes


def image(number, *, size=(120, 160), name=None):
    return {"id": number, "file_name": name or f"{number:03d}.png", "height": size[0], "width": size[1]}


def document(images, annotations):
    return {"images": images, "annotations": annotations, "categories": [category()]}


def write_annotations(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_dataset(root, images, annotations):
    """Write annotations and drawn photos; return the dataset's spec."""
    write_annotations(root / "annotations/people.json", document(images, annotations))
    for entry in images:
        pixels = np.random.default_rng(entry["id"]).integers(0, 255, (entry["height"], entry["width"], 3), np.uint8)
        path = root / "images" / entry["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), pixels)
    return dataset_spec(root)


def dataset_spec(root, *, train="annotations/people.json", test="annotations/people.json", **changes):
    """A dataset spec with TAO's sample settings."""
    halves = {
        half: {"images_root_dir_path": "images", "mask_root_dir_path": "masks", "annotation_root_dir_path": file}
        for half, file in (("train_data", train), ("test_data", test))
    }
    person = category() | {"skeleton_edge_names": []}
    return parse_spec(
        {"dataset": "coco", "root_directory_path": str(root), "categories": [person]} | halves | changes, DatasetSpec
    )
