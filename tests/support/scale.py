"""Datasets of many photos that are few files."""

import os
from pathlib import Path

import cv2
import numpy as np
from support.coco_files import annotation, dataset_spec, document, image, write_annotations

from bodyposenet.common.data.conversion.convert import convert_dataset

SIZE = (100, 100)


def convert_many(folder, count):
    """Convert so many photos, all names of one file of 30 kB."""
    root = Path(folder) / "data"
    pixels = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
    (root / "images").mkdir(parents=True)
    cv2.imwrite(str(root / "images/one.png"), pixels)
    for number in range(count):
        os.link(root / "images/one.png", root / f"images/{number}.png")
    images = [image(number, size=SIZE, name=f"{number}.png") for number in range(count)]
    people = [annotation(number, number, (5, 5, 40, 60)) for number in range(count)]
    write_annotations(root / "annotations/people.json", document(images, people))
    del images, people
    convert_dataset(dataset_spec(root), Path(folder) / "out/train", processes=1)
