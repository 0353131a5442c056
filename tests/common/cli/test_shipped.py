"""Finding people without naming a network: the one that ships is taken, and TensorFlow stays out of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import matplotlib
import pytest

from bodyposenet.common.machine.processor import Processor
from bodyposenet.common.model.files.bundled import FOLDER, PEOPLE, is_shipped, runnable_path

GRACE_HOPPER = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
BLOCKER = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "h5py", "tf2onnx"):
            raise ImportError(f"{name} is not to be imported")


sys.meta_path.insert(0, Blocker())
"""


def bpnet(folder, *words, **variables):
    """Run a command in a folder in which TensorFlow and Keras cannot be imported."""
    (folder / "blocked").mkdir(exist_ok=True)
    (folder / "blocked" / "sitecustomize.py").write_text(BLOCKER, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(folder / "blocked"), **variables}
    command = [sys.executable, "-m", "bodyposenet", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.slow
def test_one_command_on_a_photo_finds_and_draws_people_without_tensorflow(tmp_path):
    photo = cv2.imread(str(GRACE_HOPPER))
    cv2.imwrite(str(tmp_path / "photo.jpg"), photo)
    done = bpnet(tmp_path, "inference", "--input_type", "image", "--input", "photo.jpg")
    assert done.returncode == 0, done.stderr
    assert f"taking {PEOPLE}" in done.stderr
    (found,) = json.loads((tmp_path / "inference" / "detections.json").read_text(encoding="utf-8"))["images"]
    assert found["keypoints"]
    best = found["keypoints"][0]
    assert sum(point != [0, 0] for point in best) >= 5  # face and shoulders
    nose = best[0]
    assert 0.25 < nose[0] / photo.shape[1] < 0.75
    assert 0.1 < nose[1] / photo.shape[0] < 0.6
    drawn = cv2.imread(str(tmp_path / "inference" / "images_annotated" / "0.png"))
    assert drawn.shape == photo.shape
    assert (drawn != photo).any(axis=-1).mean() > 0.001
    assert str(tmp_path / "inference") in done.stdout  # where it all is, is told


@pytest.mark.slow
def test_a_folder_is_told_from_a_photo_and_a_spec_s_own_words_win(tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(tmp_path / "photos" / name), cv2.imread(str(GRACE_HOPPER))[::2, ::2])
    (tmp_path / "infer.yaml").write_text("input_shape: [128, 128]\nmin_parts: 5\n", encoding="utf-8")
    done = bpnet(tmp_path, "inference", "-i", "infer.yaml", "-m", PEOPLE, "--input", "photos", "-r", "found")
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "found" / "detections.json").read_text(encoding="utf-8"))
    assert [Path(image["full_image_path"]).name for image in told["images"]] == ["a.jpg", "b.jpg"]
    assert told["inference_spec"]["input_shape"] == [128, 128]
    assert told["inference_spec"]["min_parts"] == 5
    assert not (tmp_path / "found" / "images_annotated").exists()  # with a spec only if asked


def test_the_exported_form_in_8_bits_is_taken_where_that_is_exact_and_the_choice_is_free(monkeypatch):
    exact = Processor("new", "x86_64", frozenset({"avx512_vnni"}), 1)
    pairs = Processor("old", "x86_64", frozenset({"avx2"}), 1)
    assert runnable_path(PEOPLE, "auto", exact) == FOLDER / "people_int8.onnx"
    assert runnable_path(PEOPLE, "auto", pairs) == FOLDER / "people.onnx"
    assert runnable_path(PEOPLE, "exact", exact) == FOLDER / "people.onnx"
    monkeypatch.setenv("BODYPOSENET_RUNNER", "onnxruntime")
    assert runnable_path(PEOPLE, None, exact) == FOLDER / "people.onnx"
    assert runnable_path("pretrained:drawn_people", "auto", exact) == FOLDER / "drawn_people.keras"  # has no other form
    assert is_shipped(FOLDER / "people.onnx")
    assert not is_shipped(Path("people.onnx"))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["inference", "-m", "pretrained:nobody", "--input", "photo.jpg"], "no weights named 'pretrained:nobody'"),
        (["prune", "-m", "pretrained:nobody", "-o", "small.keras"], "shipped: pretrained:drawn_people"),
        (["inference", "--input", "nothing.jpg"], "there is no such image file"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, words, told):
    done = bpnet(tmp_path, *words)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
