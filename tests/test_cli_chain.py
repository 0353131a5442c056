"""Command line: a small network goes through every verb, with the flags of TAO's scripts."""

import json

import pytest
from click.testing import CliRunner
from support.spec_files import INFERENCE, TRAIN, changed

from bodyposenet.common.cli import main
from bodyposenet.common.skeleton import COCO_17

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


def bpnet(command):
    """The result of a command, which must end well."""
    result = CliRunner().invoke(main, command.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    return result


def write_specs(folder):
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


@pytest.mark.slow
def test_a_network_goes_through_every_verb(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_specs(tmp_path)
    moved = f"--path-map /workspace={tmp_path}"
    bpnet("synthesize -o drawn --train 8 --val 3 --size 120,160")
    bpnet(f"dataset_convert -d coco.json -o data/train -m train --generate_masks {moved}")
    bpnet(f"train -e train.yaml -r results/first -k KEY --gpus 1 -l INFO {moved}")
    assert (tmp_path / "results/first/bpnet_model.keras").exists()

    said = bpnet("prune -m results/first/bpnet_model.tlt -o pruned/small.tlt -eq union -pth 1.5 -pg 2 -nf 2")
    assert "note: results/first/bpnet_model.tlt is not there; taking results/first/bpnet_model.keras" in said.stderr
    after, before = (int(word.replace(",", "")) for word in said.stdout.split() if word.replace(",", "").isdigit())
    assert after < before / 2

    bpnet(f"train -e retrain.yaml -r results/again -k KEY {moved}")
    bpnet("export -m results/again/bpnet_model.tlt -o small.etlt -d 64,64,3 -e retrain.yaml -t tfonnx -k KEY")
    said = bpnet(f"evaluate -i infer.yaml -d coco.json -m small.etlt -r results/eval -k KEY {moved}").stdout
    assert "ceiling AP" in said
    assert (tmp_path / "results/eval/results.csv").exists()
    images = "--input_type dir --input drawn/images --results_dir results/infer --dump_visualizations"
    bpnet(f"inference --inference_spec infer.yaml --model_filename small.etlt {images} -k KEY")
    assert len(json.loads((tmp_path / "results/infer/detections.json").read_text())["images"]) == 11
    for folder in ("first", "again", "eval", "infer"):
        last = (tmp_path / "results" / folder / "status.json").read_text().splitlines()[-1]
        assert json.loads(last)["status"] == "SUCCESS"
