"""Datasets of one annotation file, which a rule is to split: photos of eight cameras, a person in each."""

import cv2
from support.coco_files import annotation, document, image, write_annotations
from support.turned_photos import draw_photo

SIZE = (120, 160)


def names_for(count):
    return [f"cam{number % 8}/{number:03d}.jpg" for number in range(count)]


def write_set(root, names, *, pixels=draw_photo, text_ids=False):
    """One annotation file of photos with a person each."""
    images, people = [], []
    for number, name in enumerate(names, 1):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / "images" / name), pixels(number, SIZE))
        own = f"photo {number}" if text_ids else number
        images.append(image(number, size=SIZE, name=name) | {"id": own})
        people.append(annotation(number, own, (5, 5, 60, 80)))
    write_annotations(root / "annotations/people.json", document(images, people))
    return root
