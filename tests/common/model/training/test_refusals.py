"""Training refused: what cannot fit is told before TensorFlow starts; and what a dry run tells."""

import json
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from support.drawn_records import convert_drawn, records_of
from support.tiny_training import tiny_spec

from bodyposenet.common.cli.main import main
from bodyposenet.common.model.network.bpnet import build_model
from bodyposenet.common.model.training.dry_run import build, memory_text
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.model.training.precision import choose_precision, measure_precision
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.train import TrainSpec

REFUSED = """
import json, sys
from click.testing import CliRunner
from bodyposenet.common.cli.main import main
said = {}
for name in sys.argv[1:]:
    result = CliRunner().invoke(main, ["train", "-e", f"{name}.yaml", "-r", f"results/{name}"])
    said[name] = [result.exit_code, result.stderr]
json.dump([said, sorted({"tensorflow", "keras"} & sys.modules.keys())], sys.stdout)
"""
MEASURED = """
import json, sys
from pathlib import Path
from support.memory import forget_peak, peak_bytes
from support.tiny_training import Dots
from bodyposenet.common.model.training.plan import make_plan
from bodyposenet.common.spec.base import load_spec
from bodyposenet.common.spec.train import TrainSpec
from bodyposenet.common.model.training.dry_run import build
from bodyposenet.common.model.training.train import train
forget_peak()
found = []
for path in sys.argv[1:]:  # the smaller first: a peak stays
    spec = load_spec(path, TrainSpec)
    size = spec.dataloader.image_config.image_dims.size
    source = Dots(2 * spec.dataloader.batch_size, size=size)
    train(spec, Path(path).parent / Path(path).stem, source=source)
    found.append([peak_bytes(), build(make_plan(spec, source))[1].total])
json.dump(found, sys.stdout)
"""


def merged(data, changes):
    for key, value in changes.items():
        data[key] = merged(dict(data[key]), value) if isinstance(value, dict) and value and data[key] else value
    return data


def loader(**changes):
    return {"dataloader": changes}


