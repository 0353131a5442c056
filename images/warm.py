"""Warm: compiles, while an image is built, what numba would compile in every task of a pipeline: half a minute each.

    NUMBA_CACHE_DIR=... python warm.py

Draws a few people, converts them, makes one batch of training data with everything that varies in it, and decodes
perfect maps of the held-out ones. The code is made for ``NUMBA_CPU_NAME``, not for the processor at hand, and is found
again wherever that is set likewise.
"""

import tempfile
from pathlib import Path

import cv2
import numpy as np

from bodyposenet.common.data.batches import make_batch
from bodyposenet.common.data.bitmaps import read_bitmap
from bodyposenet.common.data.convert import convert_dataset
from bodyposenet.common.data.photo_set import dataset_spec_of, gather
from bodyposenet.common.evaluate.ceiling import ceiling_ap
from bodyposenet.common.model.plan import make_plan
from bodyposenet.common.skeleton import COCO_17
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.pipelines.specs import default

COLOURS = {"brightness_max": 0.1, "contrast_max": 0.1, "saturation_max": 0.1, "hue_deg_max": 5.0}


def warm(folder: Path) -> None:
    """Call what tasks call, on as little as makes a batch."""
    photos = gather("", folder / "photos", train=4, val=2)
    dataset = dataset_spec_of(photos, default("dataset"))
    convert_dataset(dataset, folder / "records", mode="train", generate_masks=True)
    draw_batch(dataset, folder)
    ceiling_ap(dataset, parse_spec(default("inference"), InferenceSpec), COCO_17)
    read_bitmap(cv2.imencode(".png", np.eye(8, dtype=np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])[1].tobytes())


def draw_batch(dataset: DatasetSpec, folder: Path) -> None:
    """Make the training data of one step."""
    (folder / "dataset.json").write_text(dataset.model_dump_json(by_alias=True), encoding="utf-8")
    settings = default("train")
    loader = settings["dataloader"]
    loader["batch_size"] = 2
    loader["augmentation_config"]["color_aug_params"] = COLOURS
    loader["dataset_config"] = {
        "train_records_folder_path": str(folder),
        "train_records_path": ["records"],
        "dataset_specs": {dataset.dataset: str(folder / "dataset.json")},
    }
    plan = make_plan(parse_spec(settings, TrainSpec))
    make_batch(plan.source, plan.drawing, range(2), 0)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        warm(Path(temporary))
