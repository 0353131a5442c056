"""Reconvert: what 1 % more photos cost, where a set is there already, over converting all of them from nothing.

The linear part is all there is: an unchanged photo costs its line in the listing and its part of the annotations and of
the manifest. So a few thousand photos stand in for 100,000, and twice as many show that the ratio stays.
"""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import conversion
from bodyposenet.common.data.conversion.conversion_work import ConversionWork
from bodyposenet.common.data.conversion.shard_plan import Options
from bodyposenet.common.data.conversion.split import DatasetSplit
from bodyposenet.common.data.conversion.worker_pool import WorkerPool
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.storage.location import locate

PHOTOS = 2000
SHARE = 100  # one photo of so many is new
ROUNDS = 2
ROWS = {
    "reconvert": ("seconds for 1 % more photos, over those for all before; annotations in memory", "≤ 0.05"),
    "reconvert_twice": (f"the same of {2 * PHOTOS:,} photos in place of {PHOTOS:,}", "≤ 0.05"),
    "reconvert_reading": ("the same with the time to read the annotations, of 5.7 people a photo, on both sides", ""),
    "reconvert_fixed": ("the same where no photo is new", ""),
}


def measure() -> dict[str, float]:
    """All of ``ROWS``."""
    data = Path(os.environ["BODYPOSENET_TEST_DATA"]).resolve()
    once, twice = measure_photos(data, PHOTOS), measure_photos(data, 2 * PHOTOS)
    return once | {"reconvert_twice": twice["reconvert"]}


def measure_photos(data: Path, photos: int) -> dict[str, float]:
    """The ratios of a dataset of so many photos; of several rounds the fastest counts."""
    with tempfile.TemporaryDirectory() as folder, WorkerPool(1) as pool:
        spec = conversion.repeated(data / "coco_sample", Path(folder), photos)
        file = Path(folder) / spec.train_data.annotation_root_dir_path
        whole = json.loads(file.read_text(encoding="utf-8"))
        before = leave_out(whole, lambda number: number % SHARE == 0)
        output = Path(folder) / "out"
        seconds: dict[str, list[float]] = {"reading": [], "whole": [], "more": [], "none": []}
        for _ in range(ROUNDS):
            shutil.rmtree(output, ignore_errors=True)
            file.write_text(json.dumps(before), encoding="utf-8")
            reading, everything = convert(spec, output, pool)
            file.write_text(json.dumps(whole), encoding="utf-8")
            _, more = convert(spec, output, pool)
            _, none = convert(spec, output, pool)
            for name, value in zip(seconds, (reading, everything, more, none), strict=True):
                seconds[name].append(value)
    reading, everything, more, none = (min(seconds[name]) for name in seconds)
    return {
        "reconvert": more / everything,
        "reconvert_reading": (reading + more) / (reading + everything),
        "reconvert_fixed": none / everything,
    }


def leave_out(document: dict, new: Callable[[int], bool]) -> dict:
    """A COCO document without the photos that are new."""
    images = [image for image in document["images"] if not new(image["id"])]
    people = [person for person in document["annotations"] if not new(person["image_id"])]
    return document | {"images": images, "annotations": people}


def convert(spec: DatasetSpec, output: Path, pool: WorkerPool) -> tuple[float, float]:
    """Convert; returns the seconds to read the annotations, and those from there to shards and manifest on the disk."""
    begin = time.perf_counter()
    source = DatasetSplit.read(spec, "train")
    read = time.perf_counter()
    ConversionWork(source, Options(locate(output / "train"), "train", 1, 16), pool).run(pool, None)
    return read - begin, time.perf_counter() - read