WRONG = {
    "size_no_multiple_of_8": (
        loader(image_config={"image_dims": {"height": 60}}),
        "dataloader.pose_config.target_shape: should be image_dims divided by 8: 60x64 needs [7.5, 8]",
    ),
    "labels_of_another_size": (
        loader(pose_config={"target_shape": [8, 9]}),
        "dataloader.pose_config.target_shape: should be image_dims divided by 8: 64x64 needs [8, 8]",
    ),
    "channels": ({"model": {"heat_channels": 18}}, "do not fit skeleton 'bpnet_18_joints', which needs 19 and 38"),
    "missing_shard": (
        loader(dataset_config={"train_records_path": ["train-fold-009-of-010"]}),
        "train-fold-009-of-010",
    ),
    "missing_held_out_shard": (loader(dataset_config={"val_records_path": ["held-out"]}), "held-out"),
    "no_dataset_spec": (loader(dataset_config={"dataset_specs": {}}), "which has no spec; add `"),
    "strange_joints": (
        loader(pose_config={"pose_config_path": "hand.json"}) | {"model": {"heat_channels": 3, "paf_channels": 2}},
        "are none of the network's (palm, tip",
    ),
    "joints_spelt_otherwise": (
        loader(pose_config={"pose_config_path": "spelt.json"}) | {"model": {"heat_channels": 3, "paf_channels": 2}},
        "its joint 'left_wrist' is called 'Left Wrist' in the pose config: no label would show it",
    ),
    "batch_larger_than_data": (loader(batch_size=1000), "dataloader.batch_size: "),
    "graph_without_a_file": (
        {"load_graph": True, "pretrained_weights": "pruned.keras"},
        "pretrained_weights: there is no such file: pruned.keras; check the path",
    ),
    "weights_that_are_not_there": ({"pretrained_weights": "old.hdf5"}, "there is no such file: old.hdf5"),
    "weights_that_are_not_shipped": ({"pretrained_weights": "pretrained:cats"}, "no weights named 'pretrained:cats'"),
    "fine_tuning_without_a_checkpoint": (
        {"finetuning_config": {"is_finetune_exp": True, "checkpoint_path": "model.epoch-3.keras"}},
        "model.epoch-3.keras: there is no such checkpoint",
    ),
    "fine_tuning_from_tao": (
        {"finetuning_config": {"is_finetune_exp": True, "checkpoint_path": "model.epoch-3.ckzip"}},
        "give the .hdf5 beside it as pretrained_weights, without finetuning_config",
    ),
    "missing_inference_spec": ({"inference_spec": "infer.yaml"}, "infer.yaml"),
}
HAND = {
    "pose_config_type": "hand",
    "categories": [{"name": "person", "num_joints": 2, "keypoints": ["palm", "tip"], "skeleton": [[1, 2]]}],
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with records and a train spec that fits them, and others that do not."""
    folder = tmp_path_factory.mktemp("workplace")
    convert_drawn(folder)
    (folder / "hand.json").write_text(json.dumps(HAND))
    (folder / "spelt.json").write_text(json.dumps(HAND).replace("palm", "nose").replace("tip", "Left Wrist"))
    base = tiny_spec().model_dump(mode="json", by_alias=True)
    base["dataloader"] |= {"dataset_config": records_of(folder), "batch_size": 2}
    for name, (changes, _) in {"right": ({}, ""), **WRONG}.items():
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(merged(json.loads(json.dumps(base)), changes)))
    return folder


@pytest.fixture(scope="module")
def refused(workplace):
    """What each wrong spec is told, by its name; and which of TensorFlow and Keras were imported for that."""
    command = [sys.executable, "-c", REFUSED, *WRONG]
    run = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.parametrize("name", WRONG)
def test_a_spec_that_cannot_fit_is_refused_with_its_reason(refused, name):
    code, said = refused[0][name]
    assert code == 2
    assert WRONG[name][1] in said
    assert "Traceback" not in said


def test_no_refusal_needs_tensorflow(refused):
    assert refused[1] == []


def test_nothing_is_trained_where_a_spec_is_refused(refused, workplace):
    left = {path.name for path in workplace.glob("results/*/*")}
    assert left <= {"status.json"}


def test_a_dry_run_tells_what_the_training_would_be_and_does_nothing(workplace, monkeypatch, tmp_path):
    monkeypatch.chdir(workplace)
    before = sorted(workplace.rglob("*"))
    result = CliRunner().invoke(main, ["train", "-e", "right.yaml", "--dry-run"], catch_exceptions=False)
    assert result.exit_code == 0
    assert sorted(workplace.rglob("*")) == before
    (tmp_path / "resolved.yaml").write_text(result.stdout)
    spec = load_spec(workplace / "right.yaml", TrainSpec)
    assert load_spec(tmp_path / "resolved.yaml", TrainSpec) == spec

    figures = dict(line[2:].split(": ", 1) for line in result.stdout.splitlines() if line.startswith("# "))
    samples = json.loads((workplace / "records/manifest.json").read_text())["sets"]["train"]["samples"]
    assert figures["samples"] == f"{samples}, 4 photos held out for validation"
    assert figures["steps"] == f"{samples // 2} an epoch of 2 samples each, 2 epochs: {2 * (samples // 2)}"
    assert figures["parameters"] == f"{build_model(spec.model, BODYPOSENET_18).count_params():,}"
    assert figures["precision"] == "float32: 16 bits are not asked for"
    assert "GB (TensorFlow itself 0.90, maps of a batch " in figures["memory"]


def test_a_dry_run_tells_which_precision_amp_would_take_and_why(workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    command = ["train", "-e", "right.yaml", "--dry-run", "--use_amp"]
    said = CliRunner().invoke(main, command, catch_exceptions=False).stdout.splitlines()
    assert "mixed_precision: true" in said
    assert f"# precision: {choose_precision(True, measure_precision())}" in said


def test_photos_that_are_kept_count_in_the_memory_that_a_dry_run_tells(workplace, tmp_path):
    told = []
    for megabytes in (0, 4000):
        spec = yaml.safe_load((workplace / "right.yaml").read_text())
        (tmp_path / "kept.yaml").write_text(yaml.safe_dump(merged(spec, loader(cache_megabytes=megabytes))))
        memory = build(make_plan(load_spec(tmp_path / "kept.yaml", TrainSpec)))[1]
        told.append((memory.total, "photos that are kept 4.00" in memory_text(memory)))
    assert told == [(told[0][0], False), (told[0][0] + 4e9, True)]


@pytest.mark.slow
@pytest.mark.heavy
def test_the_memory_estimate_is_right_to_a_third(tmp_path, request):
    files = []
    for width, stages, size, batch in ((0.0625, 1, 64, 4), (0.125, 2, 224, 8)):
        model = {"stages": stages, "backbone_attributes": {"width_multiplier": width}}
        dims, grid = {"image_dims": {"height": size, "width": size}}, {"target_shape": [size // 8, size // 8]}
        spec = tiny_spec(model=model, num_epoch=1).model_dump(mode="json", by_alias=True)
        files.append(tmp_path / f"{size}.yaml")
        files[-1].write_text(
            yaml.safe_dump(merged(spec, loader(batch_size=batch, image_config=dims, pose_config=grid)))
        )
    command = [sys.executable, "-c", MEASURED, *map(str, files)]
    run = subprocess.run(command, cwd=request.path.parents[3], capture_output=True, text=True, check=True)
    for measured, estimated in json.loads(run.stdout):
        assert measured == pytest.approx(estimated, rel=1 / 3)
