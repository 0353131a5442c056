"""Custom skeletons, end to end: the commands of docs/custom-skeleton.md one after another, and the pipeline's tasks."""

import json
import re
import shlex

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from google.protobuf import json_format, struct_pb2
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from support.creatures import EXAMPLE, JOINTS, PAGE, PICTURES, SIGMAS, UNION, drawn, labels

from bodyposenet.common import tasks
from bodyposenet.common.cli.main import main
from bodyposenet.common.kubeflow.parameter_values import to_kfp
from bodyposenet.common.model.files.model_file import read_card
from bodyposenet.common.spec.base import parse_spec
from bodyposenet.common.spec.pose_config import PoseConfig, load_skeleton
from bodyposenet.common.tasks.files import MODEL

pytestmark = pytest.mark.heavy


def blocks(language):
    """The page's blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def commands():
    return [line for line in "".join(blocks("sh")).splitlines() if line]


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The folder of the example after the page's commands, with fewer epochs; and what each verb printed."""
    folder = drawn(tmp_path_factory.mktemp("page"))
    train = folder / "train.yaml"
    train.write_text(re.sub("(num_epoch|checkpoint_n_epoch): 40", r"\1: 6", train.read_text()))
    said = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        for words in map(shlex.split, commands()):
            if words[0] == "bpnet":
                result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
                assert result.exit_code == 0, result.output
                said[words[1]] = result.stdout
    return folder, said


def test_the_page_shows_the_files_of_the_example():
    assert blocks("json") == [(EXAMPLE / name).read_text() for name in ("dataset.json", "pose_config.json")]
    (shown,) = blocks("yaml")
    model = yaml.safe_load((EXAMPLE / "train.yaml").read_text())["model"]
    assert yaml.safe_load(shown)["model"].items() <= model.items()
    assert commands()[:2] == ["cp -r docs/example/creatures work && cd work", "python draw.py creatures"]


@pytest.mark.slow
def test_the_specs_are_sound_and_nothing_is_noted(ran):
    _, said = ran
    assert said["spec"].splitlines() == [
        "dataset.json: dataset spec, 'creatures', 6 joints of fox and crane, in creatures",
        "pose_config.json: pose config, creatures, 7 joints, 6 limbs",
        "train.yaml: train spec, 1 stage, 120x160, batch 8, 6 epochs, AdamW",
        "infer.yaml: inference spec, 120x160, adjust_network_input, 1 scale, at least 3 parts",
        "wrote skeleton.png",
    ]


@pytest.mark.slow
def test_conversion_counts_creatures_by_the_words_of_the_dataset(ran):
    folder, said = ran
    creatures = labels(folder, "train")["annotations"]
    counts = [sum(flag in (1, 2) for *_, flag in each["joints"].values()) for each in creatures]
    manifest = json.loads((folder / "data" / "manifest.json").read_text())["sets"]["train"]
    photos = {each["image_id"] for each, count in zip(creatures, counts, strict=True) if count >= 3}
    assert manifest["images"] == manifest["samples"] == len(photos)
    assert manifest["people"] == sum(
        count > 0 for each, count in zip(creatures, counts, strict=True) if each["image_id"] in photos
    )
    assert tuple(manifest["joints"]) == UNION
    assert f"{len(photos)} images" in said["dataset_convert"]


@pytest.mark.slow
def test_a_training_learns_and_its_files_carry_the_skeleton(ran):
    from bodyposenet.common.deploy.runtime.runners import open_runner

    folder, _ = ran
    losses = [row["loss"] for row in json.loads((folder / "results" / "history.json").read_text())]
    assert losses[-1] < losses[0] / 2
    for name in ("bpnet_model.keras", "creatures.onnx"):
        skeleton = open_runner(folder / "results" / name).card.skeleton
        assert skeleton == load_skeleton(folder / "pose_config.json")
        assert dict(zip(skeleton.joints, skeleton.sigmas, strict=True)) == SIGMAS | {"back": 0.1}


