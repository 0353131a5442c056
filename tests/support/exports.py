"""Annotation tools' exports of drawn photos, shaped as the tools shape them."""

import io
import json
import zipfile
from dataclasses import dataclass

from support.coco_files import JOINTS

HASHES = ("0a1b2c3d", "4e5f6071", "8293a4b5", "c6d7e8f9")


@dataclass(frozen=True)
class Figure:
    """Somebody in a photo: for each joint x, y in pixels and COCO's flag; joints that are not labelled are left out."""

    joints: dict

    @property
    def box(self):
        xs, ys = ([place[axis] for place in self.joints.values()] for axis in (0, 1))
        return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]

    @property
    def triplets(self):
        return [number for joint in JOINTS for number in self.joints.get(joint, (0, 0, 0))]


@dataclass(frozen=True)
class Shot:
    """A photo and who is in it."""

    name: str
    size: tuple
    figures: tuple


def figure(left, top, *, hidden=("left_wrist",), missing=("right_ear",)):
    """Joints along a zigzag of 40 by 80 pixels, so that left and right differ."""
    joints = {
        joint: (left + 40 * (index % 2), top + 5 * index, 1 if joint in hidden else 2)
        for index, joint in enumerate(JOINTS)
        if joint not in missing
    }
    return Figure(joints)


def shots(*, crowded=True):
    """Three photos of different sizes; the first shows two people if it is crowded."""
    second = (figure(100, 30, hidden=(), missing=("nose", "left_eye")),) if crowded else ()
    return (
        Shot("a.png", (120, 200), (figure(10, 20), *second)),
        Shot("b.png", (150, 160), (figure(60, 40, hidden=("right_knee", "left_hip")),)),
        Shot("c.png", (128, 96), (figure(20, 10, missing=()),)),
    )


def coco(photos):
    """What the COCO project itself would write."""
    people = [(number, one) for number, shot in enumerate(photos, 1) for one in shot.figures]
    return {
        "images": [_image(number, shot) for number, shot in enumerate(photos, 1)],
        "annotations": [_person(index, number, one) for index, (number, one) in enumerate(people, 1)],
        "categories": [{"id": 1, "name": "person", "supercategory": "person", "keypoints": JOINTS, "skeleton": []}],
    }


def _image(number, shot):
    return {"id": number, "width": shot.size[1], "height": shot.size[0], "file_name": shot.name}


def _person(index, number, one):
    return {
        "id": index,
        "image_id": number,
        "category_id": 1,
        "segmentation": [],
        "area": float(one.box[2] * one.box[3]),
        "bbox": one.box,
        "iscrowd": 0,
        "keypoints": one.triplets,
        "num_keypoints": len(one.joints),
    }


