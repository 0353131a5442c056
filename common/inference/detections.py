"""Results: the files that evaluation and inference leave, named and laid out as TAO's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bodyposenet.common.pose.people import People
from bodyposenet.common.skeleton.skeleton import Skeleton
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.storage.files import whole_file

DETECTIONS = "detections.json"
COCO_DETECTIONS = "detections_coco_format.json"

Entry = dict[str, Any]


def entry(path: Path, people: People | None, given: Mapping[str, Any] | None = None) -> Entry:
    """One photo of ``detections.json``.

    Args:
        path: The photo.
        people: In photo pixels; None where the photo cannot be read, which leaves ``keypoints`` and ``scores`` out.
        given: Further fields.
    """
    fields = {**(given or {}), "full_image_path": str(path)}
    if people is None:
        return fields
    places = people.keypoints[..., :2].astype(float).round(3).tolist()
    return fields | {"keypoints": places, "scores": people.scores.astype(float).round(6).tolist()}


def write_detections(
    folder: Path,
    skeleton: Skeleton,
    spec: InferenceSpec,
    entries: Sequence[Entry],
    extra: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``detections.json``.

    Args:
        folder: Where; it is made.
        skeleton: The network's; its joints name the keypoints, (0, 0) being one that was not found.
        spec: As it was used.
        entries: The photos.
        extra: Further keys of the file.
    """
    return write_json(
        folder / DETECTIONS,
        {
            **(extra or {}),
            **pose_config(skeleton),
            "inference_spec": spec.model_dump(mode="json"),
            "images": list(entries),
        },
    )


def pose_config(skeleton: Skeleton) -> dict[str, Any]:
    """A skeleton as TAO's pose config; joints are counted from 1 in it."""
    person = {
        "supercategory": "person",
        "id": 1,
        "name": "person",
        "num_joints": skeleton.num_joints,
        "keypoints": list(skeleton.joints),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.limbs],
        "skeleton_edge_names": [[skeleton.joints[start], skeleton.joints[end]] for start, end in skeleton.limbs],
    }
    return {"pose_config_type": skeleton.name, "categories": [person]}


def write_json(path: Path, data: Any) -> Path:
    """Write ``data`` with an indent of 2; the folder is made."""
    with whole_file(path) as file:
        file.write(json.dumps(data, indent=2).encode() + b"\n")
    return path
