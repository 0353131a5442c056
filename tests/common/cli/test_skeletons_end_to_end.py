"""Skeletons of 14 and of 21 joints, from annotated pictures to people in photos, by the verbs of the command line."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from bodyposenet.common.cli.main import main
from bodyposenet.common.deploy.runtime.runners import open_runner
from bodyposenet.common.spec.pose_config import load_skeleton

pytestmark = pytest.mark.heavy

EXAMPLE = Path(__file__).parents[3] / "docs" / "example"
SIZE = (192, 256)
PICTURES = {"train": 8, "val": 6}
FINGERS = ("thumb", "index", "middle", "ring", "little")
PERSON = {
    "head": (0, -38), "neck": (0, -26),
    "left_shoulder": (13, -24), "left_elbow": (19, -9), "left_wrist": (22, 6),
    "right_shoulder": (-13, -24), "right_elbow": (-19, -9), "right_wrist": (-22, 6),
    "left_hip": (8, 8), "left_knee": (9, 26), "left_ankle": (10, 44),
    "right_hip": (-8, 8), "right_knee": (-9, 26), "right_ankle": (-10, 44),
}  # fmt: skip


def hand():
    """Joints of an open hand: fingers like rays, the thumb shorter."""
    joints = {"wrist": (0.0, 40.0)}
    for finger, angle, length in zip(FINGERS, (-62, -24, 0, 22, 46), (0.7, 1, 1.05, 1, 0.85), strict=True):
        for joint, reach in enumerate((34, 52, 66, 78), 1):
            turn = np.deg2rad(angle)
            joints[f"{finger}_{joint}"] = (reach * length * np.sin(turn), 40 - reach * length * np.cos(turn))
    return joints


BODIES = {"person_14": PERSON, "hand_21": hand()}


def drawn(folder, name):
    """A set of pictures of two bodies side by side, with COCO's kind of annotations."""
    skeleton, body = load_skeleton(EXAMPLE / "poses" / f"{name}.json"), BODIES[name]
    offsets = np.array([body[joint] for joint in skeleton.joints])
    random = np.random.default_rng(3)
    (folder / "images").mkdir(parents=True)
    for half, count in PICTURES.items():
        images, annotations = [], []
        for number in range(count):
            picture = np.full((*SIZE, 3), random.integers(60, 200, 3), np.uint8)
            file = f"{half}_{number}.png"
            images.append({"id": number + 1, "file_name": file, "height": SIZE[0], "width": SIZE[1]})
            for centre in ((68, 96), (188, 96)):
                turn = random.normal(0, 0.12)
                rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
                joints = offsets @ rotation.T * random.uniform(0.95, 1.15) + centre + random.normal(0, 3, 2)
                annotations.append(annotated(joints, len(annotations) + 1, number + 1))
                for start, end in skeleton.limbs:
                    ends = [tuple(int(x) for x in joints[joint].round()) for joint in (start, end)]
                    cv2.line(picture, *ends, (20 * start % 255, 40 * end % 255, 220), 3)
            cv2.imwrite(str(folder / "images" / file), picture)
        category = {"id": 1, "name": skeleton_kind(name), "keypoints": list(skeleton.joints), "skeleton": []}
        content = {"images": images, "annotations": annotations, "categories": [category]}
        (folder / f"keypoints_{half}.json").write_text(json.dumps(content))


def skeleton_kind(name):
    return json.loads((EXAMPLE / "poses" / f"{name}.json").read_text())["categories"][0]["name"]


def annotated(joints, number, image):
    low, high = joints.min(axis=0) - 4, joints.max(axis=0) + 4
    width, height = high - low
    flat = np.concatenate([joints, np.full((len(joints), 1), 2)], axis=1).round(2).ravel().tolist()
    return {
        "id": number, "image_id": image, "category_id": 1, "iscrowd": 0, "keypoints": flat,
        "num_keypoints": len(joints), "bbox": [*low.tolist(), width, height], "area": width * height * 0.6,
    }  # fmt: skip


