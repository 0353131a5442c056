"""Annotations as tools lay them out in files and folders, of the photos of ``support.exports``."""

import cv2
import numpy as np
from support.coco_files import JOINTS

FLIPS = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def pixels(shot):
    """A photo's PNG file, the same in every export."""
    height, width = shot.size
    drawn = np.random.default_rng(height).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".png", drawn)[1].tobytes()


def as_bytes(content):
    """A file's bytes, of bytes or a text."""
    return content if isinstance(content, bytes) else content.encode()


def write_files(root, files):
    """Write texts and bytes at their paths below a folder."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(as_bytes(content))
    return root


def yolo_line(one, size, *, numbers=3, label=0):
    """Somebody as a line of a YOLO-pose label file."""
    height, width = size
    x, y, wide, high = one.box
    values = [(x + wide / 2) / width, (y + high / 2) / height, wide / width, high / height]
    for joint in JOINTS:
        across, down, flag = one.joints.get(joint, (0, 0, 0))
        values += [across / width, down / height, flag][:numbers]
    return " ".join([str(label), *(f"{value:.9f}".rstrip("0").rstrip(".") for value in values)])


def yolo_labels(photos, **how):
    """The label files of photos, by the photos' names without endings."""
    return {
        shot.name.rpartition(".")[0]: "".join(f"{yolo_line(one, shot.size, **how)}\n" for one in shot.figures)
        for shot in photos
    }


def people_in(coco):
    """The people of an annotation set by their photo's name without folders: labelled joints and boxes, in order."""
    return {
        photo.file_name.rpartition("/")[2]: [
            (person.keypoints * (person.keypoints[:, 2:] > 0), person.box) for person in photo.people
        ]
        for photo in coco.photos
    }


def assert_same_people(found, expected, *, flags=True, boxes=True, within=1e-2):
    """The same photos with the same people, to a hundredth of a pixel or as ``within`` says."""
    assert found.keys() == expected.keys()
    kept = slice(None) if flags else slice(2)
    for name, people in found.items():
        assert len(people) == len(expected[name]), name
        for (joints, box), (other_joints, other_box) in zip(people, expected[name], strict=True):
            np.testing.assert_allclose(joints[:, kept], other_joints[:, kept], atol=within)
            if boxes:
                np.testing.assert_allclose(box, other_box, atol=within)


def cvat_meta(*, extra="", labels=("car",)):
    """The head of CVAT's XML: labels, of which one is a skeleton and its joints."""
    plain = "".join(f"<label><name>{name}</name><attributes></attributes></label>\n" for name in labels)
    joints = "".join(
        f"<label><name>{joint}</name><type>points</type><attributes></attributes><parent>person</parent></label>\n"
        for joint in JOINTS
    )
    person = "<label><name>person</name><type>skeleton</type><attributes></attributes><svg>&lt;line&gt;</svg></label>\n"
    return f"<version>1.1</version>\n<meta><task><labels>\n{plain}{person}{joints}</labels>{extra}</task></meta>\n"


def cvat_points(one, *, turned=False):
    """The joints of somebody as CVAT writes them, outside ones where they were left."""
    names = JOINTS[::-1] if turned else JOINTS
    told = [(joint, *one.joints.get(joint, (7.5, 7.5, 0))) for joint in names]
    return "".join(
        f'<points label="{joint}" source="manual" outside="{int(flag == 0)}" occluded="{int(flag == 1)}" '
        f'points="{x:.2f},{y:.2f}">\n</points>\n'
        for joint, x, y, flag in told
    )


def cvat_xml(photos, *, meta=None, **how):
    """ "CVAT for images 1.1" of photos, after https://docs.cvat.ai/docs/other/xml_format."""
    images = ""
    for number, shot in enumerate(photos):
        height, width = shot.size
        images += f'<image id="{number}" name="{shot.name}" width="{width}" height="{height}">\n'
        for one in shot.figures:
            images += f'<skeleton label="person" source="manual" z_order="0">\n{cvat_points(one, **how)}</skeleton>\n'
        images += "</image>\n"
    head = cvat_meta() if meta is None else meta
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n{head}{images}</annotations>\n'


def labelme(shot, *, grouped=True, boxes=True, path=None):
    """A photo's file as LabelMe writes it, after https://github.com/wkentaro/labelme and what its examples show."""
    shapes = []
    for number, one in enumerate(shot.figures, 1):
        group = number if grouped else None
        x, y, width, height = one.box
        around = [[x + width, y + height], [x, y]]  # whichever corner was clicked first
        shapes += [labelme_shape("person", "rectangle", around, group)] if boxes else []
        for joint, (across, down, flag) in sorted(one.joints.items()):
            shapes.append(labelme_shape(joint, "point", [[across, down]], group, occluded=flag == 1))
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": path or shot.name,
        "imageData": None,
        "imageHeight": shot.size[0],
        "imageWidth": shot.size[1],
    }


def labelme_shape(label, kind, points, group, *, occluded=False):
    """One shape."""
    told = {"label": label, "points": points, "group_id": group, "description": "", "shape_type": kind}
    return told | {"flags": {"occluded": occluded}, "mask": None}
