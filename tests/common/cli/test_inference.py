"""The verb inference with photos named without a flag: what it writes where, and what it refuses in a line."""

import json
from pathlib import Path

import cv2
import matplotlib
import pytest
from click.testing import CliRunner

from bodyposenet.common.cli.main import main

GRACE_HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"


@pytest.fixture
def photo(tmp_path, monkeypatch):
    """One stands beside a photo of a person."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BODYPOSENET_RUNNER", "exact")
    cv2.imwrite("photo.jpg", cv2.imread(str(GRACE_HOPPER))[::2, ::2])
    return tmp_path / "photo.jpg"


def run(*words):
    return CliRunner().invoke(main, ["inference", *words])


def test_a_photo_alone_is_enough_and_what_was_written_is_said(photo):
    before = photo.read_bytes()
    done = run("photo.jpg")
    assert done.exit_code == 0, done.output
    assert {path.name for path in photo.parent.iterdir()} == {"photo.jpg", "bpnet-people"}
    assert photo.read_bytes() == before
    for name in ("photo.people.jpg", "detections.json", "detections_coco_format.json"):
        assert f"bpnet-people/{name}" in done.stdout
        assert Path("bpnet-people", name).is_file()
    (entry,) = json.loads(Path("bpnet-people/detections.json").read_text())["images"]
    assert entry["scores"]


def test_a_second_run_on_all_that_is_there_takes_no_picture_for_a_photo(photo):
    assert run("photo.jpg", "-r", ".").exit_code == 0
    again = run(".", "-r", ".")
    assert again.exit_code == 0, again.output
    assert "found in 1 photo (nobody in 0)" in again.stdout


def test_several_photos_and_a_spec_go_to_the_folder_that_is_named(photo):
    Path("infer.yaml").write_text("input_shape: [128, 128]\n")
    Path("other.jpg").write_bytes(b"broken")
    done = run("*.jpg", "-i", "infer.yaml", "-m", "pretrained:people", "-r", "found")
    assert done.exit_code == 0, done.output
    assert "left out: other.jpg: is no readable image" in done.stderr
    assert json.loads(Path("found/detections.json").read_text())["inference_spec"]["input_shape"] == [128, 128]
    assert Path("found/photo.people.jpg").is_file()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "error: no photo is named; such as: bpnet inference photo.jpg"),
        (["nothing.jpg"], "error: nothing.jpg: there is no such photo or folder; check the path"),
        (["*.png"], "error: *.png: matches no photos"),
        (["photo.jpg", "--input", "photo.jpg"], "error: PHOTOS: photo.jpg is named by --input"),
        (["photo.jpg", "--input_type", "image"], "error: --input_type: this is about --input"),
        (["photo.jpg", "--image_root_path", "."], "error: --image_root_path: this is about --input"),
        (["photo.jpg", "-m", "pretrained:nobody"], "no weights named 'pretrained:nobody' are shipped"),
    ],
)
def test_what_cannot_be_used_is_said_in_a_line_and_nothing_is_written(photo, words, told):
    done = run(*words)
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert told in line
    assert [path.name for path in photo.parent.iterdir()] == ["photo.jpg"]
