"""Specs by which a small network goes through every verb in seconds."""

import json

from support.spec_files import INFERENCE, TRAIN, changed

from bodyposenet.common.skeleton.skeleton import COCO_17

SMALL = (
    ("checkpoint_n_epoch: 5", "checkpoint_n_epoch: 1"),
    ("num_epoch: 100", "num_epoch: 1"),
    ("height: 224", "height: 64"),
    ("width: 320", "width: 64"),
    ("[28, 40]", "[8, 8]"),
    ("batch_size: 10", "batch_size: 4"),
    ("pose_config_path: /workspace/specs/joints.json", "pose_config_path: null"),
    ("coco: /workspace/specs/coco.json", "drawn: /workspace/coco.json"),
    ("use_bias: False", "use_bias: False\n    width_multiplier: 0.0625"),
    ("stages: 3", "stages: 1"),
    ("[val-fold-000-of-001]", "[]"),
    ("WeightedMomentumOptimizer", "AdamW"),
    ("  grad_weights_dict: null\n  momentum: 0.9\n", ""),
)


def write_specs(folder):
    """Dataset, train, retrain and inference specs, whose paths begin with /workspace."""
    person = {"name": "person", "num_joints": 17, "keypoints": COCO_17.joints}
    part = {"images_root_dir_path": "images", "mask_root_dir_path": "masks"}
    spec = {"dataset": "drawn", "root_directory_path": "/workspace/drawn", "categories": [person]}
    for half, name in (("train_data", "train"), ("test_data", "val")):
        spec[half] = part | {"annotation_root_dir_path": f"annotations/person_keypoints_{name}.json"}
    (folder / "coco.json").write_text(json.dumps(spec))
    train = changed(TRAIN, *SMALL)
    (folder / "train.yaml").write_text(train)
    pruned = ("pretrained_weights: null", "pretrained_weights: /workspace/pruned/small.tlt")
    (folder / "retrain.yaml").write_text(changed(train, ("load_graph: False", "load_graph: True"), pruned))
    (folder / "infer.yaml").write_text(changed(INFERENCE, ("[288, 384]", "[64, 64]")))
