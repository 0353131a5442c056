"""Files as people have them: thirteen inputs that were reported, each as its README says."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from support.perfect import PerfectRunner

from bodyposenet.common.cli.main import main
from bodyposenet.common.data.annotations.coco import read_half
from bodyposenet.common.data.conversion.convert import convert_dataset
from bodyposenet.common.data.sampling.calibration_sample import sample_calibration
from bodyposenet.common.errors import UserError
from bodyposenet.common.evaluation.evaluate import evaluate
from bodyposenet.common.evaluation.ground_truth import read_test_set
from bodyposenet.common.inference.inference import infer
from bodyposenet.common.skeleton.card import Card
from bodyposenet.common.skeleton.skeleton import BODYPOSENET_18
from bodyposenet.common.spec.base import load_spec, parse_spec
from bodyposenet.common.spec.dataset import DatasetSpec
from bodyposenet.common.spec.inference import InferenceSpec
from bodyposenet.common.tracking import register_model
from bodyposenet.pipelines.package import Input
from bodyposenet.pipelines.parameters import problems

pytestmark = pytest.mark.usefixtures("one_photo_at_a_time")  # which perfect networks count on

CLEAN = "12-output-folder-exists"  # the same people, and nothing wrong
FILE = "data/annotations/people.json"
MENDED = {
    "02-problems-hidden-string-ids": {"image_id": 3},
    "03-problems-hidden-no-size": {"height": 3},
    "04-area-zero": {"area": 3},
    "05-joints-spelt-otherwise-in-another-order": {},
    "07-renamed-photos-evaluate": {},
    "09-evaluate-wrong-outline": {"segmentation": 2},
    "10-unlabelled-joints-without-numbers": {"keypoints": 3},
}


@pytest.fixture
def reported(data_folder, tmp_path, monkeypatch):
    """Go to a copy of a reported input."""

    def go(name):
        for source in sorted((data_folder / "reported" / name).rglob("*")):
            target = tmp_path / name / source.relative_to(data_folder / "reported" / name)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_file():
                shutil.copyfile(source, target)
        monkeypatch.chdir(tmp_path / name)
        path = Path("dataset.json")
        return load_spec(path, DatasetSpec) if path.is_file() else None

    return go


def bpnet(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class Blind:
    """A network that finds nobody."""

    card = Card(skeleton=BODYPOSENET_18)

    def __call__(self, images):
        rows, columns = (side // 8 for side in images.shape[1:3])
        return tuple(np.zeros((1, rows, columns, channels), np.float32) for channels in (19, 38))


def people(coco):
    """Everybody in a set by their photo: joints by name."""
    return {
        Path(photo.file_name).name: [
            dict(zip(coco.joints, person.keypoints.tolist(), strict=True)) for person in photo.people
        ]
        for photo in coco.photos
    }


def perfect(spec):
    return PerfectRunner(read_test_set(spec), "adjust_network_input", shape=(184, 184))


def score(spec):
    how = parse_spec({"input_shape": [184, 184], "keep_aspect_ratio_mode": "adjust_network_input"}, InferenceSpec)
    return evaluate(perfect(spec), how, spec, "evaluation")


@pytest.mark.parametrize(("name", "told"), MENDED.items())
def test_what_can_be_mended_gives_the_people_of_the_clean_file_to_every_verb(reported, name, told):
    clean = people(read_half(reported(CLEAN), "train"))
    spec = reported(name)
    coco = read_half(spec, "train")
    assert people(coco) == clean
    kinds = [problem.kind for problem in coco.problems]
    assert {kind: kinds.count(kind) for kind in kinds} == told
    done = convert_dataset(spec, "out/train")
    assert (done.images, done.people, done.samples, done.skipped) == (3, 3, 3, [])
    assert {problem.kept for problem in done.problems} <= {True}
    outcome = score(spec)
    assert (outcome.images, outcome.labelled, outcome.skipped) == (3, 3, [])
    assert outcome.ap > 0.9
    sampled = sample_calibration(FILE, "data/photos", "out/cal", num_images=3)
    assert sorted(sampled.photos) == sorted(clean)


def test_areas_of_zero_score_as_missing_ones_do(reported):
    spec = reported("04-area-zero")
    zero = read_half(spec, "test").annotations.areas
    document = json.loads(Path(FILE).read_text())
    for entry in document["annotations"]:
        del entry["area"]
    Path(FILE).write_text(json.dumps(document))
    assert np.array_equal(read_half(spec, "test").annotations.areas, zero)
    assert zero.min() > 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda image, person: person.pop("keypoints"), "not a COCO keypoints file"),
        (lambda image, person: person.update(category_id=7), "3 x category_id: .*no category has its number 7"),
        (lambda image, person: person.update(iscrowd=1), "3 people are crowds"),
        (lambda image, person: person.update(keypoints=[1, 2, 2]), r"3 x keypoints: .*'keypoints' has 3 numbers"),
        (lambda image, person: person.update(image_id=99), "3 x image_id: .*99 is no image of the file"),
        (lambda image, person: image.update(file_name=None), "3 x file_name: .*'file_name' is null"),
        (lambda image, person: person.update(keypoints=[0.1, 0.5, 2] * 17), "3 x keypoints from 0 to 1"),
    ],
)
def test_if_nobody_is_left_every_verb_tells_why_and_blames_no_filter(reported, change, reason):
    spec = reported(CLEAN)
    document = json.loads(Path(FILE).read_text())
    for image, person in zip(document["images"], document["annotations"], strict=True):
        change(image, person)
    Path(FILE).write_text(json.dumps(document))
    for use in (
        lambda: convert_dataset(spec, "out/train"),
        lambda: score(spec),
        lambda: sample_calibration(FILE, "data/photos", "out/cal", num_images=2),
    ):
        with pytest.raises(UserError, match=reason) as told:
            use()
        assert "data_filtering_params" not in str(told.value)
    result = bpnet("dataset_convert", "-d", "dataset.json", "-o", "out/train")
    assert result.exit_code == 2
    assert "PASS" not in result.output


def test_the_photos_of_merged_exports_are_left_out_where_their_ids_are_one(reported):
    spec = reported("06-merged-exports-repeated-image-ids")
    done = convert_dataset(spec, "out/train")
    assert (done.images, done.people, done.refused) == (2, 2, 2)
    assert "two exports were put together" in str(done.problems[0])
    assert set(people(read_half(spec, "test"))) == {"walker_1.jpg", "walker_2.jpg"}


def test_file_names_of_other_systems_are_found(reported):
    spec = reported("08-file-names-of-other-systems")
    done = convert_dataset(spec, "out/train")
    assert (done.images, done.people, done.skipped) == (4, 4, [])
    assert score(spec).skipped == []
    assert len(sample_calibration(FILE, "data/photos", "out/cal", num_images=4).photos) == 4


def test_every_format_is_looked_at_and_a_folder_without_photos_is_refused(reported, caplog):
    reported("11-folder-of-other-formats")
    Path("photos/notes.txt").write_text("none")
    spec = parse_spec({"input_shape": [184, 184]}, InferenceSpec)
    found = infer(Blind(), spec, input_type="dir", input="photos", results_dir="out")
    assert (found.images, found.skipped) == (4, [])
    assert "photos/notes.txt is passed over" in caplog.text


def test_shards_lie_beside_a_folder_of_their_name(reported):
    reported(CLEAN)
    Path("records/train").mkdir(parents=True, exist_ok=True)
    result = bpnet(
        "dataset_convert", "-m", "train", "-o", "records/train", "--generate_masks", "--dataset_spec", "dataset.json"
    )
    assert result.exit_code == 0, result.output
    assert Path("records/train-fold-000-of-001").is_file()
    assert "the shards are written beside it" in result.output


def test_names_that_mlflow_refuses_are_refused_at_the_start(reported, tmp_path, tracked_at):
    reported("13-registered-name-with-a-dot")
    tracked_at(f"sqlite:///{tmp_path}/m.db")
    (tmp_path / "model.onnx").write_bytes(b"")
    known = {"model_name": Input("STRING", True)}
    for name in [*Path("names.txt").read_text().splitlines(), "team/pose", "pose:1", ""]:
        ((_, fault),) = problems({"model_name": name}, known)
        assert "model" in fault
        with pytest.raises(UserError, match="model_name: "):
            register_model(tmp_path / "model.onnx", metrics={"ap": 0.5}, name=name)
    assert not list(problems({"model_name": "pose-1_0"}, known))
