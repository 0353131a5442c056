"""COCO file: labels as COCO's keypoint annotations, which CVAT imports as "COCO Keypoints 1.0"."""

from typing import Any

from bodyposenet.common.data.exporters.labels import PERSON, LabelSet, PersonLabel
from bodyposenet.common.skeleton.skeleton import Skeleton

Fields = dict[str, Any]


def to_coco_document(labels: LabelSet) -> Fields:
    """Make a document of images, annotations and their one category; images are numbered in their order, from 1."""
    people = [(number, one) for number, photo in enumerate(labels.photos, 1) for one in photo.people]
    return {
        "info": {"description": f"people found by {labels.model}" if labels.model else "people found"},
        "images": [
            {"id": number, "file_name": photo.name, "height": photo.size[0], "width": photo.size[1]}
            for number, photo in enumerate(labels.photos, 1)
        ],
        "annotations": [_annotate(index, photo, one) for index, (photo, one) in enumerate(people, 1)],
        "categories": [describe_category(labels.skeleton)],
    }


def describe_category(skeleton: Skeleton) -> Fields:
    """Describe people: joints by name, and limbs by the joints' numbers, from 1."""
    limbs = [[start + 1, end + 1] for start, end in skeleton.limbs]
    joints = list(skeleton.joints)
    return {"id": 1, "name": PERSON, "supercategory": PERSON, "keypoints": joints, "skeleton": limbs}


def _annotate(number: int, photo: int, one: PersonLabel) -> Fields:
    return {
        "id": number,
        "image_id": photo,
        "category_id": 1,
        "bbox": list(one.box),
        "area": round(one.box[2] * one.box[3], 3),
        "iscrowd": 0,
        "segmentation": [],
        "keypoints": [
            value for x, y, flag in one.keypoints.tolist() for value in ((x, y, int(flag)) if flag else (0, 0, 0))
        ],
        "num_keypoints": int((one.keypoints[:, 2] > 0).sum()),
        "score": one.score,
    }
