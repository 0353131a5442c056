"""Seeded errors: labels that are made wrong on purpose, and which of them a list of suspects names."""

import json

import numpy as np

from bodyposenet.common.data.synthetic.figures import random_figure
from bodyposenet.common.skeleton.skeleton import COCO_17

LIMBS = ((9,), (10,), (7, 9), (8, 10), (15,), (16,), (13, 15), (14, 16))  # wrists, arms, ankles and legs


def triplets(label):
    return np.reshape(label["keypoints"], (17, 3)).astype(float)


def swap(label):
    return label | {"keypoints": triplets(label)[COCO_17.flip_order].ravel().tolist()}


def shift(label, number, pixels):
    joints = triplets(label)
    joints[joints[:, 2] > 0, :2] += pixels
    return label | {"id": number, "keypoints": joints.ravel().tolist()}


def lose(label, rng):
    """Put the box half its width beside, or shrink it, or enlarge it."""
    x, y, width, height = label["bbox"]
    side = rng.choice([-0.5, 0.5]) * width
    boxes = [
        [x + side, y, width, height],
        [x + 0.2 * width, y + 0.2 * height, 0.6 * width, 0.6 * height],
        [x - 0.5 * width, y - 0.5 * height, 2 * width, 2 * height],
    ]
    return label | {"bbox": boxes[rng.integers(3)]}


def steal(label, others, rng):
    """Put a limb where the nearest neighbour has it, a little beside; None where no neighbour has one."""
    own = triplets(label)
    limb = list(LIMBS[rng.integers(len(LIMBS))])
    able = [joints for joints in map(triplets, others) if (joints[limb, 2] > 0).all()]
    if not able or not (own[limb, 2] > 0).all():
        return None
    centre = own[own[:, 2] > 0, :2].mean(axis=0)
    near = min(able, key=lambda joints: np.linalg.norm(joints[limb, :2].mean(axis=0) - centre))
    own[limb] = near[limb]
    own[limb, :2] += rng.normal(0, 0.02 * label["area"] ** 0.5, (len(limb), 2))
    return label | {"keypoints": own.ravel().tolist()}


def seed_geometry(content, rng, swapped=100, doubled=50, stray=50, box=50):
    """Swap labels, write some twice, move limbs to neighbours and spoil boxes; returns the labels and the kinds."""
    labels = {label["id"]: label for label in content["annotations"]}
    able = [label for label in labels.values() if label["num_keypoints"] >= 8 and not label["iscrowd"]]
    photos = {}
    for label in labels.values():
        photos.setdefault(label["image_id"], []).append(label)
    kinds = {}
    for label in (able[at] for at in rng.permutation(len(able))):
        number = label["id"]
        counts = [list(kinds.values()).count(kind) for kind in ("stray", "swapped", "doubled", "box")]
        others = [one for one in photos[label["image_id"]] if one is not label and one["num_keypoints"]]
        if counts[0] < stray and (moved := steal(label, others, rng)) is not None:
            labels[number], kinds[number] = moved, "stray"
        elif counts[1] < swapped:
            labels[number], kinds[number] = swap(label), "swapped"
        elif counts[2] < doubled:
            again = 10**9 + number
            labels[again] = shift(label, again, rng.normal(0, 0.02 * label["area"] ** 0.5, 2))
            kinds[again] = "doubled"
        elif counts[3] < box:
            labels[number], kinds[number] = lose(label, rng), "box"
    return list(labels.values()), kinds


def draw_people(number, seed=0, per_photo=3):
    """A COCO document of posed figures, labelled as an annotator would; no photo is drawn."""
    rng = np.random.default_rng(seed)
    images, labels = [], []
    for at in range(number):
        if at % per_photo == 0:
            images.append({"id": len(images) + 1, "file_name": f"{len(images)}.jpg", "height": 480, "width": 640})
        figure = random_figure(rng, float(rng.uniform(120, 380)))
        low, high = figure.extent
        corner = rng.uniform(0, np.maximum((640, 480) - (high - low), 1)) - low
        joints = np.c_[figure.joints + corner, np.where(figure.labelled, 2, 0)] * figure.labelled[:, None]
        box = [*(low + corner), *(high - low)]
        labels.append(
            {"id": at + 1, "image_id": images[-1]["id"], "category_id": 1, "iscrowd": 0, "segmentation": []}
            | {"bbox": box, "area": 0.5 * box[2] * box[3], "keypoints": joints.ravel().tolist()}
            | {"num_keypoints": int(figure.labelled.sum())}
        )
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.joints), "skeleton": []}
    return json.loads(json.dumps({"images": images, "annotations": labels, "categories": [category]}))


def count_named(suspects, kinds):
    """Count the seeded errors that are named with their kind; of a label written twice either may be."""
    named = {(one.annotation_id, one.kind) for one in suspects}
    twins = {(number - 10**9, "doubled"): (number, "doubled") for number in kinds if number >= 10**9}
    named |= {twins[key] for key in named if key in twins}
    hits = {kind: 0 for kind in kinds.values()}
    for number, kind in kinds.items():
        hits[kind] += (number, kind) in named
    return hits