@pytest.mark.slow
def test_an_evaluation_is_pycocotools_of_labels_written_by_hand(ran):
    """The flags by their words, the joints by name, the spreads of the pose config."""
    folder, said = ran
    content = labels(folder, "val")
    meaning = {1: 2, 2: 1, 0: 0}
    for each in content["annotations"]:
        triplets = [each["joints"].get(name, [0, 0, 0]) for name in UNION]
        flat = [number for x, y, flag in triplets for number in (x, y, meaning[flag])]
        each |= {"category_id": 1, "keypoints": flat, "num_keypoints": sum(number > 0 for number in flat[2::3])}
    given = COCO()
    given.dataset = content | {"categories": [{"id": 1, "name": "any"}]}
    given.createIndex()
    found = json.loads((folder / "results" / "evaluate" / "detections_coco_format.json").read_text())
    assert found, "nothing is found: nothing is tested"
    scored = COCOeval(given, given.loadRes(found), "keypoints")
    scored.params.kpt_oks_sigmas = np.array([SIGMAS[name] for name in UNION])
    for step in (scored.evaluate, scored.accumulate, scored.summarize):
        step()
    told = [line.split() for line in said["evaluate"].splitlines() if line.startswith(("AP_", "AR_"))]
    assert [float(value) for _, value in told] == pytest.approx(scored.stats, abs=6e-4)
    (ceiling,) = re.findall(r"^ceiling AP +([\d.]+)$", said["evaluate"], re.MULTILINE)
    assert 0.8 < float(ceiling) <= 1


@pytest.mark.slow
def test_inference_lists_and_draws_every_picture(ran):
    folder, _ = ran
    found = json.loads((folder / "results" / "found" / "detections.json").read_text())
    assert len(found["images"]) == sum(PICTURES.values())
    (shown,) = found["categories"]
    assert tuple(shown["keypoints"]) == JOINTS
    assert shown["skeleton_edge_names"] == [["back", name] for name in UNION]
    assert len(list((folder / "results" / "found" / "images_annotated").iterdir())) == sum(PICTURES.values())


@pytest.mark.slow
def test_a_prior_is_fitted_that_the_pose_config_can_name(ran):
    folder, _ = ran
    content = json.loads((folder / "pose_config.json").read_text()) | {"prior": str(folder / "prior.json")}
    means, _ = parse_spec(content, PoseConfig).skeleton().prior.arrays
    back, nose, tail = range(3)
    assert means[nose, tail] - means[back, nose] == pytest.approx(np.log(2), abs=0.01)  # the back is half way
    np.testing.assert_allclose(means[3:, nose], means[[4, 3, 6, 5], nose])  # one side is as the other


def through_kubeflow(settings):
    """A dict as a task gets it: floats only, keys in any order."""
    struct = struct_pb2.Struct()
    struct.update(to_kfp(settings))
    return json_format.MessageToDict(struct)


@pytest.mark.slow
def test_the_pipelines_tasks_take_the_skeleton_as_settings(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    folder = drawn(tmp_path / "mine")
    dataset = json.loads((folder / "dataset.json").read_text())
    asked = {key: dataset[key] for key in dataset if key not in ("root_directory_path", "train_data", "test_data")}
    train = yaml.safe_load((folder / "train.yaml").read_text()) | {"num_epoch": 1, "checkpoint_n_epoch": 1}
    config = json.loads((folder / "pose_config.json").read_text())
    train["dataloader"]["pose_config"] |= {"pose_config_path": None, "pose_config": config}
    del train["dataloader"]["dataset_config"]
    infer = yaml.safe_load((folder / "infer.yaml").read_text())
    names = ("photos", "part", "dataset", "model", "onnx", "found", "metrics", "page")
    at = {name: str(tmp_path / name) for name in names}

    tasks.gather_photos(str(folder / "creatures"), at["photos"])
    tasks.convert(at["photos"], through_kubeflow(asked), "0/1", at["part"], at["metrics"], at["page"])
    counts = tasks.join(at["photos"], through_kubeflow(asked), [at["part"]], at["dataset"], at["metrics"])
    assert counts["val_images"] == PICTURES["val"]
    tasks.train(at["dataset"], through_kubeflow(train), None, at["model"], at["metrics"], at["page"])
    tasks.export(at["model"], at["onnx"], at["metrics"])
    for model in ("model", "onnx"):
        ap, numbers = tasks.evaluate(
            at[model], at["dataset"], through_kubeflow(infer), model, at["found"], at["metrics"]
        )
        creatures = labels(folder, "val")["annotations"]
        assert numbers["people_labelled"] == sum(any(j[2] for j in each["joints"].values()) for each in creatures)
        assert 0 <= ap <= 1
    assert read_card(tmp_path / "model" / MODEL).skeleton == load_skeleton(EXAMPLE / "pose_config.json")
