"""Annotations: what reading, checking and filtering COCO's train2017 costs, over parsing its JSON alone."""

import gc
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np

ROUNDS = 7
ROWS = {
    "convert_json": ("read, check and filter the annotations of train2017, over json.load of the text", "≤ 2.0"),
    "convert_json_memory": ("peak memory of it, over that of json.load", "≤ 2.5"),
}
PEAK = """
import re, sys
from pathlib import Path
from benchmarks.annotations import filtered, parsed
import bodyposenet.common.data.annotations.person_filter, bodyposenet.common.spec.dataset
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
Path("/proc/self/clear_refs").write_text("5")  # a process starts with the peak of its parent
before = peak()
kept = {"filtered": filtered, "parsed": parsed}[sys.argv[1]](sys.argv[2])
print(peak() - before)
"""


def reading(data: Path) -> dict[str, float]:
    """All of ``ROWS``."""
    text = gzip.decompress((data / "coco_annotations/person_keypoints_train2017.json.gz").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.json"
        file.write_bytes(text)
        ratios = [_seconds(filtered, file) / _seconds(parsed, file) for _ in range(ROUNDS)]
        memory = _peak("filtered", file) / _peak("parsed", file)
    return {"convert_json": median(ratios), "convert_json_memory": memory}


def parsed(file: str | Path) -> object:
    """The document."""
    with open(file, encoding="utf-8") as text:
        return json.load(text)


def filtered(file: str | Path) -> object:
    """Photos with somebody of interest, their people, and who of them is of interest."""
    from bodyposenet.common.data.annotations.coco import read_annotations
    from bodyposenet.common.data.annotations.person_filter import choose
    from bodyposenet.common.spec.dataset import DataFilteringParams

    coco = read_annotations(file)
    mains = choose(coco, DataFilteringParams()).mains
    first = coco.annotations.first
    numbers = np.unique(coco.annotations.photo_of[mains]).tolist()
    return [(coco.photos[n], np.flatnonzero(mains[first[n] : first[n + 1]]).tolist()) for n in numbers]


def _seconds(read: Callable[[Path], object], file: Path) -> float:
    gc.collect()
    begin = time.perf_counter()
    kept = read(file)
    seconds = time.perf_counter() - begin
    del kept
    return seconds


def _peak(what: str, file: Path) -> int:
    """Kilobytes that a process of its own needs at most, beyond those for its code."""
    done = subprocess.run([sys.executable, "-c", PEAK, what, str(file)], capture_output=True, text=True, check=True)
    return int(done.stdout)
