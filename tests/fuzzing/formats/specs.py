"""Specs: files of settings, and the skeletons and rules that they name."""

import json

import yaml
from fuzzing.parser import ROOT, Parser, json_files, text_files
from support.spec_files import DATASET, INFERENCE, POSE, PRUNE, TRAIN

PRIOR_JOINTS = ("a", "b", "c")


def dataset_specs(folder):
    spec = json.loads(DATASET)
    split = spec | {"split": {"share": 0.3, "group": "folder"}}
    split["train_data"] = spec["train_data"] | {"annotation_root_dir_path": "all.json"}
    split["test_data"] = split["train_data"]
    return json_files(spec, split)


def train_specs(folder):
    more = yaml.safe_load(TRAIN) | {"early_stopping": {"patience": 3}, "mixed_precision": "auto"}
    return [TRAIN.encode(), *json_files(more)]


def inference_specs(folder):
    scales = "multi_scale_inference: True\nscales: [0.5, 1.0]\n"
    return text_files(INFERENCE, INFERENCE.replace("multi_scale_inference: False\nscales: null\n", scales))


def prune_specs(folder):
    return text_files(PRUNE, "target_flops: 0.5\ncriterion: taylor\n")


def deploy_specs(folder):
    return text_files("calibration_images: 20\nmethod: minmax\n", "keep_float: [stage1_*]\nmax_int8_drop: 0.1\n")


def pose_configs(folder):
    (folder / "prior.json").write_bytes(priors(folder)[0])
    person = json.loads(POSE)["categories"][0]
    more = {"pose_config_type": "more", "categories": [person], "flip_pairs": [["left_shoulder", "right_shoulder"]]}
    return [POSE.encode(), *json_files(more)]


def all_specs(folder):
    texts = [TRAIN, INFERENCE, PRUNE, POSE, DATASET]
    return text_files(*texts) + [path.read_bytes() for path in sorted((ROOT / "pipelines/specs").glob("*.yaml"))]


def _spec(kind):
    def parse(path):
        from bodyposenet.common.spec import dataset, deploy, inference, pose_config, prune, train
        from bodyposenet.common.spec.base import load_spec
        from bodyposenet.common.spec.kinds import describe, notes

        models = {
            "train": train.TrainSpec, "dataset": dataset.DatasetSpec, "inference": inference.InferenceSpec,
            "prune": prune.PruneSpec, "pose": pose_config.PoseConfig, "deploy": deploy.DeploySpec,
        }  # fmt: skip
        spec = load_spec(path, models[kind])
        describe(spec)
        notes(spec)
        if kind == "dataset":
            spec.locate_half("test")
            if spec.split is not None:
                spec.split.holds_out("a/b.jpg")

    return parse


def _skeleton(path):
    from bodyposenet.common.spec.pose_config import load_skeleton

    load_skeleton(path)


def _check_spec(path):
    from click.testing import CliRunner

    from bodyposenet.common.cli.main import main

    done = CliRunner().invoke(main, ["spec", "check", str(path)], catch_exceptions=False)
    assert done.exit_code in (0, 2), done.output
    assert done.output.isprintable() or set(done.output) - {"\n", "\t"} <= set(filter(str.isprintable, done.output))


def _settings(path):
    from bodyposenet.common.spec.base import validate
    from bodyposenet.common.spec.document import parse_document
    from bodyposenet.common.spec.inference import InferenceSpec

    validate(parse_document(path.read_bytes().decode(errors="surrogateescape"), "the form"), InferenceSpec)


def priors(folder):
    below = {"means": [[], [0.5], [0.1, 0.2]], "spreads": [[], [1.5], [1.1, 1.2]]}
    return json_files(below | {"joints": PRIOR_JOINTS})


def _prior(path):
    from bodyposenet.common.skeleton.prior import load_prior

    load_prior(path.read_bytes(), PRIOR_JOINTS, where=str(path))


def patterns(folder):
    return text_files("folder", "file", r"^(\d+)_", "(a+)+$", "[a-z]{1,3}(?P<x>.)", "*")


def _split_rule(path):
    from bodyposenet.common.spec.base import parse_spec
    from bodyposenet.common.spec.split import SplitRule

    text = path.read_bytes().decode(errors="surrogateescape")
    rule = parse_spec({"share": 0.5, "group": text}, SplitRule)
    for name in ("a" * 30 + "!", "folder/0001_b.jpg"):
        rule.holds_out(name)


PARSERS = (
    Parser("dataset-spec", dataset_specs, _spec("dataset"), "coco.json", "json"),
    Parser("train-spec", train_specs, _spec("train"), "train.yaml", "yaml"),
    Parser("inference-spec", inference_specs, _spec("inference"), "infer.yaml", "yaml"),
    Parser("prune-spec", prune_specs, _spec("prune"), "prune.yaml", "yaml"),
    Parser("deploy-spec", deploy_specs, _spec("deploy"), "deploy.yaml", "yaml"),
    Parser("pose-config", pose_configs, _skeleton, "joints.json", "json"),
    Parser("spec-check", all_specs, _check_spec, "any.yaml", "yaml"),
    Parser("settings", inference_specs, _settings, form="yaml"),
    Parser("prior", priors, _prior, "prior.json", "json"),
    Parser("split-rule", patterns, _split_rule),
)
