"""COCO file: labels as COCO's keypoint annotations, which CVAT imports as "COCO Keypoints 1.0"."""

from collections.abc import Sequence
from itertools import count
from typing import Any

from bodyposenet.common.data.exporters.labels import PERSON, LabelCategory, LabelSet, PersonLabel
from bodyposenet.common.skeleton.skeleton import Skeleton

Fields = dict[str, Any]


def to_coco_document(labels: LabelSet) -> Fields:
    """Make a document of images, annotations and their categories.

    Images and annotations keep the numbers that they have, and new ones get those after the largest.
    """
    numbers = _complete([photo.number for photo in labels.photos])
    people = [(number, one) for number, photo in zip(numbers, labels.photos, strict=True) for one in photo.people]
    own = _complete([one.number for _, one in people])
    return {
        "info": {"description": f"people found by {labels.model}" if labels.model else "people found"},
        "images": [
            {"id": number, "file_name": photo.name, "height": photo.size[0], "width": photo.size[1]}
            for number, photo in zip(numbers, labels.photos, strict=True)
        ],
        "annotations": [
            _annotate(number, photo, one, labels.categories[one.category])
            for number, (photo, one) in zip(own, people, strict=True)
        ],
        "categories": [describe_category(labels.skeleton, category) for category in labels.categories],
    }


def describe_category(skeleton: Skeleton, category: LabelCategory) -> Fields:
    """Describe a category of people: joints by name, and limbs by the joints' numbers, from 1."""
    number, name, places = category
    limbs = [[places.index(joint) + 1 for joint in limb] for limb in skeleton.limbs if {*limb} <= {*places}]
    joints = [skeleton.joints[place] for place in places]
    return {"id": number, "name": name, "supercategory": PERSON, "keypoints": joints, "skeleton": limbs}


def _complete(given: Sequence[int | None]) -> list[int]:
    """Number what has no number; where two have the same, all are numbered anew."""
    known = [number for number in given if number is not None]
    if len({*known}) < len(known):
        return list(range(1, len(given) + 1))
    fresh = count(max(known, default=0) + 1)
    return [next(fresh) if number is None else number for number in given]


def _annotate(number: int, photo: int, one: PersonLabel, category: LabelCategory) -> Fields:
    keypoints = one.keypoints[list(category.joints)]
    return {
        "id": number,
        "image_id": photo,
        "category_id": category.number,
        "bbox": list(one.box),
        "area": round(one.box[2] * one.box[3], 3) if one.area is None else one.area,
        "iscrowd": int(one.crowd),
        "segmentation": one.outline or [],
        "keypoints": [
            value for x, y, flag in keypoints.tolist() for value in ((x, y, int(flag)) if flag else (0, 0, 0))
        ],
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
        "score": one.score,
    }
