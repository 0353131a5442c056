"""Batch files: the results of very many photos, written as they come and never held together."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bodyposenet.common.inference.detections import COCO_DETECTIONS, DETECTIONS, Entry, pose_config, to_coco
from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import COCO_17, Skeleton
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import whole_file


def write_files(
    folder: Path, skeleton: Skeleton, spec: InferenceSpec, entries: Iterable[Entry], extra: Mapping[str, Any]
) -> None:
    """Write ``detections.json`` and ``detections_coco_format.json``.

    Args:
        folder: Where.
        skeleton: The network's.
        spec: As it was used.
        entries: The photos, with ``image_meta``.
        extra: Further keys of ``detections.json``.
    """
    head = {**extra, **pose_config(skeleton), "inference_spec": spec.model_dump(mode="json")}
    joints = COCO_17.joints if set(COCO_17.joints) <= set(skeleton.joints) else skeleton.joints
    with whole_file(folder / DETECTIONS) as rich, whole_file(folder / COCO_DETECTIONS) as plain:
        photos = _Array(rich, json.dumps(head, indent=2)[:-2] + ',\n  "images": ', "\n}\n")
        people = _Array(plain, "", "\n")
        for found in entries:
            photos.add(found)
            for person in to_coco(people_of(found, skeleton), skeleton, joints, found["image_meta"]["id"]):
                people.add(person)
        photos.close()
        people.close()


def people_of(found: Entry, skeleton: Skeleton) -> People:
    """The people of an entry; a joint's score is 1 where it was found, else 0."""
    places = np.reshape(np.asarray(found.get("keypoints", []), np.float32), (-1, skeleton.num_joints, 2))
    seen = places.any(axis=-1, keepdims=True).astype(np.float32)
    return People(np.concatenate([places, seen], axis=-1), np.asarray(found.get("scores", []), np.float32))


class _Array:
    """A JSON array that is written as it comes, an item a line."""

    def __init__(self, file: BinaryIO, before: str, after: str) -> None:
        self._file, self._after, self._separator = file, after, "\n"
        file.write(f"{before}[".encode())

    def add(self, item: Any) -> None:
        self._file.write(f"{self._separator}{json.dumps(item)}".encode())
        self._separator = ",\n"

    def close(self) -> None:
        self._file.write(f"\n]{self._after}".encode())