def specs(folder, name):
    """Specs for the set, from those of the page on custom skeletons."""
    config = json.loads((EXAMPLE / "poses" / f"{name}.json").read_text())
    (category,) = config["categories"]
    (folder / "pose.json").write_text(json.dumps(config))
    halves = {
        f"{key}_data": {
            "images_root_dir_path": "images",
            "mask_root_dir_path": f"{half}_masks",
            "annotation_root_dir_path": f"keypoints_{half}.json",
        }
        for key, half in (("train", "train"), ("test", "val"))
    }
    kind = {key: category[key] for key in ("name", "num_joints", "keypoints")}
    (folder / "dataset.json").write_text(
        json.dumps({"dataset": name, "root_directory_path": "set", "categories": [kind]} | halves)
    )
    train = yaml.safe_load((EXAMPLE / "creatures" / "train.yaml").read_text()) | {"num_epoch": 2}
    loader = train["dataloader"]
    loader["image_config"]["image_dims"] |= {"height": SIZE[0], "width": SIZE[1]}
    loader["pose_config"] |= {"target_shape": [SIZE[0] // 8, SIZE[1] // 8], "pose_config_path": "pose.json"}
    loader["dataset_config"]["dataset_specs"] = {name: "dataset.json"}
    loader["batch_size"] = 4
    channels = {"heat_channels": category["num_joints"] + 1, "paf_channels": 2 * len(category["skeleton_edge_names"])}
    train["model"] |= channels
    (folder / "train.yaml").write_text(yaml.safe_dump(train | {"checkpoint_n_epoch": 2}))
    infer = yaml.safe_load((EXAMPLE / "creatures" / "infer.yaml").read_text()) | {"input_shape": list(SIZE)}
    (folder / "infer.yaml").write_text(yaml.safe_dump(infer))


@pytest.fixture(scope="module", params=list(BODIES))
def ran(request, tmp_path_factory):
    """The folder after all verbs, the skeleton's name, and what evaluating printed."""
    folder, name = tmp_path_factory.mktemp(request.param), request.param
    drawn(folder / "set", name)
    specs(folder, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        said = [
            bpnet(words)
            for words in (
                "spec check dataset.json pose.json train.yaml infer.yaml",
                "dataset_convert -d dataset.json -o data/train -m train --generate_masks --strict",
                "train -e train.yaml -r results",
                "prune -m results/bpnet_model.keras -o pruned.keras --target_params 0.7 -pg 1 -nf 4",
                "export -m pruned.keras -o pose.onnx",
                "inference -i infer.yaml -m pose.onnx --input_type dir --input set/images -r found"
                " --dump_visualizations",
                "evaluate -i infer.yaml -d dataset.json -m pose.onnx -r evaluated --ceiling",
            )
        ]
    return folder, name, said[-1]


def bpnet(words):
    result = CliRunner().invoke(main, words.split(), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.slow
def test_perfect_maps_of_the_skeleton_find_nearly_everybody(ran):
    """Which holds conversion, drawing of targets, decoding and scoring with this skeleton against each other."""
    _, _, said = ran
    (ceiling,) = re.findall(r"^ceiling AP +([\d.]+)$", said, re.MULTILINE)
    assert float(ceiling) > 0.9


@pytest.mark.slow
def test_a_network_of_the_skeleton_learns_and_is_exported(ran):
    folder, name, said = ran
    skeleton = load_skeleton(EXAMPLE / "poses" / f"{name}.json")
    losses = [row["loss"] for row in json.loads((folder / "results" / "history.json").read_text())]
    assert losses[-1] < losses[0]
    runner = open_runner(folder / "pose.onnx")
    assert runner.card.skeleton == skeleton
    heatmaps, pafs = runner(np.zeros((1, *SIZE, 3), np.float32))
    assert heatmaps.shape == (1, SIZE[0] // 8, SIZE[1] // 8, len(skeleton.joints) + 1)
    assert pafs.shape[-1] == 2 * len(skeleton.limbs)
    assert "AP_0.50:0.95_all" in said


@pytest.mark.slow
def test_what_is_found_names_the_skeleton_s_joints(ran):
    folder, name, _ = ran
    skeleton = load_skeleton(EXAMPLE / "poses" / f"{name}.json")
    found = json.loads((folder / "found" / "detections.json").read_text())
    assert tuple(found["categories"][0]["keypoints"]) == skeleton.joints
    assert (
        len(found["images"]) == len(list((folder / "found" / "images_annotated").iterdir())) == sum(PICTURES.values())
    )
    assert all(len(person) == len(skeleton.joints) for image in found["images"] for person in image["keypoints"])
