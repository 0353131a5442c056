"""Shipped specs: every spec file of the package and of the documents, by the kind that it is of."""

from pathlib import Path

import yaml
from support.spec_files import FILES

ROOT = Path(__file__).parents[2]
PIPELINES = {
    "train.yaml": "train", "train_people.yaml": "train", "retrain.yaml": "train", "retrain_people.yaml": "train",
    "inference.yaml": "infer", "inference_people.yaml": "infer", "prune.yaml": "prune", "prune_people.yaml": "prune",
    "dataset.yaml": "dataset", "deploy.yaml": "deploy",
}  # fmt: skip
USERS = {"train.yaml": "train", "infer.yaml": "infer", "prune.yaml": "prune", "joints.json": "pose",
         "coco.json": "dataset"}  # fmt: skip
EXAMPLES = {
    "train.yaml": "train", "retrain.yaml": "train", "infer.yaml": "infer", "coco_spec.json": "dataset",
    "creatures/train.yaml": "train", "creatures/infer.yaml": "infer", "creatures/dataset.json": "dataset",
    "creatures/pose_config.json": "pose", "poses/person_14.json": "pose", "poses/hand_21.json": "pose",
}  # fmt: skip
RECORDS = {"train_records_folder_path": "data", "train_records_path": ["train"]}


def list_specs():
    """Name, kind and content of each, those of pipelines with what these fill in."""
    for name, kind in PIPELINES.items():
        data = yaml.safe_load((ROOT / "pipelines/specs" / name).read_text())
        yield f"pipelines/{name}", kind, _fill(kind, data)
    for name, kind in EXAMPLES.items():
        yield f"example/{name}", kind, yaml.safe_load((ROOT / "docs/example" / name).read_text())
    for name, kind in USERS.items():
        yield f"users/{name}", kind, yaml.safe_load(FILES[name])


def _fill(kind, data):
    """What a pipeline fills in: where records and photos are."""
    if kind == "train":
        return {**data, "dataloader": {**data["dataloader"], "dataset_config": RECORDS}}
    return yaml.safe_load(FILES["coco.json"]) | data if kind == "dataset" else data