def cvat(photos):
    """The JSON of CVAT's "COCO Keypoints 1.0": labels without joints too, outside joints where they were left."""
    document = coco(photos)
    document["licenses"] = [{"name": "", "id": 0, "url": ""}]
    document["info"] = dict.fromkeys(("contributor", "date_created", "description", "url", "version", "year"), "")
    for image in document["images"]:
        image |= {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    for entry in document["annotations"]:
        entry["attributes"] = {"occluded": False}
        entry["keypoints"] = [
            7.5 if at % 3 < 2 and not entry["keypoints"][at // 3 * 3 + 2] else value
            for at, value in enumerate(entry["keypoints"])
        ]
        entry["category_id"] = 2
    document["categories"] = [
        {"id": 1, "name": "car", "supercategory": "", "keypoints": [], "skeleton": []},
        {"id": 2, "name": "person", "supercategory": "", "keypoints": JOINTS, "skeleton": [[16, 14]]},
    ]
    return document


def zipped(members):
    """A zip archive of names and contents; contents that are no bytes are written as JSON."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return packed.getvalue()


def studio_tasks(photos, **kinds):
    """Label Studio's JSON export."""
    return [studio_task(number, shot, **kinds) for number, shot in enumerate(photos)]


def studio_task(number, shot, *, parents=True, boxes=True, label="Person"):
    """A task: each person a rectangle, the keypoints in it, hidden ones with a choice of their own."""
    results = []
    for which, one in enumerate(shot.figures):
        results += _studio_person(one, shot.size, f"n{number}p{which}", parents, label)
    results.append({"type": "relation", "from_id": "n0p0", "to_id": "n0p0", "direction": "right"})
    kept = [result for result in results if boxes or result["type"] != "rectanglelabels"]
    return {
        "id": 101 + number,
        "annotations": [studio_annotation(kept, 900 + number)],
        "file_upload": f"{HASHES[number]}-{shot.name}",
        "drafts": [],
        "predictions": [],
        "data": {"image": f"/data/upload/7/{HASHES[number]}-{shot.name}"},
        "meta": {},
        "inner_id": number + 1,
        "total_annotations": 1,
        "cancelled_annotations": 0,
        "project": 7,
    }


def studio_annotation(results, number=900, **changes):
    fields = {"id": number, "completed_by": 1, "result": results, "was_cancelled": False, "ground_truth": False}
    return fields | {"created_at": "2025-05-02T13:40:45.998046Z", "lead_time": 17.2} | changes


def studio_result(number, kind, value, size, **fields):
    """One entry of a result; ``value`` in percent."""
    shown = {"original_width": size[1], "original_height": size[0], "image_rotation": 0, "value": value, "id": number}
    return shown | {"from_name": kind, "to_name": "image", "type": kind, "origin": "manual"} | fields


def percent(x, y, size):
    return {"x": 100 * x / size[1], "y": 100 * y / size[0]}


def studio_box(number, box, size, label="Person", **fields):
    extent = {"width": 100 * box[2] / size[1], "height": 100 * box[3] / size[0], "rotation": 0}
    value = percent(*box[:2], size) | extent | {"rectanglelabels": [label]}
    return studio_result(number, "rectanglelabels", value, size, **fields)


def studio_point(number, place, joint, size, **fields):
    value = percent(*place, size) | {"width": 0.4, "keypointlabels": [joint]}
    return studio_result(number, "keypointlabels", value, size, **fields)


def _studio_person(one, size, number, parents, label):
    """The keypoints first, as their order says nothing."""
    for joint, (x, y, flag) in reversed(one.joints.items()):
        owner = {"parentID": number} if parents else {}
        yield studio_point(f"{number}{joint}", (x, y), joint, size, **owner)
        if flag == 1:
            value = percent(x, y, size) | {"choices": ["Occluded"]}
            yield studio_result(f"{number}{joint}", "choices", value, size)
    yield studio_box(number, one.box, size, label)


def studio_coco(photos):
    """Label Studio's COCO export: boxes, and all keypoints of a photo in one annotation, whoever's they are."""
    annotations = []
    for number, shot in enumerate(photos):
        common = {"image_id": number, "ignore": 0, "iscrowd": 0}
        for one in shot.figures:
            area = one.box[2] * one.box[3]
            annotations.append({"id": len(annotations), "category_id": 0, "segmentation": [], "bbox": one.box} | common)
            annotations[-1]["area"] = area
        last = {joint: place for one in shot.figures for joint, place in one.joints.items()}
        merged = Figure({joint: (x, y, 2) for joint, (x, y, _) in last.items()})
        annotations.append({"id": len(annotations), "category_id": 1, "bbox": merged.box, "keypoints": merged.triplets})
        annotations[-1] |= {"image_id": number, "iscrowd": 0, "num_keypoints": len(last)}
    names = [f"images/{HASHES[number]}-{shot.name}" for number, shot in enumerate(photos)]
    return {
        "images": [_image(number, shot) | {"file_name": names[number]} for number, shot in enumerate(photos)],
        "categories": [
            {"id": 0, "name": "Person"},
            {"id": 1, "name": "default", "supercategory": "default", "keypoints": JOINTS, "skeleton": []},
        ],
        "annotations": annotations,
        "info": {"year": 2025, "version": "1.0", "description": "", "contributor": "Label Studio", "url": ""},
    }
