"""The example of docs/custom-skeleton.md: foxes and cranes, drawn in a folder, and what is known of them."""

import json
import runpy
import shutil
from pathlib import Path

import numpy as np
import yaml

from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.train import TrainSpec

PAGE = Path(__file__).parents[2] / "docs" / "custom-skeleton.md"
EXAMPLE = PAGE.parent / "example" / "creatures"
UNION = ("nose", "tail", "LFore", "RFore", "LHind", "RHind")  # joints of the dataset
JOINTS = ("back", *UNION)  # joints of the network
SIGMAS = {"nose": 0.05, "tail": 0.05, "LFore": 0.08, "RFore": 0.08, "LHind": 0.08, "RHind": 0.08}
SEEN, HIDDEN, ABSENT = 1, 2, 0
PICTURES = {"train": 64, "val": 8}
HALVES = {"train": "train_data", "val": "test_data"}


def drawn(folder):
    """The example's files and pictures in a folder."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    draw = runpy.run_path(str(folder / "draw.py"))["draw_set"]
    for name, count in PICTURES.items():
        draw(folder / "creatures", name, count, 0)
    return folder


def labels(folder, half):
    """The annotation file of a half; each annotation gets ``joints``: x, y and flag by name."""
    content = json.loads((folder / "creatures" / "annotations" / f"creatures_{half}.json").read_text())
    names = {entry["id"]: entry["keypoints"] for entry in content["categories"]}
    for each in content["annotations"]:
        triplets = np.reshape(each["keypoints"], (-1, 3)).tolist()
        each["joints"] = dict(zip(names[each["category_id"]], triplets, strict=True))
    return content


def dataset_of(folder, **changes):
    """The dataset spec of a folder with the example."""
    data = json.loads((EXAMPLE / "dataset.json").read_text()) | {"root_directory_path": str(folder / "creatures")}
    return parse_spec(data | changes, DatasetSpec)


def train_spec_of(folder, dataset, **augmentation):
    """The example's train spec for the records in a folder."""
    (folder / "used.json").write_text(dataset.model_dump_json())
    data = yaml.safe_load((EXAMPLE / "train.yaml").read_text())
    data["dataloader"]["dataset_config"] |= {
        "train_records_folder_path": str(folder / "data"),
        "dataset_specs": {"creatures": str(folder / "used.json")},
    }
    data["dataloader"]["augmentation_config"]["spatial_aug_params"] = augmentation
    return parse_spec(data, TrainSpec)
