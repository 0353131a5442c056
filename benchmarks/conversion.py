"""Conversion: what records of photos cost, over reading the photos and drawing their masks; what processes add.

Annotations are read, and processes started, before the clock runs. Of several rounds the fastest counts: two processes
share two cores with whatever else runs, so a round that was disturbed says nothing.
"""

import contextlib
import io
import json
import shutil
import tempfile
import time
import warnings
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO

from bodyposenet.common.data.annotations.coco import read_annotations
from bodyposenet.common.data.annotations.person_filter import choose
from bodyposenet.common.data.conversion.conversion_work import ConversionWork
from bodyposenet.common.data.conversion.shard_plan import Options
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.worker_pool import WorkerPool
from bodyposenet.common.skeleton.skeleton import COCO_17
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DataFilteringParams, DatasetSpec
from bodyposenet.common.storage.location import locate

PHOTOS = 2000
ROUNDS = 7
ROWS = {
    "convert_rate": ("photos a second with masks, one process, over pycocotools reading and masking them", "≥ 0.6"),
    "convert_scaling": ("photos a second of two processes, over those of one", "≥ 1.7"),
}


def converting(data: Path) -> dict[str, float]:
    """All of ``ROWS``."""
    with tempfile.TemporaryDirectory() as folder:
        spec = repeated(data / "coco_sample", Path(folder))
        file = Path(spec.root_directory_path) / spec.train_data.annotation_root_dir_path
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(file))
        images = Path(spec.root_directory_path) / "images"
        masking, one, two = [], [], []
        with WorkerPool(1) as alone, WorkerPool(2) as pair:
            seconds_of(spec, pair)  # they import what they need
            for _ in range(ROUNDS):
                masking.append(seconds_of_masks(coco, images))
                one.append(seconds_of(spec, alone))
                two.append(seconds_of(spec, pair))
    return {"convert_rate": min(masking) / min(one), "convert_scaling": min(one) / min(two)}


def repeated(sample: Path, folder: Path, count: int = PHOTOS) -> DatasetSpec:
    """The sample's photos that get records, again and again under new numbers, as a dataset of so many."""
    (folder / "images").mkdir()
    images, people, number = [], [], 0
    photos = [pair for half in ("train", "val") for pair in used(sample / f"annotations/person_keypoints_{half}.json")]
    for photo, annotations in islice(cycle(photos), count):
        images.append(photo | {"id": len(images), "file_name": f"{len(images):06d}.jpg"})
        (folder / "images" / images[-1]["file_name"]).symlink_to(sample / "images" / photo["file_name"])
        for annotation in annotations:
            number += 1
            people.append(annotation | {"id": number, "image_id": images[-1]["id"]})
    categories = [{"id": 1, "name": "person", "num_joints": 17, "keypoints": list(COCO_17.joints)}]
    (folder / "people.json").write_text(
        json.dumps({"images": images, "annotations": people, "categories": categories}), encoding="utf-8"
    )
    half = {"images_root_dir_path": "images", "mask_root_dir_path": "masks", "annotation_root_dir_path": "people.json"}
    document = {"dataset": "coco", "root_directory_path": str(folder), "categories": categories}
    return parse_spec(document | {"train_data": half, "test_data": half}, DatasetSpec)


def used(file: Path) -> list[tuple[dict, list[dict]]]:
    """Photos of a file with somebody of interest, and their annotations."""
    coco = read_annotations(file)
    rows = np.unique(coco.annotations.photo_of[choose(coco, DataFilteringParams()).mains])
    wanted = set(coco.images.ids[rows].tolist())
    document = json.loads(file.read_text(encoding="utf-8"))
    people = {photo["id"]: [] for photo in document["images"]}
    for annotation in document["annotations"]:
        people[annotation["image_id"]].append(annotation)
    return [(photo, people[photo["id"]]) for photo in document["images"] if photo["id"] in wanted]


def seconds_of_masks(coco: COCO, images: Path) -> float:
    """Reading each photo's file and drawing its mask, as the reference does it."""
    begin = time.perf_counter()
    with warnings.catch_warnings():  # pycocotools 2.0.11's arrays predate NumPy 2's copy keyword
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        for number, photo in coco.imgs.items():
            (images / photo["file_name"]).read_bytes()
            size = (photo["height"], photo["width"])
            ignored, protected = np.zeros(size, bool), np.zeros(size, bool)
            for entry in coco.imgToAnns[number]:
                area = protected if entry["num_keypoints"] and not entry["iscrowd"] else ignored
                area |= coco.annToMask(entry).view(bool)
            ignored & ~protected
    return time.perf_counter() - begin


def seconds_of(spec: DatasetSpec, pool: WorkerPool) -> float:
    """Converting the photos, from the annotations in memory to shards and manifest on the disk."""
    source = DatasetSplit.read(spec, "train")
    shutil.rmtree(Path(spec.root_directory_path) / "masks", ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        options = Options(locate(Path(folder) / "train"), "train", 1, 4, generate_masks=True)
        assert ConversionWork(source, options, pool).run(pool, None).images >= PHOTOS
        return time.perf_counter() - begin
